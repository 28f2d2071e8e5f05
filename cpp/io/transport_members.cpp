#include "io/transport_members.hpp"

#include "io/flow_control.hpp"

namespace veloop::io {
namespace {

bool is_given(PyObject* value) noexcept { return value != nullptr && value != Py_None; }

// For comparing with numbers of bytes: what is after the point does not matter, and infinity is never
// reached.
std::size_t to_limit(PyObject* number) noexcept {
  const auto whole = PyLong_Check(number) ? py::share(number) : py::steal(PyNumber_Long(number));
  const std::size_t limit = whole ? PyLong_AsSize_t(whole.get()) : FlowControl::kUnlimited;
  if (PyErr_Occurred() == nullptr) return limit;
  PyErr_Clear();
  return FlowControl::kUnlimited;
}

}  // namespace

PyObject* get_extra_info(TransportBase& transport, PyObject* const* args, Py_ssize_t count,
                         PyObject* keywords) noexcept {
  static constexpr const char* kNames[] = {"name", "default"};
  PyObject* values[2];
  if (!py::parse_arguments("get_extra_info", kNames, 1, args, count, keywords, values)) return nullptr;
  const auto [name, fallback] = values;
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

bool parse_write_limits(PyObject* const* args, Py_ssize_t count, PyObject* keywords,
                        WriteLimits& limits) noexcept {
  static constexpr const char* kNames[] = {"high", "low"};
  PyObject* values[2];
  if (!py::parse_arguments("set_write_buffer_limits", kNames, 0, args, count, keywords, values)) return false;
  // asyncio's arithmetic, on whatever the numbers are.
  const auto four = py::steal(PyLong_FromLong(4));
  const auto zero = py::steal(PyLong_FromLong(0));
  auto high = is_given(values[0])   ? py::share(values[0])
              : is_given(values[1]) ? py::steal(PyNumber_Multiply(four.get(), values[1]))
                                    : py::steal(PyLong_FromSize_t(FlowControl::kDefaultHigh));
  if (!high) return false;
  auto low =
      is_given(values[1]) ? py::share(values[1]) : py::steal(PyNumber_FloorDivide(high.get(), four.get()));
  if (!low) return false;
  int ok = PyObject_RichCompareBool(high.get(), low.get(), Py_GE);
  if (ok == 1) ok = PyObject_RichCompareBool(low.get(), zero.get(), Py_GE);
  if (ok < 0) return false;
  if (ok == 0) {
    PyErr_Format(PyExc_ValueError, "high (%R) must be >= low (%R) must be >= 0", high.get(), low.get());
    return false;
  }
  limits.high = to_limit(high.get());
  limits.low = to_limit(low.get());
  if (!PyLong_CheckExact(high.get()) || !PyLong_CheckExact(low.get()) ||
      limits.high == FlowControl::kUnlimited) {
    limits.given = py::steal(PyTuple_Pack(2, low.get(), high.get()));
    if (!limits.given) return false;
  }
  return true;
}

}  // namespace veloop::io
