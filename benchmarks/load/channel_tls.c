// TLS by OpenSSL over the same socket. Certificates are not verified and sessions not resumed: each
// connection pays for a full handshake, and the cost measured is the server's.
#include "channel.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>

static SSL_CTX* context(void) {
  static SSL_CTX* shared;
  if (shared) return shared;
  signal(SIGPIPE, SIG_IGN);
  shared = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(shared, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(shared, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return shared;
}

bool channel_open(Channel* channel, const Target* target) {
  channel->fd = target_connect(target);
  if (channel->fd < 0) return false;
  channel->session = SSL_new(context());
  SSL_set_fd(channel->session, channel->fd);
  SSL_set_connect_state(channel->session);
  return true;
}

// An SSL call's result in the terms of channel.h.
static ssize_t outcome(Channel* channel, int result) {
  if (result > 0) return result;
  int error = SSL_get_error(channel->session, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return kBlocked;
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error == SSL_ERROR_SSL) errno = EPROTO;
  return kLost;
}

ssize_t channel_send(Channel* channel, const char* data, size_t size) {
  int sent = SSL_write(channel->session, data, (int)size);
  ssize_t taken = outcome(channel, sent);
  channel->blocked_on_writes = taken > 0 ? taken < (ssize_t)size : SSL_want_write((SSL*)channel->session);
  return taken ? taken : kLost;
}

ssize_t channel_receive(Channel* channel, char* buffer, size_t size, bool discard) {
  (void)discard;  // a record must be decrypted in any case
  return outcome(channel, SSL_read(channel->session, buffer, (int)size));
}

bool channel_has_buffered(const Channel* channel) { return SSL_pending(channel->session) > 0; }

void channel_reset(Channel* channel) {
  SSL_free(channel->session);
  target_disconnect(channel->fd);
}
