// The Python type of StreamTransport, and the loop's hook that makes one.
#include <Python.h>

#include "core/loop_type.hpp"
#include "io/flow_members.hpp"
#include "io/stream.hpp"
#include "io/transport_members.hpp"
#include "io/write_members.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/type.hpp"

namespace veloop::io {

namespace {

using Members = TransportMembers<StreamTransport>;

StreamTransport& of(PyObject* self) noexcept { return Members::of(self); }

PyObject* write_eof(PyObject* self, PyObject*) { return none_unless_error(of(self).write_eof()); }
PyObject* can_write_eof(PyObject*, PyObject*) { Py_RETURN_TRUE; }
PyObject* close(PyObject* self, PyObject*) { return none_unless_error(of(self).close()); }
PyObject* abort(PyObject* self, PyObject*) { return none_unless_error(of(self).abort()); }
PyObject* is_reading(PyObject* self, PyObject*) { return PyBool_FromLong(of(self).is_reading()); }
PyObject* pause_reading(PyObject* self, PyObject*) { return none_unless_error(of(self).pause_reading()); }
PyObject* resume_reading(PyObject* self, PyObject*) { return none_unless_error(of(self).resume_reading()); }

// asyncio's SSLProtocol closes and reports through these two.
PyObject* force_close(PyObject* self, PyObject* exception) {
  return none_unless_error(of(self).close_with(exception));
}

PyObject* fatal_error(PyObject* self, PyObject* args) {
  PyObject* exception = nullptr;
  const char* message = "Fatal error on transport";
  if (!PyArg_ParseTuple(args, "O|s", &exception, &message)) return nullptr;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception);
  return none_unless_error(of(self).report_fatal(message));
}

PyObject* make_empty_waiter(PyObject* self, PyObject*) { return of(self).make_empty_waiter().release(); }
PyObject* reset_empty_waiter(PyObject* self, PyObject*) {
  of(self).reset_empty_waiter();
  Py_RETURN_NONE;
}

PyObject* lend_descriptor(PyObject* self, PyObject* lent_out) {
  of(self).set_lent_out(lent_out == Py_True);
  Py_RETURN_NONE;
}

PyObject* sock(PyObject* self, void*) {
  StreamTransport& transport = of(self);
  if (!transport.descriptor().is_open()) Py_RETURN_NONE;
  return py::new_ref(transport.descriptor().socket(transport.state()));
}
PyObject* sock_fd(PyObject* self, void*) { return PyLong_FromLong(of(self).descriptor().last_number()); }
PyObject* paused(PyObject* self, void*) { return PyBool_FromLong(of(self).reading_paused()); }
PyObject* eof(PyObject* self, void*) { return PyBool_FromLong(of(self).eof_written()); }
PyObject* start_tls_compatible(PyObject*, void*) { Py_RETURN_TRUE; }
PyObject* max_size(PyObject*, void*) { return PyLong_FromSize_t(Descriptors::kReadBufferSize); }

PyObject* sendfile_compatible(PyObject*, void*) {
  const auto constants = py::steal(PyImport_ImportModule("asyncio.constants"));
  const auto mode = constants ? py::get_attr(constants.get(), "_SendfileMode") : py::Ref<>();
  return mode ? py::get_attr(mode.get(), "TRY_NATIVE").release() : nullptr;
}

PyMethodDef kMethods[] = {
    VELOOP_TRANSPORT_METHODS(StreamTransport),
    VELOOP_FLOW_METHODS(StreamTransport),
    {"write", as_method(WriteMembers<StreamTransport>::write), METH_FASTCALL | METH_KEYWORDS,
     "write($self, data)\n--\n\nSend `data` (bytes, bytearray or memoryview), without waiting.\n\n"
     "What one callback writes is sent together when it returns. Raises TypeError for other types and\n"
     "RuntimeError after write_eof(); after the connection is lost it is ignored, with a warning from the\n"
     "fifth time on."},
    {"writelines", as_method(WriteMembers<StreamTransport>::writelines), METH_FASTCALL | METH_KEYWORDS,
     "writelines($self, list_of_data)\n--\n\nSend each piece; see write()."},
    {"write_eof", write_eof, METH_NOARGS,
     "write_eof($self)\n--\n\nClose the sending half when everything written is sent. Reading goes on."},
    {"can_write_eof", can_write_eof, METH_NOARGS, "can_write_eof($self)\n--\n\nReturn True."},
    {"close", close, METH_NOARGS,
     "close($self)\n--\n\nStop reading, send what is buffered, then call the protocol's connection_lost(None)."},
    {"abort", abort, METH_NOARGS, "abort($self)\n--\n\nClose at once; what is buffered is lost."},
    {"is_reading", is_reading, METH_NOARGS,
     "is_reading($self)\n--\n\nReturn whether data is being received."},
    {"pause_reading", pause_reading, METH_NOARGS,
     "pause_reading($self)\n--\n\nDeliver no data until resume_reading()."},
    {"resume_reading", resume_reading, METH_NOARGS, "resume_reading($self)\n--\n\nDeliver data again."},
    {"_force_close", force_close, METH_O, nullptr},
    {"_fatal_error", fatal_error, METH_VARARGS, nullptr},
    {"_make_empty_waiter", make_empty_waiter, METH_NOARGS, nullptr},
    {"_reset_empty_waiter", reset_empty_waiter, METH_NOARGS, nullptr},
    {"_lend_descriptor", lend_descriptor, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef kGetSet[] = {
    VELOOP_TRANSPORT_GETSET(StreamTransport),
    {"_sock", sock, nullptr, nullptr, nullptr},
    {"_sock_fd", sock_fd, nullptr, nullptr, nullptr},
    {"_paused", paused, nullptr, nullptr, nullptr},
    {"_eof", eof, nullptr, nullptr, nullptr},
    {"_protocol_paused", FlowMembers<StreamTransport>::protocol_paused, nullptr, nullptr, nullptr},
    {"_start_tls_compatible", start_tls_compatible, nullptr, nullptr, nullptr},
    {"_sendfile_compatible", sendfile_compatible, nullptr, nullptr, nullptr},
    {"max_size", max_size, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyObject* make_socket_transport(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* const kNames[] = {"sock", "protocol", "waiter", "extra", "server", "context", nullptr};
  PyObject *socket = nullptr, *protocol = nullptr;
  PyObject *waiter = Py_None, *extra = Py_None, *server = Py_None, *context = Py_None;
  if (PyArg_ParseTupleAndKeywords(args, keywords, "OO|O$OOO", const_cast<char**>(kNames), &socket, &protocol,
                                  &waiter, &extra, &server, &context) == 0) {
    return nullptr;
  }
  core::Loop& loop = core::loop_of(self);
  if (!core::check_open(loop)) return nullptr;
  return StreamTransport::from_socket(loop, socket, protocol, waiter, extra, server, context).release();
}

}  // namespace

PyObject* StreamTransport::repr(PyObject* self) {
  StreamTransport& transport = of(self);
  const char* state = !transport.descriptor_.is_open() ? "closed " : transport.is_closing() ? "closing " : "";
  if (!transport.is_watchable()) {
    return PyUnicode_FromFormat("<StreamTransport %sfd=%d>", state, transport.descriptor_.last_number());
  }
  const char* reading = (transport.interest() & core::kReadable) != 0 ? "polling" : "idle";
  const char* writing = transport.waits_for_writing() ? "polling" : "idle";
  return PyUnicode_FromFormat("<StreamTransport %sfd=%d read=%s write=<%s, bufsize=%zu>>", state,
                              transport.descriptor_.last_number(), reading, writing, transport.queue_.size());
}

py::Ref<PyTypeObject> make_stream_type(PyObject* module) noexcept {
  // asyncio.Transport, by way of the mixin that asyncio's sendfile fallback insists on.
  const auto transports = py::steal(PyImport_ImportModule("asyncio.transports"));
  const auto base = transports ? py::get_attr(transports.get(), "_FlowControlMixin") : py::Ref<>();
  if (!base) return {};
  return py::make_type<StreamTransport>(module, "veloop._native.StreamTransport", base.get(), kMethods,
                                        kGetSet, "A connected stream socket: asyncio.Transport.");
}

const std::vector<PyMethodDef>& stream_methods() {
  static const std::vector<PyMethodDef> methods = {
      {"_make_socket_transport", as_method(make_socket_transport), METH_VARARGS | METH_KEYWORDS, nullptr},
  };
  return methods;
}

}  // namespace veloop::io
