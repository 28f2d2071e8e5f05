#include "py/arguments.hpp"

namespace veloop::py {

bool parse_arguments(const char* method, std::span<const char* const> names, std::size_t required,
                     PyObject* const* args, Py_ssize_t count, PyObject* keywords,
                     PyObject** values) noexcept {
  const auto positional = static_cast<std::size_t>(count);
  if (positional > names.size()) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most %zu positional arguments but %zd were given", method,
                 names.size() + 1, count + 1);
    return false;
  }
  for (std::size_t i = 0; i < names.size(); ++i)
    values[i] = i < positional ? args[i] : nullptr;
  const Py_ssize_t named = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
  for (Py_ssize_t k = 0; k < named; ++k) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, k);
    std::size_t i = 0;
    while (i < names.size() && PyUnicode_CompareWithASCIIString(keyword, names[i]) != 0)
      ++i;
    if (i == names.size()) {
      PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", method, keyword);
      return false;
    }
    if (values[i] != nullptr) {
      PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument %R", method, keyword);
      return false;
    }
    values[i] = args[count + k];
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (values[i] != nullptr) continue;
    PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: '%s'", method, names[i]);
    return false;
  }
  return true;
}

}  // namespace veloop::py
