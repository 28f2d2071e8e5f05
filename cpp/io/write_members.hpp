#pragma once
// The Python face of writing, for whatever takes an application's bytes: T provides write(data) and, for
// those that have it, writelines(pieces); both return false with an error set.
#include <Python.h>

#include "py/arguments.hpp"
#include "py/method.hpp"
#include "py/type.hpp"

namespace veloop::io {

template <class T>
struct WriteMembers {
  static PyObject* write(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
    PyObject* data = py::only_argument("write", "data", args, count, keywords);
    return py::none_unless_error(data != nullptr && py::state_of<T>(self)->write(data));
  }
  static PyObject* writelines(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
    PyObject* pieces = py::only_argument("writelines", "list_of_data", args, count, keywords);
    return py::none_unless_error(pieces != nullptr && py::state_of<T>(self)->writelines(pieces));
  }
};

}  // namespace veloop::io
