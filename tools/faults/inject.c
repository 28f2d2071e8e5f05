/* Loaded by LD_PRELOAD into a process that runs a program on an event loop: system calls that fail on demand.
 *
 * Inside a region that Python marks (faults_begin, faults_end), the calls of one thread are written down, each with what
 * it was made on: a descriptor is known by how it was made and as which of its kind ("accept 2"), which is the same on
 * every loop. One of the calls can be told to fail with an error; it is named by its function, its descriptor and
 * which of the calls on that descriptor it is.
 *
 * Descriptors made in the region get numbers that were never used before. A number that was closed stays unused, so
 * that whoever uses it once more is told EBADF, and is written down here, instead of hitting somebody else's.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what is known ---------------------------------------------------------------------------------------- */

/* Functions that do the same for a loop share a name: recv() of one is recvfrom() of another. */
enum Function {
  kSocket, kSocketpair, kAccept, kPipe, kEpollCreate, kEventfd, kTimerfd, kOpen, kDup, kPidfdOpen,
  kConnect, kBind, kListen, kRecv, kSend, kRead, kWrite, kSendfile, kShutdown, kClose, kFcntl,
  kGetsockopt, kSetsockopt, kGetsockname, kGetpeername, kEpollAdd, kEpollCtl, kEpollWait, kFork, kWaitpid
};

/* Added to the kind of what the loop makes for itself. */
enum { kOfTheLoop = 1024 };

enum { kNoDescriptor = -1, kNumbers = 65536, kMostCalls = 8192, kFirstNumber = 300 };

struct Call {
  int function;
  int kind;    /* of the descriptor: the function that made it, and for sockets what was asked for */
  int which;   /* of its kind */
  int nth;     /* call of this function on this descriptor */
  int error;   /* what it really failed with */
  int injected;
};

struct Made {
  int kind;
  int which;
};

static struct Made made[kNumbers];
static struct Call calls[kMostCalls];
static atomic_int call_count;
static int kinds_made[2 * kOfTheLoop];
static struct Call fault = {-1, 0, 0, 0, 0, 0};
static atomic_int active, tracking, making_loop, next_number = kFirstNumber;
static pid_t loop_thread, process;

static pid_t this_thread(void);
static pid_t this_process(void);

static int is_ours(void) { return active && this_thread() == loop_thread; }

static int is_known(int fd) { return fd >= 0 && fd < kNumbers; }

/* Writes a call down; returns the error that it has to fail with, or 0. */
static int begin_call(int function, int fd, int *index) {
  *index = -1;
  if (!is_ours() || call_count >= kMostCalls) return 0;
  const int here = call_count++;
  struct Call *call = &calls[here];
  *index = here;
  call->function = function;
  call->kind = is_known(fd) ? made[fd].kind : making_loop ? kOfTheLoop : kNoDescriptor;
  call->which = is_known(fd) ? made[fd].which : 0;
  call->error = 0;
  call->injected = 0;
  call->nth = 1;
  for (int i = 0; i < here; ++i) {
    if (calls[i].function == function && calls[i].kind == call->kind && calls[i].which == call->which) call->nth++;
  }
  if (fault.function != function || fault.kind != call->kind || fault.which != call->which || fault.nth != call->nth)
    return 0;
  call->injected = fault.error;
  return fault.error;
}

static long end_call(int index, long result) {
  if (index >= 0 && result < 0) calls[index].error = errno;
  return result;
}

/* A new descriptor: gets its name, and in the region a number that nobody had before. */
static int new_descriptor(int fd, int kind) {
  if (fd < 0 || !tracking || this_process() != process) return fd;
  if (active) {
    const int flags = (int)syscall(SYS_fcntl, fd, F_GETFD);
    const int number = (int)syscall(SYS_fcntl, fd, (flags & FD_CLOEXEC) != 0 ? F_DUPFD_CLOEXEC : F_DUPFD, next_number);
    if (number >= 0) {
      next_number = number + 1;
      syscall(SYS_close, fd);
      fd = number;
    }
  }
  if (is_known(fd)) {
    if (making_loop) kind += kOfTheLoop;
    made[fd].kind = kind;
    made[fd].which = ++kinds_made[kind];
  }
  return fd;
}

/* ---- for Python ------------------------------------------------------------------------------------------- */

