// The limit that any event loop on libuv runs into: an echo server in plain C.
//
//   limit_server tcp|http|source:SIZE|sink|udp|unix:PATH [CERTIFICATE]
//
// http answers whatever it receives with the same small response: the server for clients of that kind. source
// sends SIZE bytes at a time, as fast as they are taken; sink only receives. A build with channel_tls.c,
// which takes a certificate, does the same through TLS.
//
// libuv says when a connection is ready (uv_poll_t); bytes are received and sent on the spot with one shared
// buffer, because nothing is kept between two messages. Only what would not be taken at once is stored, and
// while something is stored the connection is not read. Prints its port on the first line (0 for a path).
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <uv.h>

#include "channel.h"

enum { kBufferSize = 256 * 1024, kBacklog = 1024, kSendsPerTurn = 64 };

typedef struct {
  uv_poll_t poll;  // first: freed through its address
  Channel channel;
  int awaited;   // UV_READABLE or UV_WRITABLE
  char* stored;  // owned; NULL while nothing waits to be sent
  size_t stored_size, stored_sent;
} Connection;

static char buffer[kBufferSize];
static const char kResponse[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
static bool is_http, is_sink;
static size_t source_size;  // 0: no source

static void on_event(uv_poll_t* poll, int status, int events);

static void free_connection(uv_handle_t* handle) {
  Connection* connection = (Connection*)handle;
  free(connection->stored);
  free(connection);
}

static void drop(Connection* connection) {
  uv_poll_stop(&connection->poll);
  channel_close(&connection->channel);
  uv_close((uv_handle_t*)&connection->poll, free_connection);
}

static void await(Connection* connection, int events) {
  if (connection->awaited == events) return;
  connection->awaited = events;
  uv_poll_start(&connection->poll, events, on_event);
}

// What was sent, 0 when nothing is taken now, -1 when the connection is lost.
static ssize_t send_some(Connection* connection, const char* data, size_t size) {
  ssize_t sent = channel_send(&connection->channel, data, size);
  return sent == kBlocked ? 0 : sent == kLost ? -1 : sent;
}

// Whether more is to be had without waiting.
static bool echo_once(Connection* connection) {
  ssize_t received = channel_receive(&connection->channel, buffer, sizeof buffer, false);
  if (received == kBlocked) return false;
  if (received <= 0) return drop(connection), false;
  bool more = channel_has_buffered(&connection->channel);
  if (is_sink) return more;
  if (is_http) memcpy(buffer, kResponse, (size_t)(received = sizeof kResponse - 1));
  ssize_t sent = send_some(connection, buffer, (size_t)received);
  if (sent < 0) return drop(connection), false;
  if (sent == received) return more;
  connection->stored_size = (size_t)(received - sent);
  connection->stored_sent = 0;
  connection->stored = malloc(connection->stored_size);
  memcpy(connection->stored, buffer + sent, connection->stored_size);
  await(connection, UV_WRITABLE);
  return false;
}

static void echo(Connection* connection) {
  while (echo_once(connection))
    continue;
}

static void send_stored(Connection* connection) {
  size_t left = connection->stored_size - connection->stored_sent;
  ssize_t sent = send_some(connection, connection->stored + connection->stored_sent, left);
  if (sent < 0) return drop(connection);
  connection->stored_sent += (size_t)sent;
  if (connection->stored_sent < connection->stored_size) return;
  free(connection->stored);
  connection->stored = NULL;
  await(connection, UV_READABLE);
  if (channel_has_buffered(&connection->channel)) echo(connection);
}

static void send_more(Connection* connection) {
  for (int count = 0; count < kSendsPerTurn; count++) {
    ssize_t sent = send_some(connection, buffer, source_size);
    if (sent < 0) return drop(connection);
    if (sent == (ssize_t)source_size) continue;
    // TLS: a handshake may wait for bytes to come.
    return await(connection, connection->channel.blocked_on_writes ? UV_WRITABLE : UV_READABLE);
  }
  await(connection, UV_WRITABLE);
}

static void on_event(uv_poll_t* poll, int status, int events) {
  Connection* connection = (Connection*)poll;
  (void)events;
  if (status < 0) return drop(connection);
  if (source_size)
    send_more(connection);
  else if (connection->stored)
    send_stored(connection);
  else
    echo(connection);
}

static void on_connections(uv_poll_t* listener, int status, int events) {
  (void)status, (void)events;
  for (;;) {
    int on = 1, fd = accept4((int)(intptr_t)listener->data, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection* connection = calloc(1, sizeof *connection);
    channel_accept(&connection->channel, fd);
    uv_poll_init(listener->loop, &connection->poll, fd);
    await(connection, source_size ? UV_WRITABLE : UV_READABLE);
  }
}

static void on_datagrams(uv_poll_t* poll, int status, int events) {
  (void)status, (void)events;
  int fd = (int)(intptr_t)poll->data;
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  ssize_t received = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr*)&from, &size);
  if (received >= 0) sendto(fd, buffer, (size_t)received, 0, (struct sockaddr*)&from, size);
}

static int bound_socket(const char* kind, Target* target) {
  const char* text = strncmp(kind, "unix:", 5) == 0 ? kind
                     : strcmp(kind, "udp")          ? "tcp:127.0.0.1:0"
                                                    : "udp:127.0.0.1:0";
  if (!target_parse(text, target)) return -1;
  int fd = socket(target->address.any.sa_family, target->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, &target->address.any, target->size)) return -1;
  if (target->type == SOCK_STREAM && listen(fd, kBacklog)) return -1;
  target->size = sizeof target->address;
  return getsockname(fd, &target->address.any, &target->size) ? -1 : fd;
}

int main(int argc, char** argv) {
  const char* kind = argc > 1 ? argv[1] : "tcp";
  struct rlimit descriptors;
  getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
  if (argc > 2 && !channel_certify(argv[2])) {
    fprintf(stderr, "limit_server: cannot use %s\n", argv[2]);
    return 1;
  }
  is_http = strcmp(kind, "http") == 0;
  is_sink = strcmp(kind, "sink") == 0;
  if (!strncmp(kind, "source:", 7)) source_size = strtoul(kind + 7, NULL, 10);
  if (source_size > kBufferSize) source_size = kBufferSize;
  Target target;
  int fd = bound_socket(kind, &target);
  if (fd < 0) {
    perror("limit_server");
    return 1;
  }
  uv_loop_t* loop = uv_default_loop();
  uv_poll_t listener;
  uv_poll_init(loop, &listener, fd);
  listener.data = (void*)(intptr_t)fd;
  uv_poll_start(&listener, UV_READABLE, target.type == SOCK_DGRAM ? on_datagrams : on_connections);
  printf("%d\n", target.address.any.sa_family == AF_INET ? ntohs(target.address.inet.sin_port) : 0);
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
