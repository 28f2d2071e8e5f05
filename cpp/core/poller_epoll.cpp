// Linux: one epoll set for everything, with libuv's backend descriptor as a member.
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "base/owned_fd.hpp"
#include "core/poller.hpp"

namespace veloop::core {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
constexpr std::int64_t kNanosPerMilli = 1'000'000;

constexpr std::uint32_t to_epoll(unsigned interest) noexcept {
  return ((interest & kReadable) != 0 ? EPOLLIN : 0U) | ((interest & kWritable) != 0 ? EPOLLOUT : 0U) |
         ((interest & kEdge) != 0 ? EPOLLET : 0U);
}

// As selectors.EpollSelector does: an error or hang-up wakes whoever waits.
constexpr unsigned from_epoll(std::uint32_t events) noexcept {
  return ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 ? kReadable : 0U) |
         ((events & ~static_cast<std::uint32_t>(EPOLLIN)) != 0 ? kWritable : 0U);
}

class EpollPoller final : public Poller {
 public:
  EpollPoller(uv_loop_t* loop, base::OwnedFd epoll_fd) : loop_(loop), epoll_fd_(std::move(epoll_fd)) {
    found_.reserve(kBatch);
  }

  [[nodiscard]] int embed_libuv() const noexcept {
    // libuv enters its own two descriptors when it runs, and aborts the process if there is no memory, or no
    // watch left of the user's, for them. What is there already is only modified, which cannot fail.
    const int libuv = uv_backend_fd(loop_);
    const bool ok = enter(libuv, loop_->async_io_watcher.fd, loop_->async_io_watcher.fd) &&
                    enter(libuv, loop_->signal_io_watcher.fd, loop_->signal_io_watcher.fd) &&
                    enter(epoll_fd_.get(), libuv, kLibuv);
    return ok ? 0 : errno;
  }

  int watch(Watcher& watcher, int fd, unsigned interest) override {
    if (interest == kNothing) {
      table_.release(watcher);
      // The descriptor may be closed, or be somebody else's by now: both are fine to ignore.
      epoll_ctl(epoll_fd_.get(), EPOLL_CTL_DEL, fd, nullptr);
      return 0;
    }
    epoll_event event = {};
    event.events = to_epoll(interest);
    event.data.fd = fd;
    const bool known = table_.find(fd) != nullptr;
    if (epoll_ctl(epoll_fd_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
      // ENOENT: what we knew was closed behind our back and the number is new. EEXIST: a descriptor
      // that was watched lives on in a duplicate.
      const bool retry = known ? errno == ENOENT : errno == EEXIST;
      if (!retry || epoll_ctl(epoll_fd_.get(), known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0) {
        const int error_number = errno;
        if (Watcher* old = table_.find(fd)) table_.release(*old);
        return error_number;
      }
    }
    table_.assign(watcher, fd, interest);
    return 0;
  }

  [[nodiscard]] bool tolerates_closed() const noexcept override { return true; }

  int leave_parent() noexcept override {
    // Closing our descriptors of the shared sets leaves the sets as they are; libuv does the same with its
    // own.
    epoll_fd_.reset();
    epoll_fd_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_fd_) return errno;
    const int error_number = uv::Status(uv_loop_fork(loop_)).error_number();
    first_wait_ = true;
    is_filled_ = false;
    return error_number != 0 ? error_number : embed_libuv();
  }

  int wait(std::int64_t timeout_ns) noexcept override {
    found_.clear();
    if (!is_filled_) fill();
    // libuv enters its handles into its own set only when it runs: before that nothing could wake us.
    const int count = wait_for_events(first_wait_ ? 0 : timeout_ns);
    if (count < 0) return errno;
    bool run_libuv = std::exchange(first_wait_, false);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = buffer_[static_cast<std::size_t>(i)];
      if (event.data.fd == kLibuv) {
        run_libuv = true;
      } else {
        found_.push_back({event.data.fd, from_epoll(event.events)});  // Reserved: does not allocate.
      }
    }
    if (run_libuv) uv_run(loop_, UV_RUN_NOWAIT);
    return 0;
  }

 private:
  static constexpr int kBatch = 256;
  static constexpr int kLibuv = -1;

  static bool enter(int set, int fd, int name) noexcept {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.fd = name;
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
  }

  // Enters everybody into a new set. A descriptor that is closed by now is simply gone.
  void fill() noexcept {
    is_filled_ = true;
    table_.for_each([this](const Watcher& watcher) {
      epoll_event event = {};
      event.events = to_epoll(watcher.interest());
      event.data.fd = watcher.watched_fd();
      epoll_ctl(epoll_fd_.get(), EPOLL_CTL_ADD, watcher.watched_fd(), &event);
    });
  }

  int wait_for_events(std::int64_t timeout_ns) noexcept {
    if (timeout_ns <= 0) return epoll_wait(epoll_fd_.get(), buffer_.data(), kBatch, timeout_ns < 0 ? -1 : 0);
#ifdef SYS_epoll_pwait2
    if (have_pwait2_) {
      // struct __kernel_timespec; the wrapper needs glibc 2.35, the system call Linux 5.11.
      const std::int64_t timeout[2] = {timeout_ns / kNanosPerSecond, timeout_ns % kNanosPerSecond};
      const auto count = static_cast<int>(
          ::syscall(SYS_epoll_pwait2, epoll_fd_.get(), buffer_.data(), kBatch, timeout, nullptr, 0));
      if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
      have_pwait2_ = false;
    }
#endif
    // Rounded up: rounded down, the last millisecond would be a busy loop and timers would be early.
    const std::int64_t millis = (timeout_ns + kNanosPerMilli - 1) / kNanosPerMilli;
    return epoll_wait(epoll_fd_.get(), buffer_.data(), kBatch,
                      millis > INT_MAX ? INT_MAX : static_cast<int>(millis));
  }

  uv_loop_t* loop_;
  base::OwnedFd epoll_fd_;
  bool have_pwait2_ = true;
  bool first_wait_ = true;
  bool is_filled_ = true;
  std::array<epoll_event, kBatch> buffer_;
};

}  // namespace

std::unique_ptr<Poller> Poller::open(uv_loop_t* loop, int& error_number) {
  base::OwnedFd epoll_fd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_fd) {
    error_number = errno;
    return nullptr;
  }
  auto poller = std::make_unique<EpollPoller>(loop, std::move(epoll_fd));
  error_number = poller->embed_libuv();
  if (error_number != 0) return nullptr;
  return poller;
}

}  // namespace veloop::core
