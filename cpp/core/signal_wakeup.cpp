#include "core/signal_wakeup.hpp"

#include <unistd.h>

#include <array>
#include <utility>

#include "py/call.hpp"
#include "py/error.hpp"

namespace veloop::core {
namespace {

// PySignal_SetWakeupFd() is exported from Python 3.13 on.
constexpr bool kLentPerWait = PY_VERSION_HEX >= 0x030D0000;

}  // namespace

int SignalWakeup::exchange(int fd) const noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  return PySignal_SetWakeupFd(fd);
#else
  const py::ErrorStash stash;
  const auto previous = py::steal(PyObject_CallFunction(state_.library.set_wakeup_fd.get(), "i", fd));
  const long number = previous ? PyLong_AsLong(previous.get()) : -1;
  PyErr_Clear();
  return static_cast<int>(number);
#endif
}

bool SignalWakeup::prepare(Poller& poller) noexcept {
  prepared_ = true;
  usable_ = false;
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) return true;
  // Only the main thread may set the descriptor. A fork can make another thread the main one.
  const auto thread = py::call(state_.library.main_thread.get());
  const auto ident = thread ? py::steal(PyObject_GetAttrString(thread.get(), "ident")) : py::Ref<>();
  if (!ident) return false;
  const bool is_main =
      PyLong_Check(ident.get()) && PyLong_AsUnsignedLongMask(ident.get()) == PyThread_get_thread_ident();
  usable_ = is_main && open(poller);
  return true;
}

bool SignalWakeup::open(Poller& poller) noexcept {
  if (write_end_) return true;
  uv_file ends[2] = {-1, -1};
  // Without descriptors to spare the wait goes on as it would without us.
  if (uv_pipe(ends, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE) != 0) return false;
  read_end_.reset(ends[0]);
  write_end_.reset(ends[1]);
  const bool watched = py::guard([&] { return poller.watch(*this, read_end_.get(), kReadable) == 0; });
  if (!watched) {
    PyErr_Clear();
    close();
  }
  return watched;
}

void SignalWakeup::close() noexcept {
  take_back();
  prepared_ = usable_ = false;
  read_end_.reset();
  write_end_.reset();
}

void SignalWakeup::on_events(unsigned) noexcept { pass_on(-1); }

void SignalWakeup::pass_on(int other_fd) noexcept {
  std::array<char, 256> numbers;
  ssize_t count = 0;
  while ((count = ::read(read_end_.get(), numbers.data(), numbers.size())) > 0) {
    if (other_fd >= 0 && ::write(other_fd, numbers.data(), static_cast<std::size_t>(count)) < 0) return;
  }
}

void SignalWakeup::lend() noexcept {
  const int others = exchange(write_end_.get());
  lent_ = others == -1;
  if (lent_) return;
  // Python refuses a descriptor that was closed: then nothing is set.
  if (exchange(others) != write_end_.get()) (void)exchange(-1);
  pass_on(others);  // a signal that came between the two
}

void SignalWakeup::take_back() noexcept {
  if (!std::exchange(lent_, false)) return;
  const int current = exchange(-1);
  // Python code that ran meanwhile, a signal handler at least, has set another one.
  if (current != write_end_.get() && current != -1) (void)exchange(current);
}

SignalWakeup::Run::Run(SignalWakeup& wakeup) noexcept : wakeup_(wakeup) {
  wakeup.prepared_ = false;
  wakeup.running_ = true;
}

SignalWakeup::Run::~Run() {
  wakeup_.running_ = false;
  wakeup_.take_back();
}

SignalWakeup::Wait::Wait(SignalWakeup& wakeup) noexcept : wakeup_(wakeup) {
  if (!wakeup.usable_) return;
  if constexpr (kLentPerWait) {
    wakeup.lend();
  } else {
    wakeup.usable_ = false;  // until the next run
    if (wakeup.running_) wakeup.lend();
  }
}

SignalWakeup::Wait::~Wait() {
  if constexpr (kLentPerWait) wakeup_.take_back();
}

}  // namespace veloop::core
