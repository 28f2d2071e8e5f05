// Preloaded while instructions are counted: a clock that runs by itself, so that every run takes the same
// path; and the marks between which valgrind's callgrind counts.
//
// Each look at the clock lets a little time pass, and a wait in which nothing becomes ready takes exactly as
// long as was asked for, without waiting. So a loop that polls "every 0.1 ms" does it after the same number
// of callbacks in each run, however slow valgrind makes them.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

enum { kLook = 200 };  // nanoseconds that pass between two looks at the clock

static int64_t now = INT64_C(1800000000) * 1000000000;

static struct timespec as_timespec(int64_t nanoseconds) {
  return (struct timespec){nanoseconds / 1000000000, nanoseconds % 1000000000};
}

int clock_gettime(clockid_t clock, struct timespec* result) {
  (void)clock;
  now += kLook;
  *result = as_timespec(now);
  return 0;
}

typedef int (*Pwait)(int, struct epoll_event*, int, int, const sigset_t*);

// `timeout` in nanoseconds; negative: no limit, which is left to the kernel.
static int wait_for(int fd, struct epoll_event* events, int most, int64_t timeout, const sigset_t* mask) {
  static Pwait pwait;
  if (!pwait) pwait = (Pwait)dlsym(RTLD_NEXT, "epoll_pwait");
  int ready = pwait(fd, events, most, timeout < 0 ? -1 : 0, mask);
  if (ready == 0) now += timeout;
  return ready;
}

static int64_t from_milliseconds(int timeout) { return timeout < 0 ? -1 : (int64_t)timeout * 1000000; }

int epoll_wait(int fd, struct epoll_event* events, int most, int timeout) {
  return wait_for(fd, events, most, from_milliseconds(timeout), NULL);
}

int epoll_pwait(int fd, struct epoll_event* events, int most, int timeout, const sigset_t* mask) {
  return wait_for(fd, events, most, from_milliseconds(timeout), mask);
}

int epoll_pwait2(int fd, struct epoll_event* events, int most, const struct timespec* timeout,
                 const sigset_t* mask) {
  int64_t nanoseconds = timeout ? (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec : -1;
  return wait_for(fd, events, most, nanoseconds, mask);
}

// Who calls epoll_pwait2 by its number finds it, too, whether or not valgrind knows it.
long syscall(long number, ...) {
  static long (*real)(long, ...);
  if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  va_list list;
  va_start(list, number);
  long a[6];
  for (int index = 0; index < 6; index++)
    a[index] = va_arg(list, long);
  va_end(list);
#ifdef SYS_epoll_pwait2
  if (number == SYS_epoll_pwait2) {
    return epoll_pwait2((int)a[0], (struct epoll_event*)a[1], (int)a[2], (const struct timespec*)a[3],
                        (const sigset_t*)a[4]);
  }
#endif
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void steady_begin(void) {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}

void steady_end(void) {
  CALLGRIND_DUMP_STATS;
  CALLGRIND_STOP_INSTRUMENTATION;
}
