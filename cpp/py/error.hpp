#pragma once
// The Python error indicator as a value: take it, look at it, put it back.
#include <Python.h>

#include <exception>
#include <new>
#include <utility>

#include "py/ref.hpp"

namespace veloop::py {

// Takes the current exception out of the error indicator (null when none is set).
inline Ref<> take_exception() noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  return steal(PyErr_GetRaisedException());
#else
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  if (type == nullptr) return {};
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback != nullptr) PyException_SetTraceback(value, traceback);
  const Ref<> dropped[] = {steal(type), steal(traceback)};
  return steal(value);
#endif
}

// Puts an exception (back) into the error indicator.
inline void raise(Ref<> exception) noexcept {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(exception.release());
#else
  PyObject* value = exception.release();
  PyErr_Restore(new_ref(reinterpret_cast<PyObject*>(Py_TYPE(value))), value, PyException_GetTraceback(value));
#endif
}

// SystemExit and KeyboardInterrupt are never swallowed or logged: they leave run_forever().
inline bool is_exit_request() noexcept {
  return PyErr_ExceptionMatches(PyExc_SystemExit) || PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
}

// Keeps the current error aside while clean-up code runs, and restores it at the end of the scope.
class ErrorStash {
 public:
  ErrorStash() noexcept : exception_(take_exception()) {}
  ErrorStash(const ErrorStash&) = delete;
  ErrorStash& operator=(const ErrorStash&) = delete;
  ~ErrorStash() {
    if (exception_) raise(std::move(exception_));
  }

 private:
  Ref<> exception_;
};

// Python code sees `exception` as the one that is being handled (sys.exc_info()) while this lasts: what
// asyncio calls within an `except` block can log it, and a new exception names it as its context.
class HandledException {
 public:
  explicit HandledException(PyObject* exception) noexcept
      : previous_(share(PyThreadState_Get()->exc_info->exc_value)) {
    PyErr_SetHandledException(exception);
  }
  HandledException(const HandledException&) = delete;
  HandledException& operator=(const HandledException&) = delete;
  ~HandledException() { PyErr_SetHandledException(previous_.get()); }

 private:
  Ref<> previous_;  // of this frame of coroutines, not the topmost one
};

// Runs the body of an entry point: a C++ exception (memory, in practice) becomes a Python error and the
// value-initialised result, which every slot and method reads as failure.
template <class Body>
auto guard(Body&& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return decltype(body()){};
}

}  // namespace veloop::py
