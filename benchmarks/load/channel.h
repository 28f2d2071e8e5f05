// One connection as the load generator and the limit server see it. Two implementations of the same
// functions, plain and TLS; a program is linked with one of them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "target.h"

typedef struct {
  int fd;
  void* session;           // the TLS state, if there is one
  bool blocked_on_writes;  // why the last send did not take everything: the socket was full
} Channel;

enum { kBlocked = -1, kLost = -2 };

// A client's end: connected and non-blocking on return. A TLS handshake goes on within the first sends and
// receives. False with errno set when the server cannot be reached.
bool channel_open(Channel* channel, const Target* target);

// Before a server's first channel, where it needs one: a PEM file with a certificate and its key. False if
// there is no use for it.
bool channel_certify(const char* certificate);

// A server's end, of an accepted non-blocking socket. The channel stays where it is until it is closed.
void channel_accept(Channel* channel, int fd);

// Bytes taken, kBlocked or kLost. What was blocked is sent again, no shorter than it was.
ssize_t channel_send(Channel* channel, const char* data, size_t size);

// Bytes received, 0 at the end of the stream, kBlocked or kLost. With `discard` the content does not matter.
ssize_t channel_receive(Channel* channel, char* buffer, size_t size, bool discard);

// Whether bytes are at hand that no readiness of the descriptor will announce.
bool channel_has_buffered(const Channel* channel);

void channel_close(Channel* channel);

// Closes with a reset, so that a port is free again at once.
static inline void channel_reset(Channel* channel) {
  target_reset_on_close(channel->fd);
  channel_close(channel);
}
