// A closed-loop load generator: each of N connections has one message in flight at any time.
//
//   loadgen MODE TARGET [-c CONNECTIONS] [-s SIZE] [-d SECONDS] [-w WARMUP] [-p SERVER_PID] [-k]
//
//   echo       send SIZE bytes, read SIZE bytes back, again
//   http       send a GET request, read one response, again (keep-alive; every response as long as the first)
//   websocket  a handshake, then as echo, in frames
//   connect    connect, echo SIZE bytes once, reset; again
//   sink       read whatever the server sends
//   source     send SIZE-byte chunks as fast as the server takes them
//   idle       echo SIZE bytes once on each connection and leave it at that; what the server's memory grew by
//
// TARGET is tcp:HOST:PORT, udp:HOST:PORT or unix:PATH. A build with channel_tls.c does the same through TLS.
//
// One JSON object goes to stdout. Only what happens between the end of the warm-up and the end of the run is
// counted. With -p it holds the CPU time the server used in that same window, read from the kernel's clock of
// that process, which is steadier than any rate on a machine shared with others. With -k the connections are
// kept open after the report until stdin ends, so that their loss is no part of what the server does
// meanwhile.
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "histogram.h"
#include "websocket.h"

// A batch of connections is opened and served once before the next: no backlog is too short.
enum { kScratch = 1 << 20, kEvents = 256, kStallMs = 20000, kBatch = 250 };

typedef enum { kEcho, kHttp, kWebSocket, kConnect, kSink, kSource, kIdle } Mode;
static const char* const kModeNames[] = {"echo", "http", "websocket", "connect", "sink", "source", "idle"};

typedef struct {
  char* data;
  size_t size;
} Message;

typedef struct {
  Channel channel;
  const Message* message;  // the one in flight, or the last one
  size_t unsent;           // of it
  size_t expected;         // bytes still to come back
  uint64_t started;
  bool wants_write, upgraded;
} Connection;

typedef struct {
  Mode mode;
  Target target;
  int connections;
  size_t size;
  double seconds, warmup;
  long server_pid;
  bool keep;
} Options;

static Options options = {.connections = 10, .size = 1024, .seconds = 2.0, .warmup = 0.3};
static int epoll_fd;
static Message message, handshake;
static size_t reply_size;    // 0 while unknown (http, before the first response)
static bool opening = true;  // as long as not all connections are open, each does one round only
static int answered;         // connections that got their first reply
static char scratch[kScratch];
static Histogram latency;
static uint64_t bytes_moved;

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "loadgen: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
  exit(1);
}

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec now;
  if (clock_gettime(clock, &now)) return 0;
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t server_cpu(void) {
  clockid_t clock;
  if (!options.server_pid || clock_getcpuclockid((pid_t)options.server_pid, &clock)) return 0;
  return nanoseconds(clock);
}

// ---- one connection ----

static void watch(Connection* connection, int operation) {
  uint32_t events = EPOLLIN | (connection->wants_write ? EPOLLOUT : 0);
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(epoll_fd, operation, connection->channel.fd, &event)) fail("epoll_ctl");
}

static void want_write(Connection* connection, bool wanted) {
  if (connection->wants_write == wanted) return;
  connection->wants_write = wanted;
  watch(connection, EPOLL_CTL_MOD);
}

static void send_rest(Connection* connection) {
  while (connection->unsent) {
    const char* rest = connection->message->data + connection->message->size - connection->unsent;
    ssize_t sent = channel_send(&connection->channel, rest, connection->unsent);
    if (sent == kBlocked) break;
    if (sent == kLost) fail("send");
    connection->unsent -= (size_t)sent;
    if (options.mode == kSource) bytes_moved += (size_t)sent;
  }
  // A source's next chunk waits for the next turn: be fair to the other connections.
  bool blocked = connection->unsent && connection->channel.blocked_on_writes;
  want_write(connection, blocked || options.mode == kSource);
}

static void start_round(Connection* connection) {
  if (options.mode == kSink) return;
  connection->started = nanoseconds(CLOCK_MONOTONIC);
  bool shakes_hands = options.mode == kWebSocket && !connection->upgraded;
  connection->message = shakes_hands ? &handshake : &message;
  connection->unsent = connection->message->size;
  connection->expected = reply_size;
  send_rest(connection);
}

static void open_connection(Connection* connection) {
  connection->started = nanoseconds(CLOCK_MONOTONIC);
  if (!channel_open(&connection->channel, &options.target)) fail("connect");
  connection->wants_write = false;
  watch(connection, EPOLL_CTL_ADD);
}

