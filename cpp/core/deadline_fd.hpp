#pragma once
// DeadlineFd: ends a wait for an epoll set at a time, exactly (Linux: timerfd).
//
// The timeout of epoll_wait() is late by the kernel's timer slack: 50 µs, and a thousandth of a long one. A
// deadline that is armed for a time before the one that is asked for stays: it ends one wait for nothing,
// which costs less than a system call for each wait whose earliest timer was cancelled.
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <uv.h>

#include <cstdint>
#include <utility>

#include "base/owned_fd.hpp"

namespace veloop::core {

class DeadlineFd {
 public:
  static constexpr int kName = -2;  // of its event, where others have a descriptor's number

  // Opened with what else the loop needs to wait, not in the middle of a program that counts descriptors.
  // False if the system has none to spare: arm() tries again.
  bool open(int epoll_fd) noexcept {
    base::OwnedFd fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    if (!fd) return false;
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLET;  // told once, so that nobody has to read it
    event.data.fd = kName;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd.get(), &event) != 0) return false;
    fd_ = std::move(fd);
    return true;
  }

  // Has a wait for `epoll_fd` end with an event named kName, at the latest when `timeout_ns` have passed.
  // False if the system has none to spare: the caller has to do without.
  [[nodiscard]] bool arm(int epoll_fd, std::int64_t timeout_ns) noexcept {
    if (!fd_ && !open(epoll_fd)) return false;
    const std::uint64_t now = uv_hrtime();
    const std::uint64_t deadline = now + static_cast<std::uint64_t>(timeout_ns);
    if (armed_ > now && armed_ <= deadline) return true;
    // From now on, not at a time: who replaces the clock, as libfaketime does, does not replace the kernel's.
    itimerspec when = {};
    when.it_value.tv_sec = static_cast<time_t>(timeout_ns / kNanosPerSecond);
    when.it_value.tv_nsec = static_cast<long>(timeout_ns % kNanosPerSecond);
    if (timerfd_settime(fd_.get(), 0, &when, nullptr) != 0) return false;
    armed_ = deadline;
    return true;
  }

  // The event was seen.
  void passed() noexcept { armed_ = 0; }

  void close() noexcept {
    fd_.reset();
    armed_ = 0;
  }

 private:
  static constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

  base::OwnedFd fd_;
  std::uint64_t armed_ = 0;  // the time on uv_hrtime()'s clock for which it is set, while that is to come
};

}  // namespace veloop::core
