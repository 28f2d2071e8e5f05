#include "core/loop_type.hpp"

#include <memory>
#include <new>

#include "core/arguments.hpp"
#include "core/create_task.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/method.hpp"

namespace veloop::core {

using py::as_method;
using py::none_unless_error;

namespace {

struct LoopObject {
  PyObject ob_base;
  Loop* loop;
};

}  // namespace

Loop& loop_of(PyObject* self) noexcept { return *reinterpret_cast<LoopObject*>(self)->loop; }

bool check_open(const Loop& loop) noexcept {
  if (!loop.closed()) return true;
  PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
  return false;
}

namespace {

// Debug mode asks asyncio's own checks, which raise its errors.
bool debug_checks(Loop& loop, PyObject* callback, const char* method, bool check_thread) noexcept {
  if (!loop.debug()) return true;
  const py::Names& names = loop.state().names;
  if (check_thread && !py::call_method(loop.self(), names._check_thread.get())) return false;
  const auto name = py::steal(PyUnicode_FromString(method));
  return name && py::call_method(loop.self(), names._check_callback.get(), callback, name.get());
}

PyObject* call_soon(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return py::guard([&]() -> PyObject* {
    Loop& loop = loop_of(self);
    const py::Names& names = loop.state().names;
    ScheduleArguments<1> call;
    if (!call.parse("BaseEventLoop.call_soon", {names.callback.get()}, names.context.get(), args, count,
                    keywords) ||
        !check_open(loop) || !debug_checks(loop, call.named[0], "call_soon", true)) {
      return nullptr;
    }
    Callback* callback = new_callback(loop, call.named[0], call.rest, call.rest_count, call.context);
    if (callback == nullptr) return nullptr;
    loop.enqueue(*callback);
    return callback->self;
  });
}

PyObject* call_soon_threadsafe(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return py::guard([&]() -> PyObject* {
    Loop& loop = loop_of(self);
    const py::Names& names = loop.state().names;
    ScheduleArguments<1> call;
    if (!call.parse("BaseEventLoop.call_soon_threadsafe", {names.callback.get()}, names.context.get(), args,
                    count, keywords) ||
        !check_open(loop) || !debug_checks(loop, call.named[0], "call_soon_threadsafe", false)) {
      return nullptr;
    }
    Callback* callback = new_callback(loop, call.named[0], call.rest, call.rest_count, call.context);
    if (callback == nullptr) return nullptr;
    callback->threadsafe = Callback::kHasThreadsafe;
    if (loop.on_foreign_thread()) {
      loop.deliver(*callback);
    } else {
      // The loop's own thread, or nobody runs it yet: one queue keeps the order of the calls.
      loop.enqueue(*callback);
      loop.inbox().wake_if_asleep();
    }
    return callback->self;
  });
}

PyObject* schedule_timer(Loop& loop, double when, PyObject* when_object, PyObject* function,
                         PyObject* const* args, Py_ssize_t count, PyObject* context) {
  if (!check_open(loop) || !debug_checks(loop, function, "call_at", true)) return nullptr;
  Timer* timer = new_timer(loop, when, when_object, function, args, count, context);
  if (timer == nullptr) return nullptr;
  loop.schedule(*timer);
  return timer->self;
}

// asyncio's call_later() goes through call_at(), which subclasses may override.
PyObject* call_replaced_call_at(Loop& loop, double when, const ScheduleArguments<2>& call) {
  const auto method = py::get_attr(loop.self(), loop.state().names.call_at.get());
  const auto args = py::steal(PyTuple_New(call.rest_count + 2));
  const auto keywords = py::steal(PyDict_New());
  if (!method || !args || !keywords) return nullptr;
  PyTuple_SET_ITEM(args.get(), 0, PyFloat_FromDouble(when));
  PyTuple_SET_ITEM(args.get(), 1, py::new_ref(call.named[1]));
  for (Py_ssize_t i = 0; i < call.rest_count; ++i) {
    PyTuple_SET_ITEM(args.get(), i + 2, py::new_ref(call.rest[i]));
  }
  PyObject* context = call.context != nullptr ? call.context : Py_None;
  if (PyDict_SetItem(keywords.get(), loop.state().names.context.get(), context) < 0) return nullptr;
  return py::call_with(method.get(), args.get(), keywords.get()).release();
}

PyObject* call_later(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return py::guard([&]() -> PyObject* {
    Loop& loop = loop_of(self);
    const py::Names& names = loop.state().names;
    ScheduleArguments<2> call;
    if (!call.parse("BaseEventLoop.call_later", {names.delay.get(), names.callback.get()},
                    names.context.get(), args, count, keywords)) {
      return nullptr;
    }
    PyObject* delay = call.named[0];
    if (delay == Py_None) {
      PyErr_SetString(PyExc_TypeError, "delay must not be None");
      return nullptr;
    }
    double now = 0;
    if (!loop.now(now)) return nullptr;
    py::Ref<> when_object;
    double when = 0;
    if (PyFloat_CheckExact(delay)) {
      when = now + PyFloat_AS_DOUBLE(delay);
    } else {
      // Whatever can be added to a time, with the errors of adding.
      const auto base = py::steal(PyFloat_FromDouble(now));
      if (!base) return nullptr;
      when_object = py::steal(PyNumber_Add(base.get(), delay));
      if (!when_object) return nullptr;
      when = PyFloat_AsDouble(when_object.get());
      if (when == -1.0 && PyErr_Occurred() != nullptr) return nullptr;
    }
    if (loop.has_custom_call_at()) return call_replaced_call_at(loop, when, call);
    return schedule_timer(loop, when, when_object.get(), call.named[1], call.rest, call.rest_count,
                          call.context);
  });
}

PyObject* call_at(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return py::guard([&]() -> PyObject* {
    Loop& loop = loop_of(self);
    const py::Names& names = loop.state().names;
    ScheduleArguments<2> call;
    if (!call.parse("BaseEventLoop.call_at", {names.when.get(), names.callback.get()}, names.context.get(),
                    args, count, keywords)) {
      return nullptr;
    }
    if (call.named[0] == Py_None) {
      PyErr_SetString(PyExc_TypeError, "when cannot be None");
      return nullptr;
    }
    const double when = PyFloat_AsDouble(call.named[0]);
    if (when == -1.0 && PyErr_Occurred() != nullptr) {
      py::Ref<> error = py::take_exception();
      // What asyncio looks at comes first: it takes any deadline, and fails when it compares it.
      if (check_open(loop) && debug_checks(loop, call.named[1], "call_at", true)) py::raise(std::move(error));
      return nullptr;
    }
    return schedule_timer(loop, when, call.named[0], call.named[1], call.rest, call.rest_count, call.context);
  });
}

PyObject* time(PyObject* self, PyObject*) {
  (void)self;
  return PyFloat_FromDouble(Loop::monotonic());
}

PyObject* get_debug(PyObject* self, PyObject*) { return PyBool_FromLong(loop_of(self).debug()); }
PyObject* is_running(PyObject* self, PyObject*) { return PyBool_FromLong(loop_of(self).thread_id() != 0); }
PyObject* is_closed(PyObject* self, PyObject*) { return PyBool_FromLong(loop_of(self).closed()); }

PyObject* stop(PyObject* self, PyObject*) {
  loop_of(self).set_stopping(true);
  Py_RETURN_NONE;
}

PyObject* create_future(PyObject* self, PyObject*) {
  Loop& loop = loop_of(self);
  const py::Ref<> keywords = loop.future_keywords();
  if (!keywords) return nullptr;
  return py::call_with(loop.state().library.future.get(), loop.state().no_arguments.get(), keywords.get())
      .release();
}

// asyncio's hook for handles that were made elsewhere (signals).
PyObject* add_callback(PyObject* self, PyObject* handle) {
  return py::guard([&]() -> PyObject* {
    Loop& loop = loop_of(self);
    if (Callback* callback = as_callback(loop.state(), handle)) {
      if (!callback->cancelled) loop.enqueue(*callback);
      Py_RETURN_NONE;
    }
    const auto cancelled = py::get_attr(handle, loop.state().names._cancelled.get());
    if (!cancelled) return nullptr;
    const int is_cancelled = PyObject_IsTrue(cancelled.get());
    if (is_cancelled < 0) return nullptr;
    if (is_cancelled == 0) {
      Callback* callback = new_foreign_callback(loop, handle);
      if (callback == nullptr) return nullptr;
      const py::Ref<> created = py::steal(callback->self);
      loop.enqueue(*callback);
    }
    Py_RETURN_NONE;
  });
}

PyObject* queue_lengths(PyObject* self, PyObject*) {
  Loop& loop = loop_of(self);
  return Py_BuildValue("(nn)", static_cast<Py_ssize_t>(loop.ready_length()),
                       static_cast<Py_ssize_t>(loop.timers().size()));
}

PyObject* write_to_self(PyObject* self, PyObject*) {
  loop_of(self).inbox().wake();
  Py_RETURN_NONE;
}

PyObject* run_once(PyObject* self, PyObject*) { return none_unless_error(loop_of(self).run_once()); }
PyObject* run_turns(PyObject* self, PyObject*) {
  return none_unless_error(loop_of(self).run_until_stopped());
}

PyObject* prepare_fork(PyObject* self, PyObject*) {
  loop_of(self).prepare_fork();
  Py_RETURN_NONE;
}

PyObject* leave_parent(PyObject* self, PyObject*) {
  loop_of(self).leave_parent();
  Py_RETURN_NONE;
}

PyObject* close_native(PyObject* self, PyObject*) {
  loop_of(self).close();
  Py_RETURN_NONE;
}

// ---- attributes that asyncio's own code reads and writes --------------------------------------------

PyObject* get_debug_flag(PyObject* self, void*) { return PyBool_FromLong(loop_of(self).debug()); }
PyObject* get_closed(PyObject* self, void*) { return PyBool_FromLong(loop_of(self).closed()); }
PyObject* get_stopping(PyObject* self, void*) { return PyBool_FromLong(loop_of(self).stopping()); }

template <void (Loop::*Set)(bool) noexcept>
int set_flag(PyObject* self, PyObject* value, void*) {
  const int truth = value != nullptr ? PyObject_IsTrue(value) : 0;
  if (truth < 0) return -1;
  (loop_of(self).*Set)(truth == 1);
  return 0;
}

PyObject* get_thread_id(PyObject* self, void*) {
  const unsigned long id = loop_of(self).thread_id();
  return id == 0 ? py::new_ref(Py_None) : PyLong_FromUnsignedLong(id);
}

int set_thread_id(PyObject* self, PyObject* value, void*) {
  unsigned long id = 0;
  if (value != nullptr && value != Py_None) {
    id = PyLong_AsUnsignedLong(value);
    if (PyErr_Occurred() != nullptr) return -1;
  }
  loop_of(self).set_thread_id(id);
  return 0;
}

PyGetSetDef kGetSet[] = {
    kTaskFactory,
    {"_debug", get_debug_flag, set_flag<&Loop::set_debug>, nullptr, nullptr},
    {"_closed", get_closed, set_flag<&Loop::set_closed>, nullptr, nullptr},
    {"_stopping", get_stopping, set_flag<&Loop::set_stopping>, nullptr, nullptr},
    {"_thread_id", get_thread_id, set_thread_id, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// ---- the type ---------------------------------------------------------------------------------------

PyTypeObject* native_base(PyTypeObject* type) noexcept;

// Patching time() on an instance, as asyncio's own tests do, moves the scheduler.
int setattro(PyObject* self, PyObject* name, PyObject* value) {
  loop_of(self).forget_class_version();
  return PyObject_GenericSetAttr(self, name, value);
}

PyObject* loop_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyTypeObject* base = native_base(type);
  PyObject* module = base != nullptr ? PyType_GetModule(base) : nullptr;
  auto owner = module != nullptr ? py::state_owner_of(module) : py::Ref<>();
  py::State* state = owner ? py::state_owned_by(owner.get()) : nullptr;
  if (state == nullptr) return nullptr;
  auto self = py::steal(type->tp_alloc(type, 0));
  if (!self) return nullptr;
  return py::guard([&]() -> PyObject* {
    auto loop = std::make_unique<Loop>(*state, std::move(owner), self.get());
    Loop* made = loop.get();
    reinterpret_cast<LoopObject*>(self.get())->loop = loop.release();
    if (!made->open()) return nullptr;
    return self.release();
  });
}

int loop_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Loop* loop = reinterpret_cast<LoopObject*>(self)->loop;
  return loop != nullptr ? loop->visit_refs(visit, arg) : 0;
}

int loop_clear(PyObject* self) {
  if (Loop* loop = reinterpret_cast<LoopObject*>(self)->loop) {
    loop->clear_refs();
    loop->task_factory().reset();  // which a closed loop still tells
  }
  return 0;
}

void loop_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  delete reinterpret_cast<LoopObject*>(self)->loop;
  type->tp_free(self);
  py::drop(reinterpret_cast<PyObject*>(type));
}

PyTypeObject* native_base(PyTypeObject* type) noexcept {
  for (PyTypeObject* base = type; base != nullptr; base = base->tp_base) {
    if (base->tp_base == &PyBaseObject_Type && base->tp_dealloc == &loop_dealloc) return base;
  }
  PyErr_SetString(PyExc_TypeError, "not a veloop event loop type");
  return nullptr;
}

}  // namespace

