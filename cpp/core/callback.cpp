#include "core/callback.hpp"

#include <cstddef>
#include <utility>

#include "core/handle_members.hpp"
#include "core/loop.hpp"
#include "core/timers.hpp"
#include "py/call.hpp"
#include "py/context.hpp"
#include "py/error.hpp"
#include "py/free_list.hpp"
#include "py/inspect.hpp"
#include "py/type.hpp"

namespace veloop::core {
namespace {

static_assert(offsetof(Callback, debug) == Callback::kLeadingReferences * sizeof(PyObject*));
static_assert(sizeof(py::Ref<>) == sizeof(PyObject*), "arguments are passed to vectorcall in place");

// Handles come and go once per turn: their memory is kept, with the reference to their type, instead of
// going through the allocator. Measured: 40 % of the cost of call_soon().
PyObject* allocate(py::State& state) noexcept {
  PyTypeObject* type = state.types.handle.get();
  if (state.free_handles.empty()) return py::new_untracked_object<Callback>(type);
  PyObject* self = state.free_handles.take();
  new (py::state_of<Callback>(self)) Callback();
  return self;
}

// Ends a handle that is not a timer. Its memory goes to `free_list`, if there is one with room.
void recycle(PyObject* self, py::FreeList* free_list) noexcept {
  if (*py::weak_references(self) != nullptr) PyObject_ClearWeakRefs(self);
  py::state_of<Callback>(self)->~Callback();
  if (free_list == nullptr || !free_list->put(self)) py::FreeList::free(self);
}

void destroy(PyObject* self, Callback& callback, py::FreeList* free_list) noexcept {
  if (callback.kind == Callback::Kind::kTimer) {
    py::dealloc<Timer>(self);
  } else {
    recycle(self, free_list);
  }
}

void dealloc(PyObject* self) { dealloc_handle(self, *py::state_of<Callback>(self)); }

bool is_cancelled(py::State& state, PyObject* handle) noexcept {
  const auto flag = py::find_attr(handle, state.names._cancelled.get());
  return flag && PyObject_IsTrue(flag.get()) == 1;
}

// Something else was given as context: asyncio asks for nothing but a method run().
py::Ref<> run_by_its_context(const Callback& callback) noexcept {
  PyErr_Clear();
  const auto run = py::get_attr(callback.context.get(), "run");
  const auto arguments = py::steal(handle_args(callback));
  const auto function = py::steal(PyTuple_Pack(1, callback.function.get()));
  if (!run || !arguments || !function) return {};
  const auto all = py::steal(PySequence_Concat(function.get(), arguments.get()));
  return all ? py::call_with(run.get(), all.get(), nullptr) : py::Ref<>();
}

// Sees to it that its context, if it has one, is its own to enter. False, with an error set, on failure.
bool take_own_context(Callback& callback) noexcept {
  // Without a loop it was cleared by the collector, its context with it.
  if (callback.context_kind != Callback::ContextKind::kShared || !callback.loop_object) return true;
  py::Ref<> own = callback.loop().shared_context().own(callback.context.get());
  if (!own) return false;
  callback.context = std::move(own);
  callback.context_kind = Callback::ContextKind::kBorrowed;
  return true;
}

py::Ref<> invoke(Callback& callback) noexcept {
  if (callback.kind == Callback::Kind::kForeign) {
    py::State& state = callback.loop().state();
    if (is_cancelled(state, callback.function.get())) return py::none();
    return py::call_method(callback.function.get(), state.names._run.get());
  }
  if (!take_own_context(callback)) return {};
  const py::ContextScope scope(callback.context.get());
  if (!scope.entered())
    return PyContext_CheckExact(callback.context.get()) ? py::Ref<>() : run_by_its_context(callback);
  if (callback.args_in_tuple) return py::call_with(callback.function.get(), callback.args[0].get(), nullptr);
  // Ref<> is one pointer: the references themselves are the argument vector.
  return py::vectorcall(callback.function.get(), reinterpret_cast<PyObject* const*>(&callback.args[0]),
                        static_cast<std::size_t>(callback.arg_count) | PY_VECTORCALL_ARGUMENTS_OFFSET);
}

void wait_while_running(const Callback& callback) noexcept {
  if (callback.threadsafe && callback.running) callback.loop().wait_while_running(callback);
}

}  // namespace

void dealloc_handle(PyObject* self, Callback& callback) noexcept {
  constexpr unsigned kDeepest = 100;
  PyObject_GC_UnTrack(self);
  if (!callback.loop_object) return destroy(self, callback, nullptr);
  py::State& state = callback.loop().state();
  py::DyingHandles& dying = state.dying_handles;
  if (dying.depth == kDeepest) {
    callback.scratch = std::exchange(dying.waiting, self);
    return;
  }
  // Dropping the last reference to the loop may end the State: hold it a moment.
  const py::Ref<> keep_loop = callback.loop_object.share();
  ++dying.depth;
  destroy(self, callback, &state.free_handles);
  while (dying.depth == 1 && dying.waiting != nullptr) {
    PyObject* next = dying.waiting;
    Callback& waiting = *as_callback(state, next);
    dying.waiting = waiting.scratch;
    destroy(next, waiting, &state.free_handles);
  }
  --dying.depth;
}

void Callback::drop_function_and_arguments() noexcept {
  // Moved out first: their destructors may run Python code that looks at this handle.
  const py::Ref<> old_function = std::move(function);
  const py::Ref<> old_args[] = {std::move(args[0]), std::move(args[1]), std::move(args[2])};
  arg_count = 0;
  args_in_tuple = false;
}

Loop& Callback::loop() const noexcept { return loop_of(loop_object.get()); }

bool fill(Callback& callback, Loop& loop, PyObject* function, PyObject* const* args, Py_ssize_t count,
          PyObject* context) noexcept {
  callback.loop_object = py::share(loop.self());
  callback.function = py::share(function);
  if (count <= Callback::kInlineArgs) {
    for (Py_ssize_t i = 0; i < count; ++i)
      callback.args[i] = py::share(args[i]);
    callback.arg_count = static_cast<std::uint8_t>(count);
  } else {
    callback.args[0] = py::steal(PyTuple_New(count));
    if (!callback.args[0]) return false;
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyTuple_SET_ITEM(callback.args[0].get(), i, py::new_ref(args[i]));
    }
    callback.args_in_tuple = true;
  }
  if (context != nullptr && context != Py_None) {
    callback.context = py::share(context);
  } else if ((callback.context = loop.shared_context().current())) {
    callback.context_kind = Callback::ContextKind::kShared;
  } else {
    callback.context = py::copy_current_context();
  }
  if (!callback.context) return false;
  return !loop.debug() || loop.record_source(callback);
}

