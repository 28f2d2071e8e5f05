#pragma once
// SharedContext: one copy of the context that a loop runs in, for all callbacks scheduled with its values.
//
// asyncio copies the current context for each call_soon(), and enters the copy to run the callback. Nobody
// can tell when that copy is made, if it is before the callback runs; nor a new copy from one in which other
// callbacks have run and changed nothing. So the handles share one copy, which nobody enters, and a callback
// that runs gets a context of its own, used again after it. Handles that wait need 88 bytes less each, and
// the collector has nothing to walk through: call_soon_threadsafe() is twice as fast.
//
// Other values than those of the loop's own context are not shared: whatever they refer to would live for
// longer than in asyncio. While the loop does not run, those are no values at all.
#include <Python.h>

#include <utility>

#include "py/context.hpp"
#include "py/ref.hpp"

namespace veloop::core {

class SharedContext {
 public:
  // `empty` is a context without values; null if context_values() cannot be had, and nothing is shared.
  explicit SharedContext(const py::Ref<>& empty) noexcept : empty_(empty.share()), snapshot_(empty.share()) {}

  // Between these two calls the loop runs, in the context that is current now.
  void begin_run() noexcept {
    PyObject* context = py::current_context();
    if (!empty_ || context == nullptr || has_values_of(context)) return;
    spare_.reset();
    snapshot_ = py::copy_current_context();
    if (!snapshot_) PyErr_Clear();
  }
  void end_run() noexcept {
    if (snapshot_.get() == empty_.get()) return;
    spare_.reset();
    snapshot_ = empty_.share();
  }

  // The copy, if it has the values of the current context; else null, without an error.
  [[nodiscard]] py::Ref<> current() const noexcept {
    PyObject* context = snapshot_ ? py::current_context() : nullptr;
    return context != nullptr && has_values_of(context) ? snapshot_.share() : py::Ref<>();
  }
  // A context to enter, with the values of what current() gave. Null, with an error set, on failure.
  [[nodiscard]] py::Ref<> own(PyObject* snapshot) noexcept {
    if (spare_ && snapshot == snapshot_.get()) return std::move(spare_);
    return py::steal(PyContext_Copy(snapshot));
  }
  // Takes back what own() gave and nobody else has seen.
  void give_back(py::Ref<> context) noexcept {
    if (snapshot_ && context && Py_REFCNT(context.get()) == 1 && has_values_of(context.get())) {
      spare_ = std::move(context);
    }
  }

 private:
  [[nodiscard]] bool has_values_of(PyObject* context) const noexcept {
    return py::context_values(context) == py::context_values(snapshot_.get());
  }

  py::Ref<> empty_;
  py::Ref<> snapshot_;  // what is shared now
  py::Ref<> spare_;     // a context with the same values, in which callbacks have run
};

}  // namespace veloop::core