// ---- replies ----

// The first response, which must arrive in one piece, tells how long all responses are.
static size_t http_response_size(const char* start, size_t length) {
  const char* body = memmem(start, length, "\r\n\r\n", 4);
  if (!body) fail("http: no end of headers in the first segment");
  size_t head = (size_t)(body - start) + 4;
  for (const char* line = start; line < body; line = (const char*)memchr(line, '\n', length) + 1) {
    if (!strncasecmp(line, "content-length:", 15)) return head + strtoul(line + 15, NULL, 10);
  }
  fail("http: no content-length");
}

static void finish_round(Connection* connection) {
  uint64_t started = connection->started;
  if (opening) {
    answered++;
    histogram_add(&latency, nanoseconds(CLOCK_MONOTONIC) - started);
    return;
  }
  if (options.mode == kConnect) {
    histogram_add(&latency, nanoseconds(CLOCK_MONOTONIC) - started);
    channel_reset(&connection->channel);
    open_connection(connection);
    uint64_t opened = connection->started;  // a round includes its connect
    start_round(connection);
    connection->started = opened;
    return;
  }
  start_round(connection);  // the next request leaves first; its start is this round's end
  histogram_add(&latency, connection->started - started);
}

// False when nothing more is to be had without waiting.
static bool receive_some(Connection* connection) {
  Channel* channel = &connection->channel;
  ssize_t received = channel_receive(channel, scratch, sizeof scratch, options.mode == kSink);
  if (received == kBlocked) return false;
  if (received == kLost) fail("recv");
  if (received == 0) fail("the server closed a connection");
  bytes_moved += (size_t)received;
  if (options.mode == kSink) return false;  // there may be no end to it
  if (options.mode == kSource) return channel_has_buffered(channel);
  if (options.mode == kWebSocket && !connection->upgraded) {
    if (!websocket_accepted(scratch, (size_t)received)) fail("websocket: the handshake was not accepted");
    connection->upgraded = true;
    start_round(connection);
    return channel_has_buffered(channel);
  }
  if (!reply_size) connection->expected = reply_size = http_response_size(scratch, (size_t)received);
  if (!connection->expected) connection->expected = reply_size;
  if ((size_t)received > connection->expected) fail("more bytes came back than were asked for");
  connection->expected -= (size_t)received;
  bool more = channel_has_buffered(channel);
  if (!connection->expected) finish_round(connection);
  return more;
}

static void on_readable(Connection* connection) {
  if (connection->unsent) send_rest(connection);  // TLS: a handshake may have waited for bytes to come
  while (receive_some(connection))
    continue;
}

// ---- the run ----

static void turn(void) {
  struct epoll_event events[kEvents];
  int ready = epoll_wait(epoll_fd, events, kEvents, kStallMs);
  if (ready < 0 && errno != EINTR) fail("epoll_wait");
  if (ready == 0) fail("nothing came back for twenty seconds");
  for (int index = 0; index < ready; index++) {
    Connection* connection = events[index].data.ptr;
    if (events[index].events & EPOLLOUT) {
      if (options.mode == kSource && !connection->unsent) connection->unsent = options.size;
      send_rest(connection);
    }
    if (events[index].events & ~(uint32_t)EPOLLOUT) on_readable(connection);
  }
}

static void run_until(uint64_t deadline) {
  while (nanoseconds(CLOCK_MONOTONIC) < deadline)
    turn();
}

// Less than a round trip for each connection would be an arbitrary part of one.
static bool has_enough(void) {
  if (options.mode == kSink || options.mode == kSource) return bytes_moved > 0;
  return latency.count >= (uint64_t)options.connections;
}

static void open_all(Connection* connections) {
  bool answers = options.mode != kSink && options.mode != kSource;
  for (int opened = 0; opened < options.connections;) {
    int first = opened;
    while (opened < options.connections && opened < first + kBatch)
      open_connection(&connections[opened++]);
    for (int index = first; index < opened; index++)
      start_round(&connections[index]);
    while (answers && answered < opened)
      turn();
  }
  opening = false;
}

// One for each connection, and some: the soft limit is often too low.
static void allow_descriptors(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if ((rlim_t)options.connections + 16 > limit.rlim_max)
    errno = EMFILE, fail("more connections than descriptors");
}

