#include "io/read_pipe.hpp"

#include <unistd.h>

#include <cerrno>

#include "base/sockets.hpp"
#include "core/loop_type.hpp"
#include "io/transport_members.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/os_error.hpp"
#include "py/type.hpp"

namespace veloop::io {

namespace {

constexpr const char* kRefusal = "Pipe transport is for pipes/sockets only.";
constexpr const char* kReadError = "Fatal read error on pipe transport";
constexpr const char* kReaderFailed = "Exception in callback ReadPipeTransport._read_ready()";

}  // namespace

py::Ref<> ReadPipeTransport::make(core::Loop& loop, PyObject* pipe, PyObject* protocol, PyObject* waiter,
                                  PyObject* extra) noexcept {
  PipeKind kind;
  const int fd = examine_pipe(loop, pipe, kind, kRefusal);
  if (fd < 0) return {};
  auto object = py::steal(py::new_object<ReadPipeTransport>(loop.state().types.read_pipe.get()));
  if (!object) return {};
  auto* transport = py::state_of<ReadPipeTransport>(object.get());
  if (!transport->start_with(loop, object.get(), fd, pipe, protocol, waiter, extra)) return {};
  return object;
}

bool ReadPipeTransport::on_readable() noexcept {
  if (!is_reading()) return true;
  return py::guard([this] {
    char* buffer = Descriptors::of(*loop_).read_buffer();
    const ssize_t count = ::read(descriptor_.fd(), buffer, Descriptors::kReadBufferSize);
    if (count < 0) {
      return base::would_block() || on_read_error(errno);
    }
    if (count == 0) return on_eof();
    const auto data = py::steal(PyBytes_FromStringAndSize(buffer, count));
    const py::Ref<> protocol = protocol_.share();
    return (data && py::call_method(protocol.get(), state().names.data_received.get(), data.get())) ||
           report_error(kReaderFailed);
  });
}

bool ReadPipeTransport::on_eof() noexcept {
  if (!log_closed_by_peer()) PyErr_WriteUnraisable(self_);
  (void)begin_close();
  const auto method = py::get_attr(protocol_.get(), state().names.eof_received.get());
  core::Callback* callback = method ? core::new_callback(*loop_, method.get(), nullptr, 0, nullptr) : nullptr;
  if (callback == nullptr) {
    if (!report_error(kReaderFailed)) return false;
  } else {
    const py::Ref<> handle = py::steal(callback->self);
    loop_->enqueue(*callback);
  }
  return lose(nullptr);
}

// Only EIO is no news: a terminal whose other end is closed says so. asyncio reports everything
// else.
bool ReadPipeTransport::on_read_error(int error_number) noexcept {
  if (error_number == EIO) return fatal_errno(error_number, kReadError);
  py::set_os_error(error_number);
  const auto exception = py::take_exception();
  py::raise(exception.share());
  return report_error(kReadError) && force_close(exception.get());
}

void ReadPipeTransport::finalize(PyObject* self) { py::state_of<ReadPipeTransport>(self)->warn_and_close(); }

// ---- the Python type
// --------------------------------------------------------------------------------

namespace {

ReadPipeTransport& of(PyObject* self) noexcept { return *py::state_of<ReadPipeTransport>(self); }

PyObject* close(PyObject* self, PyObject*) { return none_unless_error(of(self).close()); }
PyObject* is_reading(PyObject* self, PyObject*) { return PyBool_FromLong(of(self).is_reading()); }
PyObject* pause_reading(PyObject* self, PyObject*) { return none_unless_error(of(self).pause_reading()); }
PyObject* resume_reading(PyObject* self, PyObject*) { return none_unless_error(of(self).resume_reading()); }

PyObject* pipe(PyObject* self, void*) { return or_none(of(self).descriptor().file()); }
PyObject* number(PyObject* self, void*) { return PyLong_FromLong(of(self).descriptor().last_number()); }
PyObject* paused(PyObject* self, void*) { return PyBool_FromLong(of(self).reading_paused()); }
PyObject* max_size(PyObject*, void*) { return PyLong_FromSize_t(Descriptors::kReadBufferSize); }

PyMethodDef kMethods[] = {
    VELOOP_TRANSPORT_METHODS(ReadPipeTransport),
    {"close", close, METH_NOARGS,
     "close($self)\n--\n\nClose the pipe; the protocol's connection_lost(None) is called soon."},
    {"is_reading", is_reading, METH_NOARGS,
     "is_reading($self)\n--\n\nReturn whether data is being received."},
    {"pause_reading", pause_reading, METH_NOARGS,
     "pause_reading($self)\n--\n\nDeliver no data until resume_reading()."},
    {"resume_reading", resume_reading, METH_NOARGS, "resume_reading($self)\n--\n\nDeliver data again."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef kGetSet[] = {
    VELOOP_TRANSPORT_GETSET(ReadPipeTransport),
    {"_pipe", pipe, set_pipe<ReadPipeTransport>, nullptr, nullptr},
    {"_fileno", number, nullptr, nullptr, nullptr},
    {"_paused", paused, nullptr, nullptr, nullptr},
    {"max_size", max_size, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace

PyObject* ReadPipeTransport::repr(PyObject* self) {
  ReadPipeTransport& transport = of(self);
  return PyUnicode_FromFormat("<ReadPipeTransport %sfd=%d %s>", transport.state_name(),
                              transport.descriptor_.last_number(), transport.watching_name(core::kReadable));
}

py::Ref<PyTypeObject> make_read_pipe_type(PyObject* module) noexcept {
  const auto asyncio = py::steal(PyImport_ImportModule("asyncio"));
  const auto base = asyncio ? py::get_attr(asyncio.get(), "ReadTransport") : py::Ref<>();
  if (!base) return {};
  return py::make_type<ReadPipeTransport>(module, "veloop._native.ReadPipeTransport", base.get(), kMethods,
                                          kGetSet, "The reading end of a pipe: asyncio.ReadTransport.");
}

const std::vector<PyMethodDef>& read_pipe_methods() {
  static const std::vector<PyMethodDef> methods = {
      {"_make_read_pipe_transport", as_method(make_pipe_transport<ReadPipeTransport>),
       METH_VARARGS | METH_KEYWORDS, nullptr},
  };
  return methods;
}

}  // namespace veloop::io
