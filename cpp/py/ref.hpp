#pragma once
// Ref<T>: one strong reference to a Python object, and the only place that counts references.
//
// Move-only: a second owner is spelled share(). A null Ref returned from a function means that a Python
// error is set; a null Ref member means "nothing there".
#include <Python.h>

#include <utility>

namespace veloop::py {

template <class T = PyObject>
class Ref {
 public:
  constexpr Ref() noexcept = default;
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  ~Ref() { Py_XDECREF(raw()); }

  // The old reference is dropped last: its destructor may run Python code that looks at this Ref.
  Ref& operator=(Ref&& other) noexcept {
    PyObject* old = raw();
    object_ = std::exchange(other.object_, nullptr);
    Py_XDECREF(old);
    return *this;
  }

  // Takes over a reference that the caller owns (a "new reference" of the C API; null stays null).
  static Ref steal(T* object) noexcept {
    Ref ref;
    ref.object_ = object;
    return ref;
  }

  // Makes a further reference to an object that somebody else holds.
  static Ref share(T* object) noexcept {
    Py_XINCREF(reinterpret_cast<PyObject*>(object));
    return steal(object);
  }

  [[nodiscard]] Ref share() const noexcept { return share(object_); }
  [[nodiscard]] T* get() const noexcept { return object_; }
  [[nodiscard]] PyObject* raw() const noexcept { return reinterpret_cast<PyObject*>(object_); }
  [[nodiscard]] T* release() noexcept { return std::exchange(object_, nullptr); }
  [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }
  void reset() noexcept { *this = Ref(); }

 private:
  T* object_ = nullptr;
};

inline Ref<> steal(PyObject* object) noexcept { return Ref<>::steal(object); }
inline Ref<> share(PyObject* object) noexcept { return Ref<>::share(object); }
inline Ref<> none() noexcept { return Ref<>::share(Py_None); }

// A new reference for the C API to return; null stays null.
inline PyObject* new_ref(PyObject* object) noexcept {
  Py_XINCREF(object);
  return object;
}

// For containers that keep a reference in a form of their own (the ready queue's tagged pointers).
inline void retain(PyObject* object) noexcept { Py_INCREF(object); }
inline void drop(PyObject* object) noexcept { Py_DECREF(object); }

}  // namespace veloop::py
