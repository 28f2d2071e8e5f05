// TLS 1.3 by OpenSSL over the same socket. Certificates are not verified and sessions not resumed: each
// connection pays for a full handshake.
//
// A record is received with one call (buffers for many of them only cost copies), and the records of one
// message leave together: whoever does that by buffers of his own must not be faster than the limit, or than
// the load.
#include "channel.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

enum { kRecord = 16 * 1024 };

static SSL_CTX* context;       // a client's, unless channel_certify has made it a server's
static BIO_METHOD* transport;  // between OpenSSL and the socket
static int more_follows;       // MSG_MORE while a record is not the last of its message

// ---- what OpenSSL calls ----

static int write_record(BIO* bio, const char* data, int size) {
  const Channel* channel = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  ssize_t sent = send(channel->fd, data, (size_t)size, MSG_NOSIGNAL | more_follows);
  if (sent < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
  return (int)sent;
}

static int read_records(BIO* bio, char* buffer, int size) {
  const Channel* channel = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  ssize_t received = recv(channel->fd, buffer, (size_t)size, 0);
  if (received < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
  if (received == 0) errno = ECONNRESET;  // an end without a farewell is a loss
  return (int)received;
}

static long control(BIO* bio, int command, long number, void* pointer) {
  (void)bio, (void)number, (void)pointer;
  return command == BIO_CTRL_FLUSH;  // nothing is held back
}

// ---- channels ----

static void make_context(const SSL_METHOD* method) {
  context = SSL_CTX_new(method);
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);  // or each record's header would be received by itself
  transport = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "channel");
  BIO_meth_set_write(transport, write_record);
  BIO_meth_set_read(transport, read_records);
  BIO_meth_set_ctrl(transport, control);
}

static void start_session(Channel* channel) {
  BIO* bio = BIO_new(transport);
  BIO_set_data(bio, channel);
  BIO_set_init(bio, 1);
  channel->session = SSL_new(context);
  SSL_set_bio(channel->session, bio, bio);
}

bool channel_open(Channel* channel, const Target* target) {
  if (!context) make_context(TLS_client_method());
  channel->fd = target_connect(target);
  if (channel->fd < 0) return false;
  start_session(channel);
  SSL_set_connect_state(channel->session);
  SSL_do_handshake(channel->session);  // its first message: who only receives would never send one
  return true;
}

bool channel_certify(const char* certificate) {
  make_context(TLS_server_method());
  return SSL_CTX_use_certificate_chain_file(context, certificate) == 1 &&
         SSL_CTX_use_PrivateKey_file(context, certificate, SSL_FILETYPE_PEM) == 1;
}

void channel_accept(Channel* channel, int fd) {
  channel->fd = fd;
  start_session(channel);
  SSL_set_accept_state(channel->session);
}

// An SSL call's failure in the terms of channel.h.
static ssize_t failure(Channel* channel, int result) {
  int error = SSL_get_error(channel->session, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return kBlocked;
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error == SSL_ERROR_SSL) errno = EPROTO;
  ERR_clear_error();  // or it would be taken for the next channel's
  return kLost;
}

ssize_t channel_send(Channel* channel, const char* data, size_t size) {
  size_t taken = 0;
  ssize_t failed = 0;
  while (taken < size && !failed) {
    size_t left = size - taken, record = left < kRecord ? left : kRecord;
    more_follows = left > record && SSL_is_init_finished(channel->session) ? MSG_MORE : 0;
    int written = SSL_write(channel->session, data + taken, (int)record);
    if (written > 0)
      taken += (size_t)written;
    else if ((failed = failure(channel, written)) == 0)
      failed = kLost;
  }
  more_follows = 0;
  channel->blocked_on_writes = failed == kBlocked && SSL_want_write((SSL*)channel->session);
  return taken ? (ssize_t)taken : failed;
}

ssize_t channel_receive(Channel* channel, char* buffer, size_t size, bool discard) {
  // A sink must not be slower than its server: what it does not look at is not decrypted either.
  if (discard && SSL_is_init_finished(channel->session)) {
    ssize_t dropped = recv(channel->fd, buffer, size, MSG_TRUNC);
    return dropped >= 0 ? dropped : errno == EAGAIN ? kBlocked : kLost;
  }
  size_t received = 0;
  do {
    int read = SSL_read(channel->session, buffer + received, (int)(size - received));
    if (read <= 0) {
      ssize_t failed = failure(channel, read);
      return received ? (ssize_t)received : failed;  // a loss will be told again
    }
    received += (size_t)read;
  } while (received < size && SSL_has_pending(channel->session));
  return (ssize_t)received;
}

bool channel_has_buffered(const Channel* channel) { return SSL_has_pending(channel->session); }

void channel_close(Channel* channel) {
  SSL_free(channel->session);
  close(channel->fd);
}
