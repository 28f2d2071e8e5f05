#pragma once
// The arguments of a method, given by position or by name, as a Python function with a `def` would take them.
#include <Python.h>

#include <cstddef>
#include <span>

namespace veloop::py {

// Finds a value for each of `names` among the arguments of a METH_FASTCALL | METH_KEYWORDS call; null where
// none was given. False, with Python's TypeError set, unless the first `required` ones are there and nothing
// else.
[[nodiscard]] bool parse_arguments(const char* method, std::span<const char* const> names,
                                   std::size_t required, PyObject* const* args, Py_ssize_t count,
                                   PyObject* keywords, PyObject** values) noexcept;

// The one argument `name`; null, with TypeError set, on failure.
[[nodiscard]] inline PyObject* only_argument(const char* method, const char* name, PyObject* const* args,
                                             Py_ssize_t count, PyObject* keywords) noexcept {
  if (count == 1 && keywords == nullptr) return args[0];
  PyObject* value = nullptr;
  const char* const names[] = {name};
  return parse_arguments(method, names, 1, args, count, keywords, &value) ? value : nullptr;
}

}  // namespace veloop::py