// What the server's process holds for itself: its resident pages without those of files.
static long long server_memory(void) {
  char path[64];
  long long total, resident, shared;
  snprintf(path, sizeof path, "/proc/%ld/statm", options.server_pid);
  FILE* file = options.server_pid ? fopen(path, "r") : NULL;
  if (!file) return 0;
  int fields = fscanf(file, "%lld %lld %lld", &total, &resident, &shared);
  fclose(file);
  return fields == 3 ? (resident - shared) * sysconf(_SC_PAGESIZE) : 0;
}

static void report(double seconds, uint64_t cpu, long long memory) {
  struct rusage own;
  getrusage(RUSAGE_SELF, &own);
  printf(
      "{\"mode\": \"%s\", \"connections\": %d, \"size\": %zu, \"seconds\": %.6f, \"rounds\": %llu, "
      "\"bytes\": %llu, \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"server_cpu_seconds\": %.6f, "
      "\"load_cpu_seconds\": %.6f, \"server_memory_growth\": %lld}\n",
      kModeNames[options.mode], options.connections, options.size, seconds, (unsigned long long)latency.count,
      (unsigned long long)bytes_moved, (double)histogram_percentile(&latency, 50) / 1e3,
      (double)histogram_percentile(&latency, 99) / 1e3, (double)histogram_percentile(&latency, 99.9) / 1e3,
      (double)cpu / 1e9,
      (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
          (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6,
      memory);
}

static void parse(int argc, char** argv) {
  int option;
  while ((option = getopt(argc, argv, "c:s:d:w:p:k")) != -1) {
    if (option == 'c')
      options.connections = atoi(optarg);
    else if (option == 's')
      options.size = strtoul(optarg, NULL, 10);
    else if (option == 'd')
      options.seconds = atof(optarg);
    else if (option == 'w')
      options.warmup = atof(optarg);
    else if (option == 'p')
      options.server_pid = atol(optarg);
    else if (option == 'k')
      options.keep = true;
    else
      exit(2);
  }
  bool known = false;
  for (int mode = kEcho; argc == optind + 2 && mode <= kIdle; mode++) {
    if (strcmp(argv[optind], kModeNames[mode])) continue;
    options.mode = (Mode)mode;
    known = true;
  }
  if (!known || options.connections < 1 || options.size < 1) {
    fprintf(stderr, "usage: loadgen MODE TARGET [-c N] [-s SIZE] [-d SECONDS] [-w WARMUP] [-p PID] [-k]\n");
    exit(2);
  }
  if (!target_parse(argv[optind + 1], &options.target))
    fail("TARGET is tcp:A.B.C.D:PORT, udp:A.B.C.D:PORT or unix:PATH");
}

static Message message_of(const char* text) { return (Message){strdup(text), strlen(text)}; }

static void make_messages(void) {
  if (options.mode == kHttp) {
    message = message_of("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: loadgen\r\nAccept: */*\r\n\r\n");
    return;
  }
  size_t header = options.mode == kWebSocket ? kWebSocketHeader : 0;
  char* payload = (char*)malloc(header + options.size) + header;
  memset(payload, 'x', options.size);
  payload[options.size - 1] = '\n';  // so that a server that reads lines sees one line per message
  message = (Message){payload, options.size};
  reply_size = options.size;
  if (options.mode != kWebSocket) return;
  handshake = message_of(kWebSocketHandshake);
  size_t used = websocket_frame(payload, options.size);
  message = (Message){payload - used, used + options.size};
  reply_size = options.size + used - kWebSocketMask;  // a server does not mask
}

int main(int argc, char** argv) {
  parse(argc, argv);
  make_messages();
  allow_descriptors();
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  Connection* connections = calloc((size_t)options.connections, sizeof *connections);
  long long memory = server_memory();
  uint64_t cpu = server_cpu(), start = nanoseconds(CLOCK_MONOTONIC);
  open_all(connections);
  if (options.mode != kIdle) {
    for (int index = 0; answered && index < options.connections; index++)
      start_round(&connections[index]);
    run_until(nanoseconds(CLOCK_MONOTONIC) + (uint64_t)(options.warmup * 1e9));
    histogram_clear(&latency);
    bytes_moved = 0;
    cpu = server_cpu(), start = nanoseconds(CLOCK_MONOTONIC);
    run_until(start + (uint64_t)(options.seconds * 1e9));
    while (!has_enough())
      turn();
  }
  uint64_t end = nanoseconds(CLOCK_MONOTONIC);
  report((double)(end - start) / 1e9, server_cpu() - cpu, server_memory() - memory);
  fflush(stdout);
  while (options.keep && read(STDIN_FILENO, scratch, sizeof scratch) > 0)
    continue;
  return 0;
}
