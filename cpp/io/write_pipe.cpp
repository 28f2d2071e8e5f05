#include "io/write_pipe.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/sockets.hpp"
#include "core/loop_type.hpp"
#include "io/flow_members.hpp"
#include "io/transport_members.hpp"
#include "io/write_members.hpp"
#include "py/buffer.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/type.hpp"

namespace veloop::io {

using base::would_block;
using core::kWritable;

namespace {

constexpr const char* kRefusal = "Pipe transport is only for pipes, sockets and character devices";
constexpr const char* kWriteError = "Fatal write error on pipe transport";

}  // namespace

py::Ref<> WritePipeTransport::make(core::Loop& loop, PyObject* pipe, PyObject* protocol, PyObject* waiter,
                                   PyObject* extra) noexcept {
  PipeKind kind;
  const int fd = examine_pipe(loop, pipe, kind, kRefusal);
  if (fd < 0) return {};
  auto object = py::steal(py::new_object<WritePipeTransport>(loop.state().types.write_pipe.get()));
  if (!object) return {};
  auto* transport = py::state_of<WritePipeTransport>(object.get());
  transport->watches_reader_ = kind.is_fifo || kind.is_socket;
  if (!transport->start_with(loop, object.get(), fd, pipe, protocol, waiter, extra)) return {};
  return object;
}

// ---- writing
// ----------------------------------------------------------------------------------------

bool WritePipeTransport::write(PyObject* data) noexcept {
  const bool is_bytes = PyBytes_CheckExact(data);
  if (!is_bytes && !PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
    const auto shown = py::steal(PyObject_Repr(data));
    if (shown) PyErr_SetObject(PyExc_AssertionError, shown.get());
    return false;
  }
  const Py_ssize_t items = PyObject_Length(data);
  if (items <= 0) return items == 0;
  if (is_closing()) return count_lost_write("pipe closed by peer or os.write(pipe, data) raised exception.");
  const py::BufferView view(data, PyBUF_SIMPLE);
  if (!view.ok()) {
    if (py::is_exit_request()) return false;
    return write_failed();
  }
  return write_or_keep(is_bytes ? data : nullptr, view.data(), view.size());
}

bool WritePipeTransport::write_or_keep(PyObject* bytes, const char* data, std::size_t length) noexcept {
  if (queue_.empty()) {
    const ssize_t count = ::write(descriptor_.fd(), data, length);
    if (count < 0 && !would_block()) {
      PyErr_SetFromErrno(PyExc_OSError);
      return write_failed();
    }
    if (count > 0) {
      data += count;
      length -= static_cast<std::size_t>(count);
    }
    if (length == 0) return true;
    if (!watch(kWritable)) return false;
  }
  return py::guard([&] { return queue_.append(bytes, data, length); }) && maybe_pause();
}

bool WritePipeTransport::on_writable() noexcept {
  if (queue_.empty()) return true;
  if (queue_.send(descriptor_.fd(), false).count < 0) {
    if (would_block()) return true;
    PyErr_SetFromErrno(PyExc_OSError);
    return write_failed();
  }
  if (!queue_.empty()) return true;
  unwatch(kWritable);
  if (!maybe_resume()) return false;  // The protocol may have written more.
  return !is_closing() || is_lost() || lose_now();
}

// The current exception ends the transport; what is written from now on is counted.
bool WritePipeTransport::write_failed() noexcept {
  discard_writes();
  return fatal_error(kWriteError);
}

void WritePipeTransport::discard_writes() noexcept {
  queue_.clear();
  unwatch(kWritable);
}

// ---- closing
// ----------------------------------------------------------------------------------------

// Nobody reads any more. (Or a socket's peer sent something, which asyncio takes for the same.)
bool WritePipeTransport::on_readable() noexcept {
  if (is_lost()) return true;
  if (!log_closed_by_peer()) PyErr_WriteUnraisable(self_);
  if (queue_.empty()) return end(nullptr);
  const auto broken = py::call(PyExc_BrokenPipeError);
  return broken ? end(broken.get()) : report_error(kWriteError);
}

bool WritePipeTransport::close() noexcept {
  if (is_closing()) return true;
  // Not begin_close(): while data waits it still matters whether somebody reads.
  state_ = State::kClosing;
  return !queue_.empty() || end(nullptr);
}

bool WritePipeTransport::end(PyObject* exception) noexcept {
  // Closing is no failed write: the count begins at zero, as asyncio's does for pipes.
  const long lost_writes = lost_writes_;
  const bool ok = force_close(exception);
  lost_writes_ = lost_writes;
  return ok;
}

void WritePipeTransport::finalize(PyObject* self) {
  py::state_of<WritePipeTransport>(self)->warn_and_close();
}

// ---- flow control
// -----------------------------------------------------------------------------------

bool WritePipeTransport::maybe_pause() noexcept {
  return !flow_.must_pause(queue_.size()) ||
         tell_protocol(state().names.pause_writing.get(), "protocol.pause_writing() failed");
}

bool WritePipeTransport::maybe_resume() noexcept {
  return !flow_.must_resume(queue_.size()) ||
         tell_protocol(state().names.resume_writing.get(), "protocol.resume_writing() failed");
}

bool WritePipeTransport::set_write_buffer_limits(WriteLimits limits) noexcept {
  flow_.set_limits(std::move(limits));
  return maybe_pause();
}

// ---- the Python type
// --------------------------------------------------------------------------------

namespace {

WritePipeTransport& of(PyObject* self) noexcept { return *py::state_of<WritePipeTransport>(self); }

PyObject* can_write_eof(PyObject*, PyObject*) { Py_RETURN_TRUE; }
PyObject* close(PyObject* self, PyObject*) { return none_unless_error(of(self).close()); }
PyObject* abort(PyObject* self, PyObject*) { return none_unless_error(of(self).abort()); }

PyObject* pipe(PyObject* self, void*) { return or_none(of(self).descriptor().file()); }
PyObject* number(PyObject* self, void*) { return PyLong_FromLong(of(self).descriptor().last_number()); }

PyMethodDef kMethods[] = {
    VELOOP_TRANSPORT_METHODS(WritePipeTransport),
    VELOOP_FLOW_METHODS(WritePipeTransport),
    {"write", as_method(WriteMembers<WritePipeTransport>::write), METH_FASTCALL | METH_KEYWORDS,
     "write($self, data)\n--\n\nWrite `data` (bytes, bytearray or memoryview), without waiting.\n\n"
     "After the transport is closed it is ignored, with a warning from the fifth time on."},
    {"write_eof", close, METH_NOARGS,
     "write_eof($self)\n--\n\nThe same as close(): a pipe has no other half."},
    {"can_write_eof", can_write_eof, METH_NOARGS, "can_write_eof($self)\n--\n\nReturn True."},
    {"close", close, METH_NOARGS,
     "close($self)\n--\n\nWrite what is buffered, then close the pipe and call the protocol's "
     "connection_lost(None)."},
    {"abort", abort, METH_NOARGS, "abort($self)\n--\n\nClose at once; what is buffered is lost."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef kGetSet[] = {
    VELOOP_TRANSPORT_GETSET(WritePipeTransport),
    {"_pipe", pipe, set_pipe<WritePipeTransport>, nullptr, nullptr},
    {"_fileno", number, nullptr, nullptr, nullptr},
    {"_protocol_paused", FlowMembers<WritePipeTransport>::protocol_paused, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

PyObject* WritePipeTransport::repr(PyObject* self) {
  WritePipeTransport& transport = of(self);
  const int fd = transport.descriptor_.last_number();
  const char* state = transport.state_name();
  const char* watching = transport.watching_name(kWritable);
  if (!transport.is_watchable()) {
    return PyUnicode_FromFormat("<WritePipeTransport %sfd=%d %s>", state, fd, watching);
  }
  return PyUnicode_FromFormat("<WritePipeTransport %sfd=%d %s bufsize=%zu>", state, fd, watching,
                              transport.queue_.size());
}

py::Ref<PyTypeObject> make_write_pipe_type(PyObject* module) noexcept {
  // As asyncio's: by way of the mixin it is an asyncio.Transport, too.
  const auto transports = py::steal(PyImport_ImportModule("asyncio.transports"));
  const auto base = transports ? py::get_attr(transports.get(), "_FlowControlMixin") : py::Ref<>();
  if (!base) return {};
  return py::make_type<WritePipeTransport>(module, "veloop._native.WritePipeTransport", base.get(), kMethods,
                                           kGetSet, "The writing end of a pipe: asyncio.WriteTransport.");
}

const std::vector<PyMethodDef>& write_pipe_methods() {
  static const std::vector<PyMethodDef> methods = {
      {"_make_write_pipe_transport", as_method(make_pipe_transport<WritePipeTransport>),
       METH_VARARGS | METH_KEYWORDS, nullptr},
  };
  return methods;
}

}  // namespace veloop::io
