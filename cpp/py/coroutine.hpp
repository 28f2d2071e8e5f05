#pragma once
// Native coroutines: what calling an `async def` method of asyncio returns, without a Python frame.
//
// make_coroutine_type<Body>() makes a type that tasks, `await` and asyncio.iscoroutine() take for a
// coroutine: nothing happens before the first send(), it runs once, and one that never ran is reported when
// it is dropped. It awaits by delegation, as `await` does: Body names an iterator (of a future, of another
// coroutine) and is resumed with what that returns.
//
// Body provides:  static constexpr const char* kTypeName;
//                 const char* name(), const char* qualified_name();   // of the method
//                 Step start(PyObject* self);                         // the first step
//                 Step resume(Ref<> value);                           // what was awaited returned `value`
//                 void abandon();                                     // what was awaited failed, or close()
//                 template <class V> int visit_refs(V&& visit);
#include <Python.h>
#include <structmember.h>

#include <cstddef>
#include <new>
#include <utility>

#include "py/call.hpp"
#include "py/error.hpp"
#include "py/method.hpp"
#include "py/ref.hpp"
#include "py/type.hpp"

namespace veloop::py {

// How a step of a coroutine ended.
struct Step {
  enum class Kind : unsigned char { kReturn, kAwait, kRaise };
  Kind kind = Kind::kRaise;
  Ref<> value;  // the result, or the iterator to delegate to

  // Null means that an error is set, as everywhere.
  static Step returns(Ref<> result) noexcept {
    const Kind kind = result ? Kind::kReturn : Kind::kRaise;
    return {kind, std::move(result)};
  }
  static Step awaits(Ref<> iterator) noexcept {
    const Kind kind = iterator ? Kind::kAwait : Kind::kRaise;
    return {kind, std::move(iterator)};
  }
  static Step raises() noexcept { return {}; }
};

// What `await object` would iterate over. Null, with an error set, on failure.
inline Ref<> awaitable_iterator(PyObject* object) noexcept {
  if (PyCoro_CheckExact(object)) return share(object);
  const PyAsyncMethods* methods = Py_TYPE(object)->tp_as_async;
  if (methods != nullptr && methods->am_await != nullptr) return steal(methods->am_await(object));
  PyErr_Format(PyExc_TypeError, "object %.200s can't be used in 'await' expression",
               Py_TYPE(object)->tp_name);
  return {};
}

// The exception that throw(type[, value[, traceback]]) means. Null, with an error set, on failure.
Ref<> exception_to_throw(PyObject* const* args, Py_ssize_t count) noexcept;

// Sets StopIteration(value).
void set_stop_iteration(PyObject* value) noexcept;

// Warns that `coroutine` was never awaited, in asyncio's words.
void warn_never_awaited(PyObject* coroutine) noexcept;

template <class Body>
struct Coroutine {
  enum class Stage : unsigned char { kCreated, kSuspended, kClosed };

