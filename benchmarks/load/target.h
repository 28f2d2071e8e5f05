// Where the load goes: tcp:HOST:PORT, udp:HOST:PORT (IPv4) or unix:PATH; and what every channel does with its
// socket.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct {
  union {
    struct sockaddr any;
    struct sockaddr_in inet;
    struct sockaddr_un local;
  } address;
  socklen_t size;
  int type;
} Target;

static inline bool target_parse_inet(const char* text, Target* target) {
  char host[INET_ADDRSTRLEN];
  const char* colon = strchr(text, ':');
  if (!colon || (size_t)(colon - text) >= sizeof host) return false;
  memcpy(host, text, (size_t)(colon - text));
  host[colon - text] = '\0';
  target->address.inet.sin_family = AF_INET;
  target->address.inet.sin_port = htons((uint16_t)atoi(colon + 1));
  target->size = sizeof target->address.inet;
  return inet_pton(AF_INET, host, &target->address.inet.sin_addr) == 1;
}

static inline bool target_parse(const char* text, Target* target) {
  memset(target, 0, sizeof *target);
  target->type = strncmp(text, "udp:", 4) ? SOCK_STREAM : SOCK_DGRAM;
  if (!strncmp(text, "tcp:", 4) || !strncmp(text, "udp:", 4)) return target_parse_inet(text + 4, target);
  if (strncmp(text, "unix:", 5) || strlen(text + 5) >= sizeof target->address.local.sun_path) return false;
  target->address.local.sun_family = AF_UNIX;
  strcpy(target->address.local.sun_path, text + 5);
  target->size = sizeof target->address.local;
  return true;
}

// A blocking connect: on the loopback the kernel completes it without the server's help. -1 with errno on
// failure.
static inline int target_connect(const Target* target) {
  int on = 1, fd = socket(target->address.any.sa_family, target->type | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, &target->address.any, target->size)) return -1;
  if (target->address.any.sa_family == AF_INET && target->type == SOCK_STREAM) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return fcntl(fd, F_SETFL, O_NONBLOCK) ? -1 : fd;
}

// With a reset, where there is such a thing: the port is free again at once.
static inline void target_reset_on_close(int fd) {
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}
