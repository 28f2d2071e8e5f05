#include "io/transport_members.hpp"

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

bool to_limit(PyObject* value, std::size_t& limit, bool& negative) noexcept {
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (number == -1 && PyErr_Occurred() != nullptr) {
    // asyncio compares whatever it is given; infinity, for instance, is a sensible "never pause".
    PyErr_Clear();
    const double real = PyFloat_AsDouble(value);
    if (real == -1.0 && PyErr_Occurred() != nullptr) return false;
    negative = real < 0;
    limit = real >= 9e18 ? FlowControl::kUnlimited : static_cast<std::size_t>(negative ? 0 : real);
    return true;
  }
  negative = overflow < 0 || (overflow == 0 && number < 0);
  limit = overflow > 0 ? FlowControl::kUnlimited : static_cast<std::size_t>(negative ? 0 : number);
  return true;
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
  if (!transport.provide_extra(name)) return nullptr;
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
  bool high_negative = false;
  bool low_negative = false;
  if (is_given(low_argument) && !to_limit(low_argument, low, low_negative)) return false;
  if (is_given(high_argument)) {
    if (!to_limit(high_argument, high, high_negative)) return false;
  } else {
    high = is_given(low_argument) ? 4 * low : FlowControl::kDefaultHigh;
    high_negative = low_negative;
  }
  if (!is_given(low_argument)) {
    low = high / 4;
    low_negative = high_negative;
  }
  if (high >= low && !low_negative && !high_negative) return true;
  const auto shown_high = is_given(high_argument) ? py::share(high_argument)
                                                  : py::steal(PyLong_FromSize_t(high));
  const auto shown_low = is_given(low_argument) ? py::share(low_argument) : py::steal(PyLong_FromSize_t(low));
  if (shown_high && shown_low) {
    PyErr_Format(PyExc_ValueError, "high (%R) must be >= low (%R) must be >= 0", shown_high.get(),
                 shown_low.get());
  }
  return false;
}

}  // namespace veloop::io
