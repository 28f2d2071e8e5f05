#pragma once
// contextvars.Context: to enter one, to copy the current one, to see whether two have the same values.
#include <Python.h>

#include "py/ref.hpp"

namespace veloop::py {

// A context that is current for as long as the scope lasts. entered() is false, with RuntimeError set,
// when somebody else is in it already.
class ContextScope {
 public:
  explicit ContextScope(PyObject* context) noexcept
      : context_(PyContext_Enter(context) == 0 ? context : nullptr) {}
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
  ~ContextScope() {
    if (context_ != nullptr) PyContext_Exit(context_);
  }
  [[nodiscard]] bool entered() const noexcept { return context_ != nullptr; }

 private:
  PyObject* context_;
};

inline Ref<> copy_current_context() noexcept { return steal(PyContext_CopyCurrent()); }

// The mapping inside a context. It never changes: to set a variable puts another in its place. So contexts
// with the same mapping have the same values. CPython shows it to nobody, but has kept it in this place since
// 3.7; can_see_context_values() tries that out.
inline const PyObject* context_values(PyObject* context) noexcept {
  struct Layout {
    PyObject_HEAD PyObject* previous;
    PyObject* values;
  };
  return reinterpret_cast<const Layout*>(context)->values;
}

// Whether context_values() holds for this Python. Sets no error.
[[nodiscard]] bool can_see_context_values() noexcept;

// Borrowed; null in a thread that has not used one yet.
inline PyObject* current_context() noexcept { return PyThreadState_Get()->context; }

}  // namespace veloop::py
