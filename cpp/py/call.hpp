#pragma once
// Calling Python: vectorcall with inline arguments, methods by interned name, and contexts.
#include <Python.h>

#include <cstddef>

#include "py/ref.hpp"
#include "py/thread_end.hpp"

namespace veloop::py {

// Of `count` arguments, or'ed with vectorcall's flag.
inline Ref<> vectorcall(PyObject* function, PyObject* const* arguments, std::size_t count) noexcept {
  return survive_thread_end([&] { return steal(PyObject_Vectorcall(function, arguments, count, nullptr)); });
}

template <class... Args>
Ref<> call(PyObject* function, Args*... arguments) noexcept {
  // The free first slot lets a bound method put its self there instead of copying the arguments.
  PyObject* stack[] = {nullptr, arguments...};
  return vectorcall(function, stack + 1, sizeof...(Args) | PY_VECTORCALL_ARGUMENTS_OFFSET);
}

template <class... Args>
Ref<> call_method(PyObject* self, PyObject* name, Args*... arguments) noexcept {
  PyObject* stack[] = {self, arguments...};
  return survive_thread_end([&] {
    return steal(PyObject_VectorcallMethod(name, stack,
                                           (sizeof...(Args) + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  });
}

inline Ref<> get_attr(PyObject* object, PyObject* name) noexcept {
  return steal(PyObject_GetAttr(object, name));
}

inline Ref<> get_attr(PyObject* object, const char* name) noexcept {
  return steal(PyObject_GetAttrString(object, name));
}

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
