#include "py/coroutine.hpp"

namespace veloop::py {

Ref<> exception_to_throw(PyObject* const* args, Py_ssize_t count) noexcept {
  if (count < 1 || count > 3) {
    PyErr_Format(PyExc_TypeError, "throw expected %s, got %zd",
                 count < 1 ? "at least 1 argument" : "at most 3 arguments", count);
    return {};
  }
  PyObject* type = args[0];
  PyObject* value = count > 1 && args[1] != Py_None ? args[1] : nullptr;
  PyObject* traceback = count > 2 && args[2] != Py_None ? args[2] : nullptr;
  Ref<> exception;
  if (PyExceptionInstance_Check(type)) {
    if (value != nullptr) {
      PyErr_SetString(PyExc_TypeError, "instance exception may not have a separate value");
      return {};
    }
    exception = share(type);
  } else if (PyExceptionClass_Check(type)) {
    // As `raise type, value` did: an instance is used as it is, a tuple holds the arguments.
    if (value != nullptr && PyErr_GivenExceptionMatches(value, type) && PyExceptionInstance_Check(value)) {
      exception = share(value);
    } else if (value != nullptr && PyTuple_Check(value)) {
      exception = steal(PyObject_CallObject(type, value));
    } else {
      exception = value != nullptr ? call(type, value) : call(type);
    }
  } else {
    PyErr_Format(PyExc_TypeError,
                 "exceptions must be classes or instances deriving from BaseException, not %s",
                 Py_TYPE(type)->tp_name);
    return {};
  }
  if (!exception) return {};
  if (traceback != nullptr && PyException_SetTraceback(exception.get(), traceback) < 0) return {};
  return exception;
}

void set_stop_iteration(PyObject* value) noexcept {
  // Made here: given a tuple, PyErr_SetObject() would take it for the arguments.
  const Ref<> stop = value == Py_None ? call(PyExc_StopIteration) : call(PyExc_StopIteration, value);
  if (stop) PyErr_SetObject(PyExc_StopIteration, stop.get());
}

void warn_never_awaited(PyObject* coroutine) noexcept {
  const Ref<> warnings = steal(PyImport_ImportModule("warnings"));
  const Ref<> warn = warnings ? get_attr(warnings.get(), "_warn_unawaited_coroutine") : Ref<>();
  // An error here is a warning that became an exception: nobody could catch it.
  if (!warn || !call(warn.get(), coroutine)) PyErr_WriteUnraisable(coroutine);
}

}  // namespace veloop::py