void faults_prepare(void) {
  memset(made, 0, sizeof made);
  memset(kinds_made, 0, sizeof kinds_made);
  process = this_process();
  tracking = 1;
}

void faults_begin(int function, int kind, int which, int nth, int error) {
  const struct Call wanted = {function, kind, which, nth, error, 0};
  fault = wanted;
  call_count = 0;
  loop_thread = this_thread();
  making_loop = 1;
  active = 1;
}

/* The loop is made: what comes now is the program's. */
void faults_loop_made(void) { making_loop = 0; }

void faults_end(void) { active = 0; }

int faults_calls(struct Call *copy, int most) {
  const int count = call_count < most ? call_count : most;
  memcpy(copy, calls, (size_t)count * sizeof *calls);
  return count;
}

int faults_kind(int fd) { return is_known(fd) ? made[fd].kind : kNoDescriptor; }
int faults_which(int fd) { return is_known(fd) ? made[fd].which : 0; }

/* ---- the calls -------------------------------------------------------------------------------------------- */

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (real == NULL) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* The body of a function that works on a descriptor. */
#define ON_DESCRIPTOR(function, fd, call) \
  int index; \
  const int error = begin_call(function, fd, &index); \
  if (error != 0) { \
    errno = error; \
    return -1; \
  } \
  return end_call(index, (call))

/* The body of a function that makes a descriptor. */
#define MAKES(function, fd, made_kind, call) \
  int index; \
  const int error = begin_call(function, fd, &index); \
  if (error != 0) { \
    errno = error; \
    return -1; \
  } \
  return new_descriptor((int)end_call(index, (call)), made_kind)

/* Two descriptors at once; `kind` + 512 is the second one's. */
#define MAKES_TWO(function, numbers, call) \
  int index; \
  const int error = begin_call(function, kNoDescriptor, &index); \
  if (error != 0) { \
    errno = error; \
    return -1; \
  } \
  const int result = (int)end_call(index, (call)); \
  if (result == 0) { \
    (numbers)[0] = new_descriptor((numbers)[0], function); \
    (numbers)[1] = new_descriptor((numbers)[1], (function) + 512); \
  } \
  return result

long syscall(long number, ...) {
  REAL(long, "syscall", long, long, long, long, long, long, long);
  va_list list;
  va_start(list, number);
  const long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long);
  const long d = va_arg(list, long), e = va_arg(list, long), f = va_arg(list, long);
  va_end(list);
#ifdef SYS_epoll_pwait2
  if (number == SYS_epoll_pwait2) {
    ON_DESCRIPTOR(kEpollWait, (int)a, real(number, a, b, c, d, e, f));
  }
#endif
#ifdef SYS_pidfd_open
  if (number == SYS_pidfd_open) {
    MAKES(kPidfdOpen, kNoDescriptor, kPidfdOpen, (int)real(number, a, b, c, d, e, f));
  }
#endif
  return real(number, a, b, c, d, e, f);
}

static pid_t this_thread(void) { return (pid_t)syscall(SYS_gettid, 0L, 0L, 0L, 0L, 0L, 0L); }
static pid_t this_process(void) { return (pid_t)syscall(SYS_getpid, 0L, 0L, 0L, 0L, 0L, 0L); }

int socket(int domain, int type, int protocol) {
  REAL(int, "socket", int, int, int);
  MAKES(kSocket, kNoDescriptor, kSocket + 32 * (1 + (domain & 15)) , real(domain, type, protocol));
}

int socketpair(int domain, int type, int protocol, int numbers[2]) {
  REAL(int, "socketpair", int, int, int, int *);
  MAKES_TWO(kSocketpair, numbers, real(domain, type, protocol, numbers));
}

int accept(int fd, struct sockaddr *address, socklen_t *length) {
  REAL(int, "accept", int, struct sockaddr *, socklen_t *);
  MAKES(kAccept, fd, kAccept, real(fd, address, length));
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) {
  REAL(int, "accept4", int, struct sockaddr *, socklen_t *, int);
  MAKES(kAccept, fd, kAccept, real(fd, address, length, flags));
}

int pipe(int numbers[2]) {
  REAL(int, "pipe", int *);
  MAKES_TWO(kPipe, numbers, real(numbers));
}

int pipe2(int numbers[2], int flags) {
  REAL(int, "pipe2", int *, int);
  MAKES_TWO(kPipe, numbers, real(numbers, flags));
}

