#include "core/create_task.hpp"

#include <array>
#include <cstddef>

#include "core/loop_type.hpp"
#include "py/call.hpp"
#include "py/method.hpp"

namespace veloop::core {
namespace {

constexpr std::size_t kMostKeywords = 3;

// Keywords that asyncio's create_task() hands to Task unchanged.
bool are_for_task(const py::Names& names, PyObject* keywords) noexcept {
  const auto count = static_cast<std::size_t>(PyTuple_GET_SIZE(keywords));
  if (count > kMostKeywords) return false;
  for (std::size_t i = 0; i < count; ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, static_cast<Py_ssize_t>(i));
    // Names in calls are interned; others go the long way.
    const bool is_known = keyword == names.name.get() || keyword == names.context.get() ||
                          (PY_VERSION_HEX >= 0x030E0000 && keyword == names.eager_start.get());
    if (!is_known) return false;
  }
  return true;
}

py::Ref<> with_loop_first(const py::State& state, PyObject* keywords) noexcept {
  if (keywords == nullptr) return state.loop_keyword.share();
  return py::steal(PySequence_Concat(state.loop_keyword.get(), keywords));
}

PyObject* create_by_asyncio(Loop& loop, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  const auto method = py::get_attr(loop.state().library.loop.get(), loop.state().names.create_task.get());
  const auto bound = method ? py::steal(PyMethod_New(method.get(), loop.self())) : py::Ref<>();
  return bound ? py::vectorcall(bound.get(), args, static_cast<std::size_t>(count), keywords).release()
               : nullptr;
}

PyObject* create_task(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  Loop& loop = loop_of(self);
  const py::State& state = loop.state();
  const bool is_plain = count == 1 && !loop.debug() && !loop.closed() && !loop.task_factory() &&
                        !loop.has_custom_create_task() &&
                        (keywords == nullptr || are_for_task(state.names, keywords));
  // Looked up each time: nest_asyncio, for one, replaces it.
  PyObject* type =
      is_plain ? PyDict_GetItemWithError(PyModule_GetDict(state.library.tasks.get()), state.names.Task.get())
               : nullptr;
  if (type == nullptr) {
    return PyErr_Occurred() == nullptr ? create_by_asyncio(loop, args, count, keywords) : nullptr;
  }
  const py::Ref<> keep_type = py::share(type);
  const py::Ref<> names = with_loop_first(state, keywords);
  if (!names) return nullptr;
  // A free slot, the coroutine, the loop, and the caller's keywords.
  std::array<PyObject*, 3 + kMostKeywords> stack = {nullptr, args[0], self};
  for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(names.get()); ++i)
    stack[static_cast<std::size_t>(i) + 2] = args[i];
  return py::vectorcall(type, stack.data() + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, names.get()).release();
}

PyObject* get_task_factory(PyObject* self, void*) {
  const py::Ref<>& factory = loop_of(self).task_factory();
  return py::new_ref(factory ? factory.get() : Py_None);
}

int set_task_factory(PyObject* self, PyObject* value, void*) {
  loop_of(self).task_factory() = value == Py_None ? py::Ref<>() : py::share(value);
  return 0;
}

}  // namespace

const std::vector<PyMethodDef>& task_methods() {
  static const std::vector<PyMethodDef> methods = {
      {"create_task", py::as_method(create_task), METH_FASTCALL | METH_KEYWORDS,
#if PY_VERSION_HEX >= 0x030E0000
       "create_task($self, coro, **kwargs)\n--\n\n"
#elif PY_VERSION_HEX >= 0x030D0400
       "create_task($self, coro, *, name=None, context=None, **kwargs)\n--\n\n"
#else
       "create_task($self, coro, *, name=None, context=None)\n--\n\n"
#endif
       "Schedule a coroutine object; return its asyncio.Task, or what the task factory makes of it.\n\n"
       "Raises RuntimeError if the loop is closed, TypeError if `coro` is no coroutine."},
  };
  return methods;
}

PyGetSetDef kTaskFactory = {"_task_factory", get_task_factory, set_task_factory, nullptr, nullptr};

}  // namespace veloop::core