  PyObject* weakrefs = nullptr;
  Ref<> awaited;  // the iterator that steps are delegated to, while suspended
  Stage stage = Stage::kCreated;
  bool running = false;
  Body body;

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = visit(awaited)) return stop;
    return body.visit_refs(visit);
  }

  static Coroutine& of(PyObject* self) noexcept { return *state_of<Coroutine>(self); }

  static void finalize(PyObject* self) {
    if (of(self).stage != Stage::kCreated) return;
    const ErrorStash stash;
    warn_never_awaited(self);
  }

  // ---- stepping ---------------------------------------------------------------------------------------

  static PySendResult send(PyObject* self, PyObject* value, PyObject** result) noexcept {
    Coroutine& coroutine = of(self);
    *result = nullptr;
    if (!coroutine.may_run()) return PYGEN_ERROR;
    if (coroutine.stage == Stage::kCreated && value != Py_None) {
      PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
      return PYGEN_ERROR;
    }
    coroutine.running = true;
    if (coroutine.stage == Stage::kCreated) {
      coroutine.stage = Stage::kSuspended;
      return coroutine.advance(coroutine.body.start(self), result);
    }
    return coroutine.delegate(send_to(coroutine.awaited.get(), value, result), result);
  }

  static PyObject* iternext(PyObject* self) noexcept {
    PyObject* result = nullptr;
    if (send(self, Py_None, &result) != PYGEN_RETURN) return result;
    const Ref<> value = steal(result);
    // The end of an iteration without an exception means that None was returned.
    if (value.get() != Py_None) set_stop_iteration(value.get());
    return nullptr;
  }

  static PyObject* send_method(PyObject* self, PyObject* value) noexcept {
    PyObject* result = nullptr;
    if (send(self, value, &result) != PYGEN_RETURN) return result;
    set_stop_iteration(steal(result).get());
    return nullptr;
  }

  static PyObject* throw_method(PyObject* self, PyObject* const* args, Py_ssize_t count) noexcept {
    Coroutine& coroutine = of(self);
    Ref<> exception = exception_to_throw(args, count);
    if (!exception || !coroutine.may_run()) return nullptr;
    if (coroutine.stage == Stage::kCreated) {
      coroutine.finish();
      raise(std::move(exception));
      return nullptr;
    }
    coroutine.running = true;
    PyObject* result = nullptr;
    const PySendResult outcome = coroutine.throw_into_awaited(std::move(exception), &result);
    if (coroutine.delegate(outcome, &result) != PYGEN_RETURN) return result;
    set_stop_iteration(steal(result).get());
    return nullptr;
  }

  static PyObject* close_method(PyObject* self, PyObject*) noexcept {
    Coroutine& coroutine = of(self);
    if (coroutine.stage == Stage::kClosed) Py_RETURN_NONE;
    if (!coroutine.may_run()) return nullptr;
    bool ok = true;
    if (coroutine.stage == Stage::kSuspended) {
      coroutine.running = true;
      ok = coroutine.close_awaited();
      const ErrorStash stash;
      coroutine.body.abandon();
      coroutine.running = false;
    }
    {
      const ErrorStash stash;
      coroutine.finish();
    }
    return ok ? new_ref(Py_None) : nullptr;
  }

  static PyObject* await(PyObject* self) noexcept {
    if (of(self).stage == Stage::kSuspended) {
      PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
      return nullptr;
    }
    return new_ref(self);
  }

 private:
  [[nodiscard]] bool may_run() const noexcept {
    if (running) {
      PyErr_SetString(PyExc_ValueError, "coroutine already executing");
      return false;
    }
    if (stage == Stage::kClosed) {
      PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
      return false;
    }
    return true;
  }

  // Goes on from a step of the body until it suspends or ends.
  PySendResult advance(Step step, PyObject** result) noexcept {
    while (step.kind == Step::Kind::kAwait) {
      awaited = std::move(step.value);
      const PySendResult outcome = send_to(awaited.get(), Py_None, result);
      if (outcome != PYGEN_RETURN) return delegate(outcome, result);
      awaited.reset();
      step = body.resume(steal(std::exchange(*result, nullptr)));
    }
    running = false;
    if (step.kind == Step::Kind::kRaise) {
      const ErrorStash stash;
      finish();
      return PYGEN_ERROR;
    }
    finish();
    *result = step.value.release();
    return PYGEN_RETURN;
  }

  // Goes on from the outcome of what was awaited.
  PySendResult delegate(PySendResult outcome, PyObject** result) noexcept {
    if (outcome == PYGEN_NEXT) {
      running = false;
      return outcome;
    }
    if (outcome == PYGEN_RETURN) {
      awaited.reset();
      return advance(body.resume(steal(std::exchange(*result, nullptr))), result);
    }
    {
      const ErrorStash stash;
      body.abandon();
    }
    return advance(Step::raises(), result);
  }

  PySendResult throw_into_awaited(Ref<> exception, PyObject** result) noexcept {
    if (PyErr_GivenExceptionMatches(exception.get(), PyExc_GeneratorExit)) {
      if (close_awaited()) raise(std::move(exception));
      return PYGEN_ERROR;
    }
    const Ref<> method = get_attr(awaited.get(), "throw");
    if (!method) {
      PyErr_Clear();
      raise(std::move(exception));
      return PYGEN_ERROR;
    }
    *result = call(method.get(), exception.get()).release();
    if (*result != nullptr) return PYGEN_NEXT;
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;
    const Ref<> stop = take_exception();
    *result = get_attr(stop.get(), "value").release();
    return *result != nullptr ? PYGEN_RETURN : PYGEN_ERROR;
  }

  [[nodiscard]] bool close_awaited() noexcept {
    const Ref<> method = get_attr(awaited.get(), "close");
    if (method) return static_cast<bool>(call(method.get()));
    PyErr_Clear();
    return true;
  }

  // Drops everything: what a finished coroutine held is free.
  void finish() noexcept {
    stage = Stage::kClosed;
    visit_refs([](auto& ref) {
      ref.reset();
      return 0;
    });
  }
};

// ---- attributes of a coroutine ------------------------------------------------------------------------

template <class Body>
struct CoroutineAttributes {
  using C = Coroutine<Body>;
  using Stage = typename C::Stage;