int epoll_create1(int flags) {
  REAL(int, "epoll_create1", int);
  MAKES(kEpollCreate, kNoDescriptor, kEpollCreate, real(flags));
}

int epoll_create(int size) {
  REAL(int, "epoll_create", int);
  MAKES(kEpollCreate, kNoDescriptor, kEpollCreate, real(size));
}

int eventfd(unsigned int value, int flags) {
  REAL(int, "eventfd", unsigned int, int);
  MAKES(kEventfd, kNoDescriptor, kEventfd, real(value, flags));
}

int timerfd_create(int clock, int flags) {
  REAL(int, "timerfd_create", int, int);
  MAKES(kTimerfd, kNoDescriptor, kTimerfd, real(clock, flags));
}

int pidfd_open(pid_t pid, unsigned int flags) {
  REAL(int, "pidfd_open", pid_t, unsigned int);
  MAKES(kPidfdOpen, kNoDescriptor, kPidfdOpen, real(pid, flags));
}

#define OPENS(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, #name, const char *, int, mode_t); \
    va_list list; \
    va_start(list, flags); \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0; \
    va_end(list); \
    MAKES(kOpen, kNoDescriptor, kOpen, real(path, flags, mode)); \
  }
OPENS(open)
OPENS(open64)

int dup(int fd) {
  REAL(int, "dup", int);
  MAKES(kDup, fd, kDup, real(fd));
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
  REAL(int, "connect", int, const struct sockaddr *, socklen_t);
  ON_DESCRIPTOR(kConnect, fd, real(fd, address, length));
}

int bind(int fd, const struct sockaddr *address, socklen_t length) {
  REAL(int, "bind", int, const struct sockaddr *, socklen_t);
  ON_DESCRIPTOR(kBind, fd, real(fd, address, length));
}

int listen(int fd, int backlog) {
  REAL(int, "listen", int, int);
  ON_DESCRIPTOR(kListen, fd, real(fd, backlog));
}

ssize_t recv(int fd, void *data, size_t size, int flags) {
  REAL(ssize_t, "recv", int, void *, size_t, int);
  ON_DESCRIPTOR(kRecv, fd, real(fd, data, size, flags));
}

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags) {
  (void)room;
  return recv(fd, data, size, flags);
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *length) {
  REAL(ssize_t, "recvfrom", int, void *, size_t, int, struct sockaddr *, socklen_t *);
  ON_DESCRIPTOR(kRecv, fd, real(fd, data, size, flags, address, length));
}

ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, struct sockaddr *address,
                       socklen_t *length) {
  (void)room;
  return recvfrom(fd, data, size, flags, address, length);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  REAL(ssize_t, "recvmsg", int, struct msghdr *, int);
  ON_DESCRIPTOR(kRecv, fd, real(fd, message, flags));
}

ssize_t send(int fd, const void *data, size_t size, int flags) {
  REAL(ssize_t, "send", int, const void *, size_t, int);
  ON_DESCRIPTOR(kSend, fd, real(fd, data, size, flags));
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length) {
  REAL(ssize_t, "sendto", int, const void *, size_t, int, const struct sockaddr *, socklen_t);
  ON_DESCRIPTOR(kSend, fd, real(fd, data, size, flags, address, length));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);
  ON_DESCRIPTOR(kSend, fd, real(fd, message, flags));
}

ssize_t read(int fd, void *data, size_t size) {
  REAL(ssize_t, "read", int, void *, size_t);
  ON_DESCRIPTOR(kRead, fd, real(fd, data, size));
}

ssize_t __read_chk(int fd, void *data, size_t size, size_t room) {
  (void)room;
  return read(fd, data, size);
}

ssize_t readv(int fd, const struct iovec *pieces, int count) {
  REAL(ssize_t, "readv", int, const struct iovec *, int);
  ON_DESCRIPTOR(kRead, fd, real(fd, pieces, count));
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  ON_DESCRIPTOR(kWrite, fd, real(fd, data, size));
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  ON_DESCRIPTOR(kWrite, fd, real(fd, pieces, count));
}

ssize_t sendfile(int out, int in, off_t *offset, size_t count) {
  REAL(ssize_t, "sendfile", int, int, off_t *, size_t);
  ON_DESCRIPTOR(kSendfile, out, real(out, in, offset, count));
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
  REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t);
  ON_DESCRIPTOR(kSendfile, out, real(out, in, offset, count));
}

