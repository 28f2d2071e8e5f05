#include "py/context.hpp"

#include <cstddef>

namespace veloop::py {
namespace {

bool set_in(PyObject* context, PyObject* variable) noexcept {
  const ContextScope scope(context);
  return scope.entered() && current_context() == context && steal(PyContextVar_Set(variable, Py_None));
}

}  // namespace

bool can_see_context_values() noexcept {
  constexpr Py_ssize_t kEndOfValues = sizeof(PyObject) + 2 * sizeof(PyObject*);
  const auto context = steal(PyContext_New());
  const auto copy = context ? steal(PyContext_Copy(context.get())) : Ref<>();
  const auto variable = steal(PyContextVar_New("veloop_probe", nullptr));
  bool sees =
      copy && variable && Py_TYPE(context.get())->tp_basicsize >= kEndOfValues &&
      context_values(copy.get()) != nullptr && context_values(copy.get()) == context_values(context.get()) &&
      set_in(copy.get(), variable.get()) && context_values(copy.get()) != context_values(context.get());
  if (sees) {
    const auto copy_of_changed = steal(PyContext_Copy(copy.get()));
    sees = copy_of_changed && context_values(copy_of_changed.get()) == context_values(copy.get());
  }
  PyErr_Clear();
  return sees;
}

}  // namespace veloop::py
