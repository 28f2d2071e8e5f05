#pragma once
// The Python face that all transports share: asyncio's methods and the private attributes that asyncio's
// own code and libraries read. T is a class derived from TransportBase.
#include <Python.h>

#include "io/flow_control.hpp"
#include "io/transport_base.hpp"
#include "py/arguments.hpp"
#include "py/error.hpp"
#include "py/method.hpp"
#include "py/type.hpp"

namespace veloop::io {

using py::as_method;
using py::none_unless_error;

inline PyObject* or_none(PyObject* object) noexcept {
  return py::new_ref(object != nullptr ? object : Py_None);
}

// get_extra_info(name, default=None)
PyObject* get_extra_info(TransportBase& transport, PyObject* const* args, Py_ssize_t count,
                         PyObject* keywords) noexcept;
// The dictionary with every name in it.
PyObject* whole_extra(TransportBase& transport) noexcept;
// The water marks that set_write_buffer_limits(high=None, low=None) asks for. False, with asyncio's
// ValueError set, if they make no sense.
bool parse_write_limits(PyObject* const* args, Py_ssize_t count, PyObject* keywords,
                        WriteLimits& limits) noexcept;

template <class T>
struct TransportMembers {
  static T& of(PyObject* self) noexcept { return *py::state_of<T>(self); }

  // Does not settle: drain() and web servers ask after each write, and would have it leave by itself.
  static PyObject* is_closing(PyObject* self, PyObject*) { return PyBool_FromLong(of(self).is_closing()); }
  static PyObject* get_protocol(PyObject* self, PyObject*) { return or_none(of(self).protocol()); }
  static PyObject* set_protocol(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
    PyObject* protocol = py::only_argument("set_protocol", "protocol", args, count, keywords);
    if (protocol == nullptr) return nullptr;
    of(self).set_protocol(protocol);
    Py_RETURN_NONE;
  }
  static PyObject* extra_info(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
    return get_extra_info(of(self), args, count, keywords);
  }
  static PyObject* call_connection_lost(PyObject* self, PyObject* exception) {
    return none_unless_error(of(self).call_connection_lost(exception));
  }

  static PyObject* loop(PyObject* self, void*) { return or_none(of(self).loop_object()); }
  static PyObject* protocol(PyObject* self, void*) { return or_none(of(self).protocol()); }
  static PyObject* server(PyObject* self, void*) { return or_none(of(self).server()); }
  static PyObject* extra(PyObject* self, void*) { return whole_extra(of(self)); }
  static PyObject* closing(PyObject* self, void*) { return PyBool_FromLong(of(self).is_closing()); }
  static PyObject* conn_lost(PyObject* self, void*) { return PyLong_FromLong(of(self).lost_writes()); }
};

// The parts of the method and attribute tables that all transports share; the users' tables list them.
#define VELOOP_TRANSPORT_METHODS(T)                                                                            \
  {"is_closing", TransportMembers<T>::is_closing, METH_NOARGS,                                                 \
   "is_closing($self)\n--\n\nReturn whether the transport is closing or closed."},                             \
      {"get_protocol", TransportMembers<T>::get_protocol, METH_NOARGS,                                         \
       "get_protocol($self)\n--\n\nReturn the current protocol."},                                             \
      {"set_protocol", as_method(TransportMembers<T>::set_protocol), METH_FASTCALL | METH_KEYWORDS,            \
       "set_protocol($self, protocol)\n--\n\nMake `protocol` the receiver of everything from now on."},        \
      {"get_extra_info", as_method(TransportMembers<T>::extra_info), METH_FASTCALL | METH_KEYWORDS,            \
       "get_extra_info($self, name, default=None)\n--\n\nReturn what is known of the transport under `name`, " \
       "such as 'socket', 'sockname' or 'peername'."},                                                         \
  {                                                                                                            \
    "_call_connection_lost", TransportMembers<T>::call_connection_lost, METH_O, nullptr                        \
  }

#define VELOOP_TRANSPORT_GETSET(T)                                                  \
  {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr}, \
      {"_loop", TransportMembers<T>::loop, nullptr, nullptr, nullptr},              \
      {"_protocol", TransportMembers<T>::protocol, nullptr, nullptr, nullptr},      \
      {"_server", TransportMembers<T>::server, nullptr, nullptr, nullptr},          \
      {"_extra", TransportMembers<T>::extra, nullptr, nullptr, nullptr},            \
      {"_closing", TransportMembers<T>::closing, nullptr, nullptr, nullptr}, {      \
    "_conn_lost", TransportMembers<T>::conn_lost, nullptr, nullptr, nullptr         \
  }

}  // namespace veloop::io
