#pragma once
// Weak references: to know an object again without keeping it alive.
#include <Python.h>

#include "py/ref.hpp"

namespace veloop::py {

// Whether `reference`, a weak reference, refers to `object`, which is alive.
inline bool is_weakref_to(PyObject* reference, PyObject* object) noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  PyObject* referent = nullptr;
  (void)PyWeakref_GetRef(reference, &referent);
  return steal(referent).get() == object;
#else
  return PyWeakref_GetObject(reference) == object;
#endif
}

}  // namespace veloop::py
