#pragma once
// The Python face of flow control, for transports that buffer what they send. T provides
// flow_control(), write_buffer_size() and set_write_buffer_limits(high, low).
#include <Python.h>

#include <utility>

#include "io/flow_control.hpp"
#include "io/transport_members.hpp"

namespace veloop::io {

template <class T>
struct FlowMembers {
  static T& of(PyObject* self) noexcept { return *py::state_of<T>(self); }

  static PyObject* get_size(PyObject* self, PyObject*) {
    // What is only held back to be sent together is not waiting.
    if constexpr (requires(T& transport) { transport.send_now(); }) {
      if (!of(self).send_now()) return nullptr;
    }
    return PyLong_FromSize_t(of(self).write_buffer_size());
  }
  static PyObject* get_limits(PyObject* self, PyObject*) {
    const FlowControl& flow = of(self).flow_control();
    if (flow.given_limits() != nullptr) return py::new_ref(flow.given_limits());
    return Py_BuildValue("(nn)", static_cast<Py_ssize_t>(flow.low()), static_cast<Py_ssize_t>(flow.high()));
  }
  static PyObject* set_limits(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
    WriteLimits limits;
    return none_unless_error(parse_write_limits(args, count, keywords, limits) &&
                             of(self).set_write_buffer_limits(std::move(limits)));
  }
  static PyObject* protocol_paused(PyObject* self, void*) {
    return PyBool_FromLong(of(self).flow_control().paused());
  }
};

#define VELOOP_FLOW_METHODS(T)                                                                          \
  {"get_write_buffer_size", FlowMembers<T>::get_size, METH_NOARGS,                                      \
   "get_write_buffer_size($self)\n--\n\nReturn the size in bytes of what waits to be sent."},           \
      {"get_write_buffer_limits", FlowMembers<T>::get_limits, METH_NOARGS,                              \
       "get_write_buffer_limits($self)\n--\n\nReturn the low and the high water mark, in bytes."},      \
      {"set_write_buffer_limits", as_method(FlowMembers<T>::set_limits), METH_FASTCALL | METH_KEYWORDS, \
       "set_write_buffer_limits($self, high=None, low=None)\n--\n\n"                                    \
       "Set the water marks (bytes) at which the protocol's writing is paused and resumed.\n\n"         \
       "Raises ValueError unless high >= low >= 0."}

}  // namespace veloop::io
