// Everywhere: libuv waits, with a uv_poll_t per descriptor. Timeouts are libuv's milliseconds, rounded up.
#include <fcntl.h>

#include <cerrno>
#include <unordered_map>
#include <utility>

#include "core/poller.hpp"
#include "uv/handle.hpp"

namespace veloop::core {
namespace {

constexpr std::int64_t kNanosPerMilli = 1'000'000;

class UvPoller final : public Poller {
 public:
  int embed(uv_loop_t* loop) override {
    loop_ = loop;
    return uv::open(timer_, [loop](uv_timer_t* timer) { return uv_timer_init(loop, timer); }).error_number();
  }

  int watch(Watcher& watcher, int fd, unsigned interest) override {
    if (interest == kNothing) {
      table_.release(watcher);
      polls_.erase(fd);
      return 0;
    }
    if (table_.find(fd) != &watcher) polls_.erase(fd);  // The number may stand for another file now.
    uv::Handle<uv_poll_t>& poll = polls_[fd];
    if (!poll) {
      const uv::Status status = open_poll(poll, fd);
      if (!status.ok()) {
        polls_.erase(fd);
        if (Watcher* old = table_.find(fd)) table_.release(*old);
        return status.error_number();
      }
    }
    const uv::Status status = start(poll.get(), interest);
    if (!status.ok()) return status.error_number();
    table_.assign(watcher, fd, interest);
    return 0;
  }

  int leave_parent() noexcept override { return uv::Status(uv_loop_fork(loop_)).error_number(); }

  int wait(std::int64_t timeout_ns) noexcept override {
    found_.clear();
    if (timeout_ns > 0) {
      const auto millis = static_cast<std::uint64_t>((timeout_ns + kNanosPerMilli - 1) / kNanosPerMilli);
      uv_update_time(loop_);
      uv_timer_start(timer_.get(), [](uv_timer_t*) {}, millis, 0);
    }
    uv_run(loop_, timeout_ns == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    uv_timer_stop(timer_.get());
    return 0;
  }

 private:
  uv::Status open_poll(uv::Handle<uv_poll_t>& poll, int fd) {
    const int flags = fcntl(fd, F_GETFL);  // uv_poll_init() makes it non-blocking; it may not be ours.
    uv::Status status = uv::open(poll, [this, fd](uv_poll_t* box) { return uv_poll_init(loop_, box, fd); });
    if (status.error_number() == EEXIST) {
      uv_run(loop_, UV_RUN_NOWAIT);  // An older handle for this number is still closing.
      status = uv::open(poll, [this, fd](uv_poll_t* box) { return uv_poll_init(loop_, box, fd); });
    }
    if (!status.ok()) return status;
    if (flags >= 0) fcntl(fd, F_SETFL, flags);
    poll->data = this;
    return status;
  }

  static uv::Status start(uv_poll_t* poll, unsigned interest) noexcept {
    const int events = static_cast<int>((interest & kReadable) != 0 ? UV_READABLE : 0) |
                       static_cast<int>((interest & kWritable) != 0 ? UV_WRITABLE : 0);
    return uv_poll_start(poll, events, [](uv_poll_t* ready, int error, int found) {
      if (ready->data != nullptr) static_cast<UvPoller*>(ready->data)->on_poll(ready, error, found);
    });
  }

  void on_poll(uv_poll_t* poll, int error, int events) noexcept {
    uv_os_fd_t fd = -1;
    if (uv_fileno(reinterpret_cast<uv_handle_t*>(poll), &fd) != 0) return;
    unsigned ready = 0;
    if (error < 0) {
      ready = kReadable | kWritable;
      // libuv stops at an error; to whoever goes on (a datagram that was refused) it is an event like others.
      const Watcher* watcher = table_.find(fd);
      if (watcher != nullptr) (void)start(poll, watcher->interest());
    }
    if ((events & UV_READABLE) != 0) ready |= kReadable;
    if ((events & UV_WRITABLE) != 0) ready |= kWritable;
    found_.push_back({fd, ready});
  }

  uv_loop_t* loop_ = nullptr;
  uv::Handle<uv_timer_t> timer_;
  std::unordered_map<int, uv::Handle<uv_poll_t>> polls_;
};

}  // namespace

std::unique_ptr<Poller> Poller::open(int& error_number) {
  error_number = 0;
  return std::make_unique<UvPoller>();
}

}  // namespace veloop::core
