#include "tls/session_type.hpp"

#include "core/loop_type.hpp"
#include "io/write_members.hpp"
#include "py/buffer.hpp"
#include "py/method.hpp"
#include "py/type.hpp"
#include "tls/session.hpp"

namespace veloop::tls {
namespace {

using py::as_method;
using py::none_unless_error;

Session& of(PyObject* self) noexcept { return *py::state_of<Session>(self); }

template <bool (Session::*kMethod)(const char*, std::size_t) noexcept>
PyObject* take_bytes(PyObject* self, PyObject* data) {
  const py::BufferView view(data, PyBUF_CONTIG_RO);
  return none_unless_error(view.ok() && (of(self).*kMethod)(view.data(), view.size()));
}

template <void (Session::*kMethod)(bool) noexcept>
PyObject* set_flag(PyObject* self, PyObject* value) {
  (of(self).*kMethod)(value == Py_True);
  Py_RETURN_NONE;
}

PyObject* read(PyObject* self, PyObject*) { return none_unless_error(of(self).read()); }
PyObject* send(PyObject* self, PyObject* even_if_paused) {
  return none_unless_error(of(self).send(even_if_paused == Py_True));
}

PyObject* attach(PyObject* self, PyObject* transport) {
  of(self).attach(transport);
  Py_RETURN_NONE;
}

PyObject* discard_writes(PyObject* self, PyObject*) {
  of(self).discard_writes();
  Py_RETURN_NONE;
}

PyObject* set_app(PyObject* self, PyObject* args) {
  PyObject* app = nullptr;
  int is_buffered = 0;
  if (!PyArg_ParseTuple(args, "Op", &app, &is_buffered)) return nullptr;
  of(self).set_app(app, is_buffered != 0);
  Py_RETURN_NONE;
}

PyObject* set_phase(PyObject* self, PyObject* number) {
  const long phase = PyLong_AsLong(number);
  if (phase == -1 && PyErr_Occurred()) return nullptr;
  of(self).set_phase(static_cast<Session::Phase>(phase));
  Py_RETURN_NONE;
}

PyObject* set_water_marks(PyObject* self, PyObject* args) {
  Py_ssize_t high = 0, low = 0;
  if (!PyArg_ParseTuple(args, "nn", &high, &low)) return nullptr;
  of(self).set_water_marks(static_cast<std::size_t>(high), static_cast<std::size_t>(low));
  Py_RETURN_NONE;
}

PyObject* unread(PyObject* self, void*) { return PyLong_FromSize_t(of(self).unread()); }
PyObject* held(PyObject* self, void*) { return PyLong_FromSize_t(of(self).held()); }
PyObject* unsent(PyObject* self, void*) { return PyLong_FromSize_t(of(self).unsent()); }

PyMethodDef kMethods[] = {
    {"write", as_method(io::WriteMembers<Session>::write), METH_FASTCALL | METH_KEYWORDS,
     "write($self, data)\n--\n\nEncrypt and send `data` (bytes, bytearray or memoryview), without waiting.\n\n"
     "What the callbacks of a turn write is sent together. Raises TypeError for other types; after the\n"
     "connection is lost it is ignored, with a warning from the fifth time on."},
    {"writelines", as_method(io::WriteMembers<Session>::writelines), METH_FASTCALL | METH_KEYWORDS,
     "writelines($self, list_of_data)\n--\n\nEncrypt and send each piece; see write()."},
    {"feed", take_bytes<&Session::feed>, METH_O, nullptr},
    {"keep", take_bytes<&Session::keep>, METH_O, nullptr},
    {"read", read, METH_NOARGS, nullptr},
    {"send", send, METH_O, nullptr},
    {"attach", attach, METH_O, nullptr},
    {"discard_writes", discard_writes, METH_NOARGS, nullptr},
    {"set_app", set_app, METH_VARARGS, nullptr},
    {"set_phase", set_phase, METH_O, nullptr},
    {"set_reading_paused", set_flag<&Session::set_reading_paused>, METH_O, nullptr},
    {"set_lower_paused", set_flag<&Session::set_lower_paused>, METH_O, nullptr},
    {"set_app_paused", set_flag<&Session::set_app_paused>, METH_O, nullptr},
    {"set_water_marks", set_water_marks, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef kGetSet[] = {
    {"unread", unread, nullptr, "Bytes that were received and not decrypted yet.", nullptr},
    {"held", held, nullptr, "Bytes that were written and not encrypted yet.", nullptr},
    {"unsent", unsent, nullptr, "Bytes that wait to be encrypted or sent.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// _tls_session(_ssl._SSLSocket, SSLProtocol) -> TLSSession, or None if it is not the one made since
// _expect_ssl()
PyObject* adopt(PyObject* self, PyObject* args) {
  PyObject *ssl_object = nullptr, *protocol = nullptr;
  if (!PyArg_ParseTuple(args, "OO", &ssl_object, &protocol)) return nullptr;
  return Session::adopt(core::loop_of(self), self, ssl_object, protocol).release();
}

}  // namespace

const std::vector<PyMethodDef>& session_methods() {
  static const std::vector<PyMethodDef> methods = {
      {"_tls_session", adopt, METH_VARARGS, nullptr},
  };
  return methods;
}

py::Ref<PyTypeObject> make_session_type(PyObject* module) noexcept {
  return py::make_type<Session>(module, "veloop._native.TLSSession",
                                reinterpret_cast<PyObject*>(&PyBaseObject_Type), kMethods, kGetSet,
                                "The part of a TLS connection that runs once per record.");
}

}  // namespace veloop::tls
