#include "core/inbox.hpp"

#include <utility>

namespace veloop::core {

uv::Status Inbox::open(uv_loop_t* loop) {
  const std::lock_guard lock(mutex_);
  // The callback has nothing to do: being woken is all that is wanted.
  const uv::Status status =
      uv::open(async_, [loop](uv_async_t* async) { return uv_async_init(loop, async, [](uv_async_t*) {}); });
  if (status.ok() && std::exchange(woken_early_, false)) uv_async_send(async_.get());
  return status;
}

uv::Status Inbox::leave_parent(uv_loop_t* loop) {
  asleep_.store(false, std::memory_order_seq_cst);
  async_.reset();  // It may have been sent in the parent, and would not be sent again.
  return open(loop);
}

void Inbox::close() {
  const std::lock_guard lock(mutex_);
  async_.reset();
}

void Inbox::put(Callback& callback) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = incoming_.empty();
    incoming_.push_back(&callback);
    py::retain(callback.self);
    if (first) filled_.store(true, std::memory_order_seq_cst);
  }
  if (first) wake_if_asleep();
}

void Inbox::wake() noexcept {
  const std::lock_guard lock(mutex_);
  if (async_) {
    uv_async_send(async_.get());
  } else {
    woken_early_ = true;
  }
}

const std::vector<Callback*>& Inbox::take() {
  taken_.clear();
  const std::lock_guard lock(mutex_);
  taken_.swap(incoming_);
  filled_.store(false, std::memory_order_relaxed);
  return taken_;
}

void Inbox::release_taken() noexcept {
  constexpr std::size_t kKeepCapacity = 4096;  // more is the memory of a burst
  if (taken_.capacity() > kKeepCapacity) std::vector<Callback*>().swap(taken_);
}

void Inbox::clear() noexcept {
  std::vector<Callback*> dropped;
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(incoming_);
    filled_.store(false, std::memory_order_relaxed);
  }
  for (Callback* callback : dropped)
    release(*callback);
}

}  // namespace veloop::core