  // isinstance(x, types.CoroutineType), and so inspect.iscoroutine(x), hold.
  static PyObject* type(PyObject*, void*) { return new_ref(reinterpret_cast<PyObject*>(&PyCoro_Type)); }
  static PyObject* name(PyObject* self, void*) { return PyUnicode_FromString(C::of(self).body.name()); }
  static PyObject* qualified_name(PyObject* self, void*) {
    return PyUnicode_FromString(C::of(self).body.qualified_name());
  }
  static PyObject* is_running(PyObject* self, void*) { return PyBool_FromLong(C::of(self).running); }
  static PyObject* is_suspended(PyObject* self, void*) {
    return PyBool_FromLong(C::of(self).stage == Stage::kSuspended && !C::of(self).running);
  }
  // inspect.getcoroutinestate(), which asks for it from 3.15 on.
  static PyObject* state(PyObject* self, void*) {
    const C& coroutine = C::of(self);
    if (coroutine.running) return PyUnicode_FromString("CORO_RUNNING");
    if (coroutine.stage == Stage::kCreated) return PyUnicode_FromString("CORO_CREATED");
    return PyUnicode_FromString(coroutine.stage == Stage::kSuspended ? "CORO_SUSPENDED" : "CORO_CLOSED");
  }
  // There is no frame to show: none at all tells tools to look no further, None that it has ended.
  static PyObject* frame(PyObject* self, void*) {
    if (C::of(self).stage == Stage::kClosed) Py_RETURN_NONE;
    PyErr_SetString(PyExc_AttributeError, "a native coroutine has no frame");
    return nullptr;
  }
  static PyObject* origin(PyObject*, void*) { Py_RETURN_NONE; }

  static PyObject* repr(PyObject* self) {
    return PyUnicode_FromFormat("<coroutine object %s at %p>", C::of(self).body.qualified_name(),
                                static_cast<void*>(self));
  }
};

// Makes the type. Null, with an error set, on failure.
template <class Body>
Ref<PyTypeObject> make_coroutine_type(PyObject* module) noexcept {
  using C = Coroutine<Body>;
  using A = CoroutineAttributes<Body>;
  static PyMethodDef methods[] = {
      {"send", C::send_method, METH_O, "Resume the coroutine with a value; raises StopIteration at its end."},
      {"throw", as_method(C::throw_method), METH_FASTCALL, "Raise an exception where the coroutine waits."},
      {"close", C::close_method, METH_NOARGS, "End the coroutine; what it waited for is forgotten."},
      {nullptr, nullptr, 0, nullptr},
  };
  static PyGetSetDef getset[] = {
      {"__class__", A::type, nullptr, nullptr, nullptr},
      {"__name__", A::name, nullptr, nullptr, nullptr},
      {"__qualname__", A::qualified_name, nullptr, nullptr, nullptr},
      {"cr_running", A::is_running, nullptr, nullptr, nullptr},
      {"cr_suspended", A::is_suspended, nullptr, nullptr, nullptr},
      {"cr_state", A::state, nullptr, nullptr, nullptr},
      {"cr_frame", A::frame, nullptr, nullptr, nullptr},
      {"cr_origin", A::origin, nullptr, nullptr, nullptr},
      {nullptr, nullptr, nullptr, nullptr, nullptr},
  };
  const auto head = static_cast<Py_ssize_t>(sizeof(PyObject));
  PyMemberDef members[] = {
      {"__weaklistoffset__", T_PYSSIZET, head + static_cast<Py_ssize_t>(offsetof(C, weakrefs)), READONLY,
       nullptr},
      {nullptr, 0, 0, 0, nullptr},
  };
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(&dealloc<C>)},
      {Py_tp_finalize, reinterpret_cast<void*>(&C::finalize)},
      {Py_tp_traverse, reinterpret_cast<void*>(&traverse<C>)},
      {Py_tp_clear, reinterpret_cast<void*>(&clear<C>)},
      {Py_tp_repr, reinterpret_cast<void*>(&A::repr)},
      {Py_tp_iternext, reinterpret_cast<void*>(&C::iternext)},
      {Py_am_await, reinterpret_cast<void*>(&C::await)},
      {Py_am_send, reinterpret_cast<void*>(&C::send)},
      {Py_tp_methods, methods},
      {Py_tp_getset, getset},
      {Py_tp_members, members},
      {0, nullptr},
  };
  PyType_Spec spec = {Body::kTypeName, static_cast<int>(sizeof(PyObject) + sizeof(C)), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  return Ref<PyTypeObject>::steal(
      reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr)));
}

}  // namespace veloop::py
