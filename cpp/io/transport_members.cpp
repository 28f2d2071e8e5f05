#include "io/transport_members.hpp"

#include <cmath>

#include "io/flow_control.hpp"

namespace veloop::io {
namespace {

// One positional-or-keyword argument; null if it was not given.
PyObject* argument(const char* name, Py_ssize_t position, PyObject* const* args, Py_ssize_t count,
                   PyObject* keywords) noexcept {
  if (position < count) return args[position];
  const Py_ssize_t keyword_count = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
  for (Py_ssize_t i = 0; i < keyword_count; ++i) {
    if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, i), name) == 0) return args[count + i];
  }
  return nullptr;
}

bool is_given(PyObject* value) noexcept { return value != nullptr && value != Py_None; }

// A water mark as asyncio compares it: any real number; infinity is a sensible "never pause".
bool to_number(PyObject* value, double& number) noexcept {
  number = PyFloat_AsDouble(value);
  return number != -1.0 || PyErr_Occurred() == nullptr;
}

std::size_t to_limit(double number) noexcept {
  constexpr double kLargest = 9e18;
  return number >= kLargest ? FlowControl::kUnlimited : static_cast<std::size_t>(number);
}

}  // namespace

PyObject* get_extra_info(TransportBase& transport, PyObject* const* args, Py_ssize_t count,
                         PyObject* keywords) noexcept {
  PyObject* name = argument("name", 0, args, count, keywords);
  PyObject* fallback = argument("default", 1, args, count, keywords);
  if (name == nullptr || count > 2) {
    PyErr_SetString(PyExc_TypeError, "get_extra_info() takes a name and, optionally, a default");
    return nullptr;
  }
  if (!transport.settle() || !transport.provide_extra(name)) return nullptr;
  PyObject* extra = transport.extra();
  if (extra == nullptr) return nullptr;
  PyObject* value = PyDict_GetItemWithError(extra, name);
  if (value == nullptr && PyErr_Occurred() != nullptr) return nullptr;
  return value != nullptr ? py::new_ref(value) : or_none(fallback);
}

PyObject* whole_extra(TransportBase& transport) noexcept {
  const py::Names& names = transport.state().names;
  for (const py::Ref<>* name : {&names.socket, &names.sockname, &names.peername}) {
    if (!transport.provide_extra(name->get())) return nullptr;
  }
  return py::new_ref(transport.extra());
}

bool parse_write_limits(PyObject* const* args, Py_ssize_t count, PyObject* keywords, std::size_t& high,
                        std::size_t& low) noexcept {
  PyObject* high_argument = argument("high", 0, args, count, keywords);
  PyObject* low_argument = argument("low", 1, args, count, keywords);
  double high_number = static_cast<double>(FlowControl::kDefaultHigh);
  double low_number = 0;
  if (is_given(low_argument)) {
    if (!to_number(low_argument, low_number)) return false;
    high_number = 4 * low_number;
  }
  if (is_given(high_argument) && !to_number(high_argument, high_number)) return false;
  if (!is_given(low_argument)) low_number = std::floor(high_number / 4);
  if (high_number >= low_number && low_number >= 0) {
    high = to_limit(high_number);
    low = to_limit(low_number);
    return true;
  }
  const auto shown_high =
      is_given(high_argument) ? py::share(high_argument) : py::steal(PyLong_FromDouble(high_number));
  const auto shown_low =
      is_given(low_argument) ? py::share(low_argument) : py::steal(PyLong_FromDouble(low_number));
  if (shown_high && shown_low) {
    PyErr_Format(PyExc_ValueError, "high (%R) must be >= low (%R) must be >= 0", shown_high.get(),
                 shown_low.get());
  }
  return false;
}

}  // namespace veloop::io