Callback* new_callback(Loop& loop, PyObject* function, PyObject* const* args, Py_ssize_t count,
                       PyObject* context) noexcept {
  PyObject* self = allocate(loop.state());
  if (self == nullptr) return nullptr;
  auto* callback = py::state_of<Callback>(self);
  callback->self = self;
  if (!fill(*callback, loop, function, args, count, context)) {
    py::drop(self);
    return nullptr;
  }
  return callback;
}

Callback* new_foreign_callback(Loop& loop, PyObject* handle) noexcept {
  Callback* callback = new_callback(loop, handle, nullptr, 0, nullptr);
  if (callback != nullptr) callback->kind = Callback::Kind::kForeign;
  return callback;
}

void show_to_collector(Callback& callback) noexcept {
  if (PyObject_GC_IsTracked(callback.self) == 0) PyObject_GC_Track(callback.self);
}

void release(Callback& callback) noexcept {
  if (py::take_last_reference(callback.self)) return dealloc_handle(callback.self, callback);
  show_to_collector(callback);
  py::drop(callback.self);
}

void retire(Callback& callback) noexcept {
  // Not where handles are destroyed: the collector, which destroys one, will clear its context, too.
  if (callback.context_kind == Callback::ContextKind::kBorrowed && callback.loop_object &&
      Py_REFCNT(callback.self) == 1) {
    callback.loop().shared_context().give_back(std::move(callback.context));
  }
  release(callback);
}

