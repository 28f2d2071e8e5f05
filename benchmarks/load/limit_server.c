// The limit that any event loop on libuv runs into: an echo server in plain C.
//
// libuv says when a connection is readable (uv_poll_t); recv and send are called on the spot with one shared buffer,
// because nothing is kept between two messages. Only what the kernel would not take at once is stored, and while
// something is stored the connection is not read. Prints its port on the first line.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { kBufferSize = 256 * 1024, kBacklog = 1024 };

typedef struct {
  uv_poll_t poll;  // first: freed through its address
  int fd;
  char* stored;  // owned; NULL while nothing waits to be sent
  size_t stored_size, stored_sent;
} Connection;

static char buffer[kBufferSize];

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

static void on_event(uv_poll_t* poll, int status, int events) {
  Connection* connection = (Connection*)poll;
  (void)events;
  if (status < 0) return drop(connection);
  if (connection->stored) send_stored(connection);
  else echo_once(connection);
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
    uv_poll_start(&connection->poll, UV_READABLE, on_event);
  }
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(fd, (struct sockaddr*)&address, size) || listen(fd, kBacklog) ||
      getsockname(fd, (struct sockaddr*)&address, &size)) {
    perror("limit_server");
    return 1;
  }
  uv_loop_t* loop = uv_default_loop();
  uv_poll_t listener;
  uv_poll_init(loop, &listener, fd);
  listener.data = (void*)(intptr_t)fd;
  uv_poll_start(&listener, UV_READABLE, on_connections);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
