// The limit that any event loop on libuv runs into: an echo server in plain C.
//
//   limit_server tcp|http|source:SIZE|udp|unix:PATH
//
// http answers whatever it receives with the same small response: the server for clients of that kind. source
// sends SIZE bytes at a time, as fast as they are taken.
//
// libuv says when a connection is readable (uv_poll_t); recv and send are called on the spot with one shared
// buffer, because nothing is kept between two messages. Only what the kernel would not take at once is
// stored, and while something is stored the connection is not read. Prints its port on the first line (0 for
// a path).
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <uv.h>

#include "target.h"

enum { kBufferSize = 256 * 1024, kBacklog = 1024, kSendsPerTurn = 64 };

typedef struct {
  uv_poll_t poll;  // first: freed through its address
  int fd;
  char* stored;  // owned; NULL while nothing waits to be sent
  size_t stored_size, stored_sent;
} Connection;

static char buffer[kBufferSize];
static const char kResponse[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
static bool is_http;
static size_t source_size;  // 0: no source

static void on_event(uv_poll_t* poll, int status, int events);

static void free_connection(uv_handle_t* handle) {
  Connection* connection = (Connection*)handle;
  free(connection->stored);
  free(connection);
}

static void drop(Connection* connection) {
  uv_poll_stop(&connection->poll);
  close(connection->fd);
  uv_close((uv_handle_t*)&connection->poll, free_connection);
}

// What was sent, 0 when the socket is full, -1 when the connection is lost.
static ssize_t send_some(int fd, const char* data, size_t size) {
  ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
  if (sent >= 0) return sent;
  return errno == EAGAIN ? 0 : -1;
}

static void echo_once(Connection* connection) {
  ssize_t received = recv(connection->fd, buffer, sizeof buffer, 0);
  if (received < 0 && errno == EAGAIN) return;
  if (received <= 0) return drop(connection);
  if (is_http) memcpy(buffer, kResponse, (size_t)(received = sizeof kResponse - 1));
  ssize_t sent = send_some(connection->fd, buffer, (size_t)received);
  if (sent < 0) return drop(connection);
  if (sent == received) return;
  connection->stored_size = (size_t)(received - sent);
  connection->stored_sent = 0;
  connection->stored = malloc(connection->stored_size);
  memcpy(connection->stored, buffer + sent, connection->stored_size);
  uv_poll_start(&connection->poll, UV_WRITABLE, on_event);
}

static void send_stored(Connection* connection) {
  size_t left = connection->stored_size - connection->stored_sent;
  ssize_t sent = send_some(connection->fd, connection->stored + connection->stored_sent, left);
  if (sent < 0) return drop(connection);
  connection->stored_sent += (size_t)sent;
  if (connection->stored_sent < connection->stored_size) return;
  free(connection->stored);
  connection->stored = NULL;
  uv_poll_start(&connection->poll, UV_READABLE, on_event);
}

static void send_more(Connection* connection) {
  for (int count = 0; count < kSendsPerTurn; count++) {
    ssize_t sent = send_some(connection->fd, buffer, source_size);
    if (sent < 0) return drop(connection);
    if (sent < (ssize_t)source_size) return;
  }
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
    echo_once(connection);
}

static void on_connections(uv_poll_t* listener, int status, int events) {
  (void)status, (void)events;
  for (;;) {
    int on = 1, fd = accept4((int)(intptr_t)listener->data, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection* connection = calloc(1, sizeof *connection);
    connection->fd = fd;
    uv_poll_init(listener->loop, &connection->poll, fd);
    uv_poll_start(&connection->poll, source_size ? UV_WRITABLE : UV_READABLE, on_event);
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
  is_http = strcmp(kind, "http") == 0;
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
