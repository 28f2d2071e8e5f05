// The Python type of DatagramTransport, and the loop's hook that makes one.
#include <Python.h>

#include "core/loop_type.hpp"
#include "io/datagram.hpp"
#include "io/flow_members.hpp"
#include "io/transport_members.hpp"
#include "py/call.hpp"
#include "py/type.hpp"

namespace veloop::io {

namespace {

DatagramTransport& of(PyObject* self) noexcept { return *py::state_of<DatagramTransport>(self); }

PyObject* sendto(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  static constexpr const char* kNames[] = {"data", "addr"};
  PyObject* values[2];
  if (!py::parse_arguments("sendto", kNames, 1, args, count, keywords, values)) return nullptr;
  return none_unless_error(of(self).sendto(values[0], values[1] != nullptr ? values[1] : Py_None));
}

PyObject* close(PyObject* self, PyObject*) { return none_unless_error(of(self).close()); }
PyObject* abort(PyObject* self, PyObject*) { return none_unless_error(of(self).abort()); }
PyObject* is_reading(PyObject* self, PyObject*) { return PyBool_FromLong(of(self).is_reading()); }
PyObject* pause_reading(PyObject* self, PyObject*) { return none_unless_error(of(self).pause_reading()); }
PyObject* resume_reading(PyObject* self, PyObject*) { return none_unless_error(of(self).resume_reading()); }

PyObject* sock(PyObject* self, void*) { return or_none(of(self).descriptor().file()); }
PyObject* sock_fd(PyObject* self, void*) { return PyLong_FromLong(of(self).descriptor().last_number()); }
PyObject* address(PyObject* self, void*) { return or_none(of(self).address()); }
PyObject* buffer_size(PyObject* self, void*) { return PyLong_FromSize_t(of(self).write_buffer_size()); }
PyObject* paused(PyObject* self, void*) { return PyBool_FromLong(of(self).reading_paused()); }
PyObject* max_size(PyObject*, void*) { return PyLong_FromSize_t(Descriptors::kReadBufferSize); }

PyMethodDef kMethods[] = {
    VELOOP_TRANSPORT_METHODS(DatagramTransport),
    VELOOP_FLOW_METHODS(DatagramTransport),
    {"sendto", as_method(sendto), METH_FASTCALL | METH_KEYWORDS,
     "sendto($self, data, addr=None)\n--\n\nSend a datagram, without waiting, to `addr` or to the remote "
     "address.\n\n"
     "Errors of the network go to the protocol's error_received(). Raises TypeError if `data` is "
     "not bytes,\n"
     "bytearray or memoryview, and ValueError if the transport has another remote address than "
     "`addr`."},
    {"close", close, METH_NOARGS,
     "close($self)\n--\n\nStop receiving, send what waits, then call the protocol's "
     "connection_lost(None)."},
    {"abort", abort, METH_NOARGS, "abort($self)\n--\n\nClose at once; what waits to be sent is lost."},
    {"is_reading", is_reading, METH_NOARGS,
     "is_reading($self)\n--\n\nReturn whether datagrams are being received."},
    {"pause_reading", pause_reading, METH_NOARGS,
     "pause_reading($self)\n--\n\nDeliver no datagrams until resume_reading()."},
    {"resume_reading", resume_reading, METH_NOARGS, "resume_reading($self)\n--\n\nDeliver datagrams again."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef kGetSet[] = {
    VELOOP_TRANSPORT_GETSET(DatagramTransport),
    {"_sock", sock, nullptr, nullptr, nullptr},
    {"_sock_fd", sock_fd, nullptr, nullptr, nullptr},
    {"_address", address, nullptr, nullptr, nullptr},
    {"_buffer_size", buffer_size, nullptr, nullptr, nullptr},
    {"_paused", paused, nullptr, nullptr, nullptr},
    {"_protocol_paused", FlowMembers<DatagramTransport>::protocol_paused, nullptr, nullptr, nullptr},
    {"max_size", max_size, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyObject* make_datagram_transport(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* const kNames[] = {"sock", "protocol", "address", "waiter", "extra", nullptr};
  PyObject *socket = nullptr, *protocol = nullptr;
  PyObject *remote = Py_None, *waiter = Py_None, *extra = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|OOO", const_cast<char**>(kNames), &socket, &protocol,
                                   &remote, &waiter, &extra)) {
    return nullptr;
  }
  core::Loop& loop = core::loop_of(self);
  if (!core::check_open(loop)) return nullptr;
  return DatagramTransport::from_socket(loop, socket, protocol, remote, waiter, extra).release();
}

}  // namespace

PyObject* DatagramTransport::repr(PyObject* self) {
  DatagramTransport& transport = of(self);
  const char* state = !transport.descriptor_.is_open() ? "closed " : transport.is_closing() ? "closing " : "";
  if (!transport.is_watchable()) {
    return PyUnicode_FromFormat("<DatagramTransport %sfd=%d>", state, transport.descriptor_.last_number());
  }
  const char* reading = (transport.interest() & core::kReadable) != 0 ? "polling" : "idle";
  const char* writing = (transport.interest() & core::kWritable) != 0 ? "polling" : "idle";
  return PyUnicode_FromFormat("<DatagramTransport %sfd=%d read=%s write=<%s, bufsize=%zu>>", state,
                              transport.descriptor_.last_number(), reading, writing, transport.buffer_size_);
}

py::Ref<PyTypeObject> make_datagram_type(PyObject* module) noexcept {
  const auto asyncio = py::steal(PyImport_ImportModule("asyncio"));
  if (!asyncio) return {};
  const auto transport = py::get_attr(asyncio.get(), "Transport");
  const auto datagram = transport ? py::get_attr(asyncio.get(), "DatagramTransport") : py::Ref<>();
  const auto bases = datagram ? py::steal(PyTuple_Pack(2, transport.get(), datagram.get())) : py::Ref<>();
  if (!bases) return {};
  return py::make_type<DatagramTransport>(module, "veloop._native.DatagramTransport", bases.get(), kMethods,
                                          kGetSet, "A datagram socket: asyncio.DatagramTransport.");
}

const std::vector<PyMethodDef>& datagram_methods() {
  static const std::vector<PyMethodDef> methods = {
      {"_make_datagram_transport", as_method(make_datagram_transport), METH_VARARGS | METH_KEYWORDS, nullptr},
  };
  return methods;
}

}  // namespace veloop::io
