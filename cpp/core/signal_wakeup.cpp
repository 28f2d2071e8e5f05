#include "core/signal_wakeup.hpp"

#include <unistd.h>

#include <array>

#include "py/call.hpp"
#include "py/error.hpp"

namespace veloop::core {

bool SignalWakeup::prepare(Poller& poller, PyObject* main_thread) noexcept {
  asked_ = true;
  usable_ = false;
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) return true;
  // Only the main thread may set the descriptor. A fork can make another thread the main one.
  const auto thread = py::call(main_thread);
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
  if (lent_) PySignal_SetWakeupFd(-1);
  lent_ = usable_ = asked_ = false;
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

SignalWakeup::Lent::Lent(SignalWakeup& wakeup) noexcept : wakeup_(wakeup) {
  if (!wakeup.usable_) return;
  const int others = PySignal_SetWakeupFd(wakeup.write_end_.get());
  wakeup.lent_ = others == -1;
  if (wakeup.lent_) return;
  PySignal_SetWakeupFd(others);
  wakeup.pass_on(others);  // a signal that came between the two
}

SignalWakeup::Lent::~Lent() {
  if (!wakeup_.lent_) return;
  wakeup_.lent_ = false;
  const int current = PySignal_SetWakeupFd(-1);
  // A signal handler that ran meanwhile has set another one.
  if (current != wakeup_.write_end_.get()) PySignal_SetWakeupFd(current);
}

}  // namespace veloop::core