bool run(Callback& callback) noexcept {
  // It may run inside itself (Handle._run() called by hand), which fails, but must not end the outer run.
  const bool was_running = std::exchange(callback.running, true);
  const py::Ref<> result = invoke(callback);
  bool go_on = true;
  if (!result) {
    go_on = !py::is_exit_request() && callback.loop().report_callback_error(callback);
  }
  callback.running = was_running;
  if (was_running) return go_on;
  if (callback.cancelled) callback.drop_function_and_arguments();
  if (callback.threadsafe) callback.loop().notify_callback_ran();
  return go_on;
}

Callback* as_callback(const py::State& state, PyObject* object) noexcept {
  PyTypeObject* type = Py_TYPE(object);
  if (type == state.types.handle.get()) return py::state_of<Callback>(object);
  if (type == state.types.timer_handle.get()) return py::state_of<Timer>(object);
  return nullptr;
}

PyObject* handle_cancel(Callback& callback) noexcept {
  if (callback.cancelled || !callback.loop_object) Py_RETURN_NONE;
  wait_while_running(callback);
  if (callback.cancelled) Py_RETURN_NONE;
  const py::Ref<> keep_alive = py::share(callback.self);
  callback.cancelled = true;
  if (callback.loop().debug()) {
    // Kept for reports such as "Executing <Handle ...> took 2.5 seconds".
    auto repr = py::steal(PyObject_Repr(callback.self));
    if (!repr) return nullptr;
    if (!callback.debug) callback.debug = std::make_unique<Callback::Debug>();
    callback.debug->repr = std::move(repr);
  }
  callback.dropped = true;
  if (callback.kind == Callback::Kind::kTimer) callback.loop().timers().remove(static_cast<Timer&>(callback));
  if (!callback.running) callback.drop_function_and_arguments();
  Py_RETURN_NONE;
}

PyObject* handle_cancelled(const Callback& callback) noexcept {
  wait_while_running(callback);
  return PyBool_FromLong(callback.cancelled);
}

PyObject* handle_args(const Callback& callback) noexcept {
  if (callback.dropped) Py_RETURN_NONE;
  if (callback.args_in_tuple) return py::new_ref(callback.args[0].get());
  PyObject* tuple = PyTuple_New(callback.arg_count);
  if (tuple == nullptr) return nullptr;
  for (Py_ssize_t i = 0; i < callback.arg_count; ++i) {
    PyTuple_SET_ITEM(tuple, i, py::new_ref(callback.args[i].get()));
  }
  return tuple;
}

PyObject* handle_context(Callback& callback) noexcept {
  if (!take_own_context(callback)) return nullptr;
  callback.context_kind = Callback::ContextKind::kGiven;
  return py::new_ref(callback.context ? callback.context.get() : Py_None);
}

PyObject* handle_run(Callback& callback) noexcept {
  if (!callback.loop_object || !callback.function) Py_RETURN_NONE;
  const py::Ref<> keep_alive = py::share(callback.self);
  if (!run(callback)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* handle_repr_cache(const Callback& callback) noexcept {
  return py::new_ref(callback.debug && callback.debug->repr ? callback.debug->repr.get() : Py_None);
}

PyObject* handle_source_traceback(const Callback& callback) noexcept {
  return py::new_ref(
      callback.debug && callback.debug->source_traceback ? callback.debug->source_traceback.get() : Py_None);
}

py::Ref<PyTypeObject> make_handle_type(PyObject* module) noexcept {
  const auto events = py::steal(PyImport_ImportModule("asyncio.events"));
  if (!events) return {};
  // One type for all, so that all are thread-safe where asyncio has a type for those that are.
  const auto base = py::get_attr(events.get(), Callback::kHasThreadsafe ? "_ThreadSafeHandle" : "Handle");
  if (!base) return {};
  auto type = py::make_type<Callback>(module, "veloop._native.Handle", base.get(), kHandleMethods<Callback>,
                                      kHandleGetSet<Callback>, "A scheduled callback: asyncio.Handle.");
  if (type) type.get()->tp_dealloc = &dealloc;
  return type;
}

}  // namespace veloop::core
