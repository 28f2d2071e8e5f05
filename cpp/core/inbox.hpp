#pragma once
// The way into the loop from other threads: a locked list that the loop takes over in one splice, and one
// wake-up (uv_async_t) per batch. The only part of the loop that other threads touch.
#include <uv.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "core/callback.hpp"
#include "uv/handle.hpp"

namespace veloop::core {

class Inbox {
 public:
  Inbox() = default;
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  ~Inbox() { clear(); }

  uv::Status open(uv_loop_t* loop);
  // In the child of a fork: what other threads, or the parent, wake must not be shared with it.
  uv::Status leave_parent(uv_loop_t* loop);
  // Loop thread. Afterwards wake() does nothing.
  void close();

  // Any thread: hands over a reference to the callback, and wakes the loop if it may be asleep.
  void put(Callback& callback);
  // Any thread: makes a wait end, now or when it begins (before open(): when open() was called).
  void wake() noexcept;
  void wake_if_asleep() noexcept {
    if (asleep_.load(std::memory_order_seq_cst)) wake();
  }

  // Loop thread: what was put since the last call, in order; the caller owns the references.
  [[nodiscard]] const std::vector<Callback*>& take();
  // Loop thread: what take() gave has its place.
  void release_taken() noexcept;
  [[nodiscard]] bool empty() const noexcept { return !filled_.load(std::memory_order_seq_cst); }

  // Loop thread, around a wait: whoever puts something while asleep() must wake the loop.
  void set_asleep(bool asleep) noexcept { asleep_.store(asleep, std::memory_order_seq_cst); }

  template <class V>
  int visit(V&& visit_callback) {
    for (Callback* callback : incoming_) {
      if (int stop = visit_callback(callback)) return stop;
    }
    return 0;
  }
  void clear() noexcept;

 private:
  std::mutex mutex_;
  std::vector<Callback*> incoming_;  // guarded by mutex_
  uv::Handle<uv_async_t> async_;     // guarded by mutex_ (wake against close)
  bool woken_early_ = false;         // guarded by mutex_
  std::vector<Callback*> taken_;
  std::atomic<bool> filled_ = false;
  std::atomic<bool> asleep_ = false;
};

}  // namespace veloop::core
