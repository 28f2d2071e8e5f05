// Linux: one epoll set for everything, with libuv's backend descriptor as a member.
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "base/owned_fd.hpp"
#include "core/deadline_fd.hpp"
#include "core/poller.hpp"

namespace veloop::core {
namespace {

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
  explicit EpollPoller(base::OwnedFd epoll_fd) : epoll_fd_(std::move(epoll_fd)) { found_.reserve(kBatch); }

  [[nodiscard]] bool needs_libuv() const noexcept override { return false; }

  int embed(uv_loop_t* loop) noexcept override {
    loop_ = loop;
    // libuv enters its own two descriptors when it runs, and aborts the process if there is no memory, or no
    // watch left of the user's, for them. What is there already is only modified, which cannot fail.
    const int libuv = uv_backend_fd(loop_);
    const bool ok = enter(libuv, loop_->async_io_watcher.fd, loop_->async_io_watcher.fd) &&
                    enter(libuv, loop_->signal_io_watcher.fd, loop_->signal_io_watcher.fd) &&
                    enter(epoll_fd_.get(), libuv, kLibuv);
    if (!ok) {
      loop_ = nullptr;
      return errno;
    }
    (void)deadline_.open(epoll_fd_.get());
    first_wait_ = true;
    return 0;
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
    deadline_.close();
    is_filled_ = false;
    if (loop_ == nullptr) return 0;
    int error_number = uv::Status(uv_loop_fork(loop_)).error_number();
    if (error_number == 0) error_number = embed(loop_);
    if (error_number != 0) epoll_fd_.reset();  // nobody could wake a wait: better none
    return error_number;
  }

  int wait(std::int64_t timeout_ns) noexcept override {
    found_.clear();
    if (timeout_ns == 0 && loop_ == nullptr && table_.is_unused()) return 0;
    if (!is_filled_) fill();
    // libuv enters its handles into its own set only when it runs: before that nothing could wake us.
    const int count = wait_for_events(first_wait_ ? 0 : timeout_ns);
    if (count < 0) return errno;
    bool run_libuv = std::exchange(first_wait_, false);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = buffer_[static_cast<std::size_t>(i)];
      if (event.data.fd == kLibuv) {
        run_libuv = true;
      } else if (event.data.fd == DeadlineFd::kName) {
        deadline_.passed();
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
    int millis = timeout_ns == 0 ? 0 : -1;
    if (timeout_ns > 0 && !deadline_.arm(epoll_fd_.get(), timeout_ns)) {
      // Rounded up: rounded down, the last millisecond would be a busy loop and timers would be early.
      const std::int64_t rounded = (timeout_ns + kNanosPerMilli - 1) / kNanosPerMilli;
      millis = rounded > INT_MAX ? INT_MAX : static_cast<int>(rounded);
    }
    return epoll_wait(epoll_fd_.get(), buffer_.data(), kBatch, millis);
  }

  uv_loop_t* loop_ = nullptr;  // once it is embedded
  base::OwnedFd epoll_fd_;
  DeadlineFd deadline_;
  bool first_wait_ = false;
  bool is_filled_ = true;
  std::array<epoll_event, kBatch> buffer_;
};

}  // namespace

std::unique_ptr<Poller> Poller::open(int& error_number) {
  base::OwnedFd epoll_fd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_fd) {
    error_number = errno;
    return nullptr;
  }
  return std::make_unique<EpollPoller>(std::move(epoll_fd));
}

}  // namespace veloop::core
