#pragma once
// Calling Python: vectorcall with inline arguments, methods by interned name, and contexts.
#include <Python.h>

#include <cstddef>

#include "py/ref.hpp"
#include "py/thread_end.hpp"

namespace veloop::py {

// Of `count` positional arguments, or'ed with vectorcall's flag.
inline Ref<> vectorcall(PyObject* function, PyObject* const* arguments, std::size_t count,
                        PyObject* keywords = nullptr) noexcept {
  return survive_thread_end([&] { return steal(PyObject_Vectorcall(function, arguments, count, keywords)); });
}

// `keywords` may be null.
inline Ref<> call_with(PyObject* function, PyObject* arguments, PyObject* keywords) noexcept {
  return survive_thread_end([&] { return steal(PyObject_Call(function, arguments, keywords)); });
}

// PyIter_Send().
inline PySendResult send_to(PyObject* iterator, PyObject* value, PyObject** result) noexcept {
  return survive_thread_end([&] { return PyIter_Send(iterator, value, result); });
}

// Arguments by a format, as Py_BuildValue() takes it: for what is called seldom.
template <class... Args>
Ref<> call_method_by_format(PyObject* self, const char* name, const char* format,
                            Args... arguments) noexcept {
  return survive_thread_end([&] { return steal(PyObject_CallMethod(self, name, format, arguments...)); });
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

}  // namespace veloop::py