int shutdown(int fd, int how) {
  REAL(int, "shutdown", int, int);
  ON_DESCRIPTOR(kShutdown, fd, real(fd, how));
}

/* A close() that fails has closed all the same, on Linux. */
int close(int fd) {
  REAL(int, "close", int);
  int index;
  const int error = begin_call(kClose, fd, &index);
  const int result = (int)end_call(index, real(fd));
  if (error == 0 || result != 0) return result;
  errno = error;
  return -1;
}

#define CONTROLS(name, function) \
  int name(int fd, int command, ...) { \
    REAL(int, #name, int, int, void *); \
    va_list list; \
    va_start(list, command); \
    void *argument = va_arg(list, void *); \
    va_end(list); \
    if (function == kFcntl && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) { \
      MAKES(kDup, fd, kDup, real(fd, command, argument)); \
    } \
    ON_DESCRIPTOR(function, fd, real(fd, command, argument)); \
  }
CONTROLS(fcntl, kFcntl)
CONTROLS(fcntl64, kFcntl)

/* What fcntl() does on one loop (O_NONBLOCK), ioctl() does on another. */
int ioctl(int fd, unsigned long request, ...) {
  REAL(int, "ioctl", int, unsigned long, void *);
  va_list list;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  ON_DESCRIPTOR(kFcntl, fd, real(fd, request, argument));
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length) {
  REAL(int, "getsockopt", int, int, int, void *, socklen_t *);
  ON_DESCRIPTOR(kGetsockopt, fd, real(fd, level, name, value, length));
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
  REAL(int, "setsockopt", int, int, int, const void *, socklen_t);
  ON_DESCRIPTOR(kSetsockopt, fd, real(fd, level, name, value, length));
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length) {
  REAL(int, "getsockname", int, struct sockaddr *, socklen_t *);
  ON_DESCRIPTOR(kGetsockname, fd, real(fd, address, length));
}

int getpeername(int fd, struct sockaddr *address, socklen_t *length) {
  REAL(int, "getpeername", int, struct sockaddr *, socklen_t *);
  ON_DESCRIPTOR(kGetpeername, fd, real(fd, address, length));
}

/* What it is about is the watched descriptor, not the set. Only entering one takes memory, and the kernel looks first
 * whether it is there already. */
int epoll_ctl(int set, int operation, int fd, struct epoll_event *event) {
  REAL(int, "epoll_ctl", int, int, int, struct epoll_event *);
  if (operation != EPOLL_CTL_ADD) {
    ON_DESCRIPTOR(kEpollCtl, fd, real(set, operation, fd, event));
  }
  int index;
  const int error = begin_call(kEpollAdd, fd, &index);
  const int result = (int)end_call(index, real(set, operation, fd, event));
  if (error == 0 || result != 0) return result;
  real(set, EPOLL_CTL_DEL, fd, event);
  errno = error;
  return -1;
}

int epoll_wait(int set, struct epoll_event *events, int most, int timeout) {
  REAL(int, "epoll_wait", int, struct epoll_event *, int, int);
  ON_DESCRIPTOR(kEpollWait, set, real(set, events, most, timeout));
}

int epoll_pwait(int set, struct epoll_event *events, int most, int timeout, const sigset_t *mask) {
  REAL(int, "epoll_pwait", int, struct epoll_event *, int, int, const sigset_t *);
  ON_DESCRIPTOR(kEpollWait, set, real(set, events, most, timeout, mask));
}

int epoll_pwait2(int set, struct epoll_event *events, int most, const struct timespec *timeout, const sigset_t *mask) {
  REAL(int, "epoll_pwait2", int, struct epoll_event *, int, const struct timespec *, const sigset_t *);
  ON_DESCRIPTOR(kEpollWait, set, real(set, events, most, timeout, mask));
}

pid_t waitpid(pid_t pid, int *status, int options) {
  REAL(pid_t, "waitpid", pid_t, int *, int);
  ON_DESCRIPTOR(kWaitpid, kNoDescriptor, real(pid, status, options));
}

/* Python's subprocess calls it when told not to use vfork(), which cannot be wrapped. */
pid_t fork(void) {
  REAL(pid_t, "fork", void);
  ON_DESCRIPTOR(kFork, kNoDescriptor, real());
}
