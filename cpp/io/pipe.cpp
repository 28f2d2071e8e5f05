#include "io/pipe.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "py/call.hpp"
#include "py/error.hpp"
#include "py/os_error.hpp"

namespace veloop::io {
namespace {

bool set_nonblocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0 && ((flags & O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0)) return true;
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

bool is_watched(core::Loop& loop, int fd) noexcept {
  return Descriptors::of(loop).user_of(fd) != nullptr ||
         (loop.poller() != nullptr && loop.poller()->find(fd) != nullptr);
}

}  // namespace

int examine_pipe(core::Loop& loop, PyObject* pipe, PipeKind& kind, const char* refusal) noexcept {
  const auto number = py::call_method(pipe, loop.state().names.fileno.get());
  int overflow = 0;
  const bool is_number = number && PyLong_Check(number.get());
  if (is_number && PyLong_AsLongAndOverflow(number.get(), &overflow) < 0 && overflow == 0) {
    py::set_os_error(EBADF);  // -1 is what a closed socket answers; asyncio asks os.fstat()
    return -1;
  }
  const int fd = number ? descriptor_number(number.get()) : -1;
  if (fd < 0) return -1;
  struct stat status = {};
  if (::fstat(fd, &status) != 0) {
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
  }
  kind = {S_ISFIFO(status.st_mode), S_ISSOCK(status.st_mode), S_ISCHR(status.st_mode)};
  if (kind.is_fifo || kind.is_socket || kind.is_character) return fd;
  PyErr_SetString(PyExc_ValueError, refusal);
  return -1;
}

bool PipeTransport::start_with(core::Loop& loop, PyObject* self, int fd, PyObject* pipe, PyObject* protocol,
                               PyObject* waiter, PyObject* extra) noexcept {
  if (!set_nonblocking(fd) || !core::check_open(loop)) return false;
  if (is_watched(loop, fd)) {
    duplicate_.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!duplicate_) {
      PyErr_SetFromErrno(PyExc_OSError);
      return false;
    }
  }
  descriptor_.borrow(py::share(pipe), fd, loop.state());
  return attach(loop, self, protocol, nullptr, extra) && this->extra() != nullptr &&
         PyDict_SetItem(this->extra(), state().names.pipe.get(), pipe) == 0 && schedule_start(waiter);
}

bool PipeTransport::call_connection_lost(PyObject* exception) noexcept {
  duplicate_.reset();
  return TransportBase::call_connection_lost(exception);
}

void PipeTransport::let_go() noexcept {
  if (!has_loop() || !descriptor_.is_open()) return;
  state_ = State::kLost;
  if (core::Poller* poller = loop_->poller()) poller->forget(*this);
  Descriptors::of(*loop_).remove_user(descriptor_.number(), *this);
  duplicate_.reset();
  descriptor_.let_go();
}

bool PipeTransport::on_watch_failed(int error_number) noexcept {
  py::set_os_error(error_number);
  return report_error("Exception in callback of a pipe transport: its descriptor cannot be watched");
}

bool PipeTransport::log_closed_by_peer() noexcept {
  if (!loop_->debug()) return true;
  return static_cast<bool>(
      py::call_method_by_format(state().library.logger.get(), "info", "sO", "%r was closed by peer", self_));
}

const char* PipeTransport::state_name() const noexcept {
  return !descriptor_.is_open() ? "closed " : is_closing() ? "closing " : "";
}

const char* PipeTransport::watching_name(unsigned direction) const noexcept {
  if (!is_watchable()) return descriptor_.is_open() ? "open" : "closed";
  return (interest() & direction) != 0 ? "polling" : "idle";
}

}  // namespace veloop::io
