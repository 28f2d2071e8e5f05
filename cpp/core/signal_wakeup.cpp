#include "core/signal_wakeup.hpp"

#include <unistd.h>

#include <array>

#include "py/call.hpp"
#include "py/error.hpp"

namespace veloop::core {
namespace {

// Only there may the wake-up descriptor be set. A fork can make another thread the main one.
bool in_main_thread(PyObject* main_thread) noexcept {
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) return false;
  const py::ErrorStash stash;
  const auto thread = py::call(main_thread);
  const auto ident = thread ? py::steal(PyObject_GetAttrString(thread.get(), "ident")) : py::Ref<>();
  const bool is_main = ident && PyLong_Check(ident.get()) &&
                       PyLong_AsUnsignedLongMask(ident.get()) == PyThread_get_thread_ident();
  PyErr_Clear();
  return is_main;
}

}  // namespace

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

void SignalWakeup::on_events(unsigned) noexcept {
  std::array<char, 256> ignored;
  while (::read(read_end_.get(), ignored.data(), ignored.size()) > 0) {
  }
}

SignalWakeup::Lent::Lent(SignalWakeup& wakeup, Poller& poller, PyObject* main_thread) noexcept
    : wakeup_(wakeup) {
  if (!wakeup.asked_) {
    wakeup.asked_ = true;
    wakeup.usable_ = in_main_thread(main_thread) && wakeup.open(poller);
  }
  if (!wakeup.usable_) return;
  const int others = PySignal_SetWakeupFd(wakeup.write_end_.get());
  wakeup.lent_ = others == -1;
  if (!wakeup.lent_) PySignal_SetWakeupFd(others);
}

SignalWakeup::Lent::~Lent() {
  if (wakeup_.lent_) PySignal_SetWakeupFd(-1);
  wakeup_.lent_ = false;
}

}  // namespace veloop::core
