#pragma once
// The Python face that Handle and TimerHandle share: asyncio.Handle's attributes and methods, answered
// from the native part. T is Callback or a struct derived from it. They hide the slots of the Python
// base class, whose memory the native part uses.
#include <Python.h>

#include "core/callback.hpp"
#include "py/type.hpp"

namespace veloop::core {

template <class T>
struct HandleMembers {
  static Callback& of(PyObject* self) noexcept { return *py::state_of<T>(self); }

  static PyObject* cancel(PyObject* self, PyObject*) { return handle_cancel(of(self)); }
  static PyObject* cancelled(PyObject* self, PyObject*) { return handle_cancelled(of(self)); }
  static PyObject* run(PyObject* self, PyObject*) { return handle_run(of(self)); }
  static PyObject* get_context(PyObject* self, PyObject*) { return handle_context(of(self)); }

  static PyObject* callback(PyObject* self, void*) { return or_none(function_of(of(self))); }
  static PyObject* args(PyObject* self, void*) { return handle_args(of(self)); }
  static PyObject* context(PyObject* self, void*) { return handle_context(of(self)); }
  static PyObject* loop(PyObject* self, void*) { return or_none(of(self).loop_object.get()); }
  static PyObject* is_cancelled(PyObject* self, void*) { return PyBool_FromLong(of(self).cancelled); }
  static PyObject* repr_cache(PyObject* self, void*) { return handle_repr_cache(of(self)); }
  static PyObject* source_traceback(PyObject* self, void*) { return handle_source_traceback(of(self)); }

 private:
  static PyObject* or_none(PyObject* object) { return py::new_ref(object != nullptr ? object : Py_None); }
  static PyObject* function_of(const Callback& callback) {
    return callback.dropped ? nullptr : callback.function.get();
  }
};

template <class T>
inline PyMethodDef kHandleMethods[] = {
    {"cancel", HandleMembers<T>::cancel, METH_NOARGS, "Cancel the callback; a second call does nothing."},
    {"cancelled", HandleMembers<T>::cancelled, METH_NOARGS, "Return True if the callback was cancelled."},
    {"get_context", HandleMembers<T>::get_context, METH_NOARGS, "Return the contextvars.Context it runs in."},
    {"_run", HandleMembers<T>::run, METH_NOARGS, "Run the callback now (asyncio's own hook)."},
    {nullptr, nullptr, 0, nullptr},
};

template <class T>
inline PyGetSetDef kHandleGetSet[] = {
    {"_callback", HandleMembers<T>::callback, nullptr, nullptr, nullptr},
    {"_args", HandleMembers<T>::args, nullptr, nullptr, nullptr},
    {"_context", HandleMembers<T>::context, nullptr, nullptr, nullptr},
    {"_loop", HandleMembers<T>::loop, nullptr, nullptr, nullptr},
    {"_cancelled", HandleMembers<T>::is_cancelled, nullptr, nullptr, nullptr},
    {"_repr", HandleMembers<T>::repr_cache, nullptr, nullptr, nullptr},
    {"_source_traceback", HandleMembers<T>::source_traceback, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

}  // namespace veloop::core
