#pragma once
// What tables of methods need: functions of any signature as PyCFunction, and None as the result of success.
#include <Python.h>

#include "py/ref.hpp"

namespace veloop::py {

template <class F>
PyCFunction as_method(F* function) noexcept {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

// For methods that return nothing: null, with the error that is set, unless `ok`.
inline PyObject* none_unless_error(bool ok) noexcept { return ok ? new_ref(Py_None) : nullptr; }

}  // namespace veloop::py
