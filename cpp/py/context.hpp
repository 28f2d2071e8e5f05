#pragma once
// contextvars.Context: to enter one, to copy the current one.
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

}  // namespace veloop::py
