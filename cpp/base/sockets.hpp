#pragma once
// The socket calls that differ between systems. Each returns what the system call returns, with errno set.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/owned_fd.hpp"

namespace veloop::base {

// Never to wait, with the GIL in our hands: whoever shares the open socket, a child process for instance, can
// make it block.
inline constexpr int kReceiveFlags = MSG_DONTWAIT;

// Besides, writing to a connection that is gone must be an error, not a signal.
#ifdef MSG_NOSIGNAL
inline constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
inline constexpr int kSendFlags = MSG_DONTWAIT;  // macOS: SO_NOSIGPIPE, and Python ignores SIGPIPE
#endif

// Linux: Unix sockets named in a namespace of their own, by bytes that begin with a zero.
#ifdef __linux__
inline constexpr bool kHasAbstractNames = true;
#else
inline constexpr bool kHasAbstractNames = false;
#endif

// Whether the system call that just failed may be tried again at the next event: there was nothing to do, or
// a signal came first.
inline bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// Accepts a connection that is non-blocking and closed on exec. Empty, with errno set, on failure.
inline OwnedFd accept_nonblocking(int listening_fd, sockaddr* address, socklen_t* length) noexcept {
#ifdef __linux__
  for (;;) {
    OwnedFd fd(::accept4(listening_fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    // Made again when it was interrupted: whoever waits for an edge would not be told another time.
    if (fd || errno != EINTR) return fd;
  }
#else
  OwnedFd fd(::accept(listening_fd, address, length));
  if (fd) {
    ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
    ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  }
  return fd;
#endif
}

inline bool is_internet(int family) noexcept { return family == AF_INET || family == AF_INET6; }

// Small writes leave at once instead of waiting for the peer's acknowledgement (Nagle's algorithm).
inline void set_nodelay(int fd, int family) noexcept {
  if (!is_internet(family)) return;
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // Other stream protocols refuse: fine.
}

// Linux: an accepted connection has what was set on the listening socket.
#ifdef __linux__
inline constexpr bool kHandsDownNodelay = true;
#else
inline constexpr bool kHandsDownNodelay = false;
#endif

inline bool has_nodelay(int fd, int family) noexcept {
  int on = 0;
  socklen_t length = sizeof on;
  return is_internet(family) && ::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length) == 0 && on != 0;
}

}  // namespace veloop::base
