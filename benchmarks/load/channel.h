// One client connection as the load generator sees it. Two implementations of the same five functions, plain
// and TLS; the program is linked with one of them.
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

// Connected and non-blocking on return. A TLS handshake takes place within the first sends and receives.
// False with errno set when the server cannot be reached.
bool channel_open(Channel* channel, const Target* target);

// Bytes taken, kBlocked or kLost.
ssize_t channel_send(Channel* channel, const char* data, size_t size);

// Bytes received, 0 at the end of the stream, kBlocked or kLost. With `discard` the content does not matter.
ssize_t channel_receive(Channel* channel, char* buffer, size_t size, bool discard);

// Whether bytes are at hand that no readiness of the descriptor will announce.
bool channel_has_buffered(const Channel* channel);

// Closes with a reset, so that a port is free again at once.
void channel_reset(Channel* channel);