const std::vector<PyMethodDef>& scheduling_methods() {
  constexpr int kFast = METH_FASTCALL | METH_KEYWORDS;
  static const std::vector<PyMethodDef> methods = {
      {"call_soon", as_method(call_soon), kFast,
       "call_soon($self, callback, *args, context=None)\n--\n\n"
       "Queue callback(*args) for the next turn of the loop; return its Handle.\n\n"
       "Raises RuntimeError if the loop is closed (debug mode: or if called from another thread)."},
      {"call_soon_threadsafe", as_method(call_soon_threadsafe), kFast,
       "call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n"
       "Like call_soon(), from any thread: a sleeping loop is woken.\n\n"
       "Raises RuntimeError if the loop is closed."},
      {"call_later", as_method(call_later), kFast,
       "call_later($self, delay, callback, *args, context=None)\n--\n\n"
       "Call callback(*args) after `delay` seconds, never earlier; return its TimerHandle."},
      {"call_at", as_method(call_at), kFast,
       "call_at($self, when, callback, *args, context=None)\n--\n\n"
       "Call callback(*args) when loop.time() has reached `when` (seconds); return its TimerHandle."},
      {"time", time, METH_NOARGS,
       "time($self)\n--\n\nReturn the loop's clock in seconds: that of time.monotonic()."},
      {"get_debug", get_debug, METH_NOARGS, "get_debug($self)\n--\n\nReturn whether debug mode is on."},
      {"is_running", is_running, METH_NOARGS, "is_running($self)\n--\n\nReturn whether the loop is running."},
      {"is_closed", is_closed, METH_NOARGS, "is_closed($self)\n--\n\nReturn whether the loop was closed."},
      {"stop", stop, METH_NOARGS,
       "stop($self)\n--\n\nEnd run_forever() after the current turn: what is ready still runs."},
      {"create_future", create_future, METH_NOARGS,
       "create_future($self)\n--\n\nReturn a new asyncio.Future of this loop."},
      {"_add_callback", add_callback, METH_O, nullptr},
      {"_queue_lengths", queue_lengths, METH_NOARGS, nullptr},
      {"_write_to_self", write_to_self, METH_NOARGS, nullptr},
      {"_run_once", run_once, METH_NOARGS, nullptr},
      {"_run_turns", run_turns, METH_NOARGS, nullptr},
      {"_prepare_fork", prepare_fork, METH_NOARGS, nullptr},
      {"_leave_parent", leave_parent, METH_NOARGS, nullptr},
      {"_close_native", close_native, METH_NOARGS, nullptr},
  };
  return methods;
}

py::Ref<PyTypeObject> make_loop_type(PyObject* module, PyMethodDef* methods) {
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(&loop_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(&loop_dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(&loop_traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(&loop_clear)},
      {Py_tp_setattro, reinterpret_cast<void*>(&setattro)},
      {Py_tp_methods, methods},
      {Py_tp_getset, kGetSet},
      {Py_tp_doc, const_cast<char*>("The native half of veloop.EventLoop.")},
      {0, nullptr},
  };
  PyType_Spec spec = {"veloop._native.Loop", sizeof(LoopObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
  return py::Ref<PyTypeObject>::steal(
      reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr)));
}

}  // namespace veloop::core
