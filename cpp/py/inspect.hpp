#pragma once
// Looking at what somebody else has made, without an error if it is not there: has it been replaced?
#include <Python.h>

#include "py/ref.hpp"

#if PY_VERSION_HEX < 0x03100000
// Exported by every version up to here, though not by the public headers of each: the method as
// PyObject_VectorcallMethod() finds it, at half of what it costs to make a bound one.
#define VELOOP_HAS_GET_METHOD
extern "C" PyAPI_FUNC(int) _PyObject_GetMethod(PyObject* object, PyObject* name, PyObject** method);
#endif

namespace veloop::py {

// The attribute; null, without an error, if there is none or it cannot be had.
inline Ref<> find_attr(PyObject* object, PyObject* name) noexcept {
  PyObject* value = nullptr;
#if PY_VERSION_HEX >= 0x030D0000
  if (PyObject_GetOptionalAttr(object, name, &value) < 0) PyErr_Clear();
#else
  value = PyObject_GetAttr(object, name);
  if (value == nullptr) PyErr_Clear();
#endif
  return steal(value);
}

// Whether `object.name` is the method that `function` is, replaced neither on the class nor on the object.
// Sets no error.
inline bool has_method(PyObject* object, PyObject* name, const Ref<>& function) noexcept {
#ifdef VELOOP_HAS_GET_METHOD
  PyObject* found = nullptr;
  const bool is_method = _PyObject_GetMethod(object, name, &found) == 1;
  const Ref<> method = steal(found);
  if (!method) PyErr_Clear();
  return is_method && method.get() == function.get();
#else
  const auto method = find_attr(object, name);
  return method && PyMethod_Check(method.get()) && PyMethod_GET_FUNCTION(method.get()) == function.get() &&
         PyMethod_GET_SELF(method.get()) == object;
#endif
}

// The state of a class when it was last looked at: asking whether it is still the same is a comparison.
class TypeVersion {
 public:
  [[nodiscard]] bool is_of(const PyTypeObject* type) const noexcept {
    return tag_ != 0 && type->tp_version_tag == tag_;
  }
  // To be called after looking: a look-up gives the class a new tag if it has lost its own.
  void note(const PyTypeObject* type) noexcept { tag_ = type->tp_version_tag; }
  void forget() noexcept { tag_ = 0; }

 private:
  unsigned tag_ = 0;
};

}  // namespace veloop::py
