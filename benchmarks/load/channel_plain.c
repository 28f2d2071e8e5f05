// The socket as it is: TCP, UDP or Unix.
#include "channel.h"

#include <errno.h>
#include <sys/socket.h>

bool channel_open(Channel* channel, const Target* target) {
  channel->fd = target_connect(target);
  return channel->fd >= 0;
}

bool channel_certify(const char* certificate) {
  (void)certificate;
  return false;
}

void channel_accept(Channel* channel, int fd) { channel->fd = fd; }

ssize_t channel_send(Channel* channel, const char* data, size_t size) {
  ssize_t sent = send(channel->fd, data, size, MSG_NOSIGNAL);
  channel->blocked_on_writes = sent < (ssize_t)size;
  if (sent >= 0) return sent;
  return errno == EAGAIN ? kBlocked : kLost;
}

// MSG_TRUNC makes TCP drop the bytes without copying them (Unix sockets ignore it): a sink must not be slower
// than its server.
ssize_t channel_receive(Channel* channel, char* buffer, size_t size, bool discard) {
  ssize_t received = recv(channel->fd, buffer, size, discard ? MSG_TRUNC : 0);
  if (received >= 0) return received;
  return errno == EAGAIN ? kBlocked : kLost;
}

bool channel_has_buffered(const Channel* channel) {
  (void)channel;
  return false;
}

void channel_close(Channel* channel) { close(channel->fd); }
