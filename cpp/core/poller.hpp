#pragma once
// Waiting for descriptors: the one interface behind which Linux uses an epoll set of our own and other
// systems use libuv's uv_poll_t (poller_epoll.cpp, poller_uv.cpp; CMake option VELOOP_POLLER).
//
// On Linux libuv's loop is embedded, before the first wait that may block: its backend descriptor is a member
// of our set, and libuv runs when it is readable. Not the other way round, for libuv aborts the process when
// a watched descriptor was closed or reused behind its back (libuv#5130), restarts a wait that a signal
// interrupted, and rounds timeouts to milliseconds; our own set raises errors where asyncio raises them and
// waits in nanoseconds, at the same speed (docs/PERFORMANCE.md).
//
// Nothing here runs Python code: wait() collects what became ready, for the loop to queue.
#include <cstdint>
#include <memory>
#include <vector>

#include "uv/event_loop.hpp"

namespace veloop::core {

// kEdge: told once per arrival, for those who find nothing left before they wait. A poller may ignore it.
enum Interest : unsigned { kNothing = 0, kReadable = 1, kWritable = 2, kEdge = 4 };

// Somebody who waits for a descriptor. Part of an object that outlives its registration; registering
// borrows it. At most one watcher per descriptor is registered: a later one takes the place over.
class Watcher {
 public:
  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Called with the GIL held, from the loop's poll, with the part of `events` that is of interest.
  virtual void on_events(unsigned events) noexcept = 0;

  [[nodiscard]] int watched_fd() const noexcept { return fd_; }
  [[nodiscard]] unsigned interest() const noexcept { return interest_; }

 protected:
  ~Watcher() = default;
  // Interest in some events was given up: what was noted for them must not be delivered any more.
  virtual void on_interest_lost(unsigned events) noexcept = 0;

 private:
  friend class WatcherTable;
  int fd_ = -1;
  unsigned interest_ = kNothing;
};

// Which watcher is registered for which descriptor; shared by both pollers.
class WatcherTable {
 public:
  [[nodiscard]] Watcher* find(int fd) const noexcept {
    const auto index = static_cast<std::size_t>(fd);
    return fd >= 0 && index < watchers_.size() ? watchers_[index] : nullptr;
  }

  void assign(Watcher& watcher, int fd, unsigned interest) {
    if (static_cast<std::size_t>(fd) >= watchers_.size()) watchers_.resize(static_cast<std::size_t>(fd) + 16);
    if (Watcher* other = find(fd); other != nullptr && other != &watcher) release(*other);
    watchers_[static_cast<std::size_t>(fd)] = &watcher;
    const unsigned lost = watcher.interest_ & ~interest;
    watcher.fd_ = fd;
    watcher.interest_ = interest;
    if (lost != 0) watcher.on_interest_lost(lost);
  }

  void release(Watcher& watcher) noexcept {
    if (watcher.fd_ < 0) return;
    watchers_[static_cast<std::size_t>(watcher.fd_)] = nullptr;
    const unsigned lost = watcher.interest_;
    watcher.fd_ = -1;
    watcher.interest_ = kNothing;
    watcher.on_interest_lost(lost);
  }

  // Nothing was ever watched.
  [[nodiscard]] bool is_unused() const noexcept { return watchers_.empty(); }

  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Watcher* watcher : watchers_) {
      if (watcher != nullptr) visit(*watcher);
    }
  }

 private:
  std::vector<Watcher*> watchers_;
};

class Poller {
 public:
  struct Event {
    int fd;
    unsigned events;
  };
  static constexpr std::int64_t kForever = -1;

  // Null, and an errno, on failure.
  static std::unique_ptr<Poller> open(int& error_number);

  Poller() = default;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  virtual ~Poller() = default;

  // From now on wait() ends for libuv's handles, too. `loop` stays owned by the caller and must outlive the
  // poller. Returns 0 or an errno.
  [[nodiscard]] virtual int embed(uv_loop_t* loop) = 0;
  // Whether wait() works, as long as it does not block, without a loop of libuv.
  [[nodiscard]] virtual bool needs_libuv() const noexcept { return true; }

  // Makes `watcher` wait for `interest` on `fd`; kNothing ends it. Returns 0 or an errno; on failure
  // nothing is registered for the watcher.
  [[nodiscard]] virtual int watch(Watcher& watcher, int fd, unsigned interest) = 0;
  void forget(Watcher& watcher) noexcept {
    if (watcher.watched_fd() >= 0) (void)watch(watcher, watcher.watched_fd(), kNothing);
  }

  // Whether a descriptor may stay registered, with kEdge, when its owner may close it at any time.
  [[nodiscard]] virtual bool tolerates_closed() const noexcept { return false; }

  // In the child of a fork: what the kernel watches for us is the parent's, too. From now on we have our own,
  // for the same watchers. Returns 0 or an errno; after an error wait() fails.
  [[nodiscard]] virtual int leave_parent() noexcept = 0;

  // Waits at most `timeout_ns` (kForever: until something happens, 0: not at all) for descriptors, libuv's
  // own handles or a signal. Runs without the GIL when the timeout is not 0. Returns 0 or an errno.
  [[nodiscard]] virtual int wait(std::int64_t timeout_ns) noexcept = 0;

  // What the last wait() found. Events of watchers that were registered after it are not theirs.
  [[nodiscard]] const std::vector<Event>& events() const noexcept { return found_; }
  [[nodiscard]] Watcher* find(int fd) const noexcept { return table_.find(fd); }

 protected:
  WatcherTable table_;
  std::vector<Event> found_;
};

}  // namespace veloop::core
