#pragma once
// Callback: the native asyncio.Handle. A function, its arguments (up to three inline) and its context.
//
// It lives inside a Python object whose base class really is asyncio.Handle. Arguments are kept where
// vectorcall wants them, with a free slot in front, so running one copies nothing. cancel() drops the
// function and the arguments at once, unless they are running.
//
// The garbage collector does not see a handle that waits in the queues of a running loop: the loop is alive,
// and so is all that its queues hold. Most handles never get beyond that, and a burst of 100,000 timers is
// not walked through again and again. Whoever else may hold one shows it to the collector.
#include <Python.h>

#include <cstdint>
#include <memory>

#include "py/ref.hpp"
#include "py/state.hpp"

namespace veloop::core {

class Loop;

struct Callback {
  static constexpr int kInlineArgs = 3;
  // Handles of call_soon_threadsafe() have a lock, which they hold while they run: asyncio's
  // _ThreadSafeHandle.
  static constexpr bool kHasThreadsafe = PY_VERSION_HEX >= 0x030E0000;
  // Where `context` comes from: what was given, or only to be had by copying, is the handle's own for good.
  enum class ContextKind : std::uint8_t {
    kGiven,
    kShared,    // SharedContext::current()
    kBorrowed,  // SharedContext::own(), and nobody has seen it
  };
  enum class Kind : std::uint8_t {
    kHandle,   // ours, run once or as a reader or writer
    kTimer,    // the base of a Timer
    kForeign,  // stands for an asyncio.Handle made elsewhere: function is that handle
  };
  // What only debug mode and repr() need.
  struct Debug {
    py::Ref<> source_traceback;
    py::Ref<> repr;
  };

  // These lie where asyncio.Handle has its slots, which our attributes hide: up to 64 bytes less.
  static constexpr Py_ssize_t kLeadingReferences = 5 + kInlineArgs;
  PyObject* self = nullptr;  // the Python object this is a part of
  py::Ref<> loop_object;
  py::Ref<> function;
  py::Ref<> context;
  PyObject* scratch = nullptr;  // vectorcall's free slot, in front of the arguments
  py::Ref<> args[kInlineArgs];  // or args[0] is a tuple, when args_in_tuple

  std::unique_ptr<Debug> debug;
  std::uint8_t arg_count = 0;
  bool args_in_tuple = false;
  bool cancelled = false;
  bool dropped = false;  // function and arguments count as gone (they go after a run in progress)
  bool running = false;
  bool threadsafe = false;  // cancel() from another thread waits while it runs
  Kind kind = Kind::kHandle;
  ContextKind context_kind = ContextKind::kGiven;

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = visit(loop_object)) return stop;
    if (int stop = visit(function)) return stop;
    if (int stop = visit(context)) return stop;
    for (py::Ref<>& argument : args) {
      if (int stop = visit(argument)) return stop;
    }
    if (debug) {
      if (int stop = visit(debug->source_traceback)) return stop;
    }
    return 0;
  }

  // While there is a loop_object.
  [[nodiscard]] Loop& loop() const noexcept;
  void drop_function_and_arguments() noexcept;
};

// Fills in what every kind of handle has. `context` may be null or None: the current one is copied.
// False, with an error set, on failure.
[[nodiscard]] bool fill(Callback& callback, Loop& loop, PyObject* function, PyObject* const* args,
                        Py_ssize_t count, PyObject* context) noexcept;

// A new handle, not yet queued anywhere, nor shown to the collector: enqueue it, or do both yourself. Null,
// with an error set, on failure.
Callback* new_callback(Loop& loop, PyObject* function, PyObject* const* args, Py_ssize_t count,
                       PyObject* context) noexcept;

// A new handle that stands for one made elsewhere (an asyncio.Handle for a signal, for instance).
Callback* new_foreign_callback(Loop& loop, PyObject* handle) noexcept;

// From now on the collector sees it; a second call does nothing.
void show_to_collector(Callback& callback) noexcept;
// Gives up a queue's reference.
void release(Callback& callback) noexcept;
// The same for one that has run.
void retire(Callback& callback) noexcept;

// Runs it. An exception goes to the loop's exception handler; false only if SystemExit or
// KeyboardInterrupt is set and must leave the loop.
[[nodiscard]] bool run(Callback& callback) noexcept;

// The native part of a Handle or TimerHandle of ours, else null (no error set).
Callback* as_callback(const py::State& state, PyObject* object) noexcept;

// tp_dealloc of Handle and TimerHandle. Of a long chain, each handle an argument of the next, the end waits
// until there is room on the stack again.
void dealloc_handle(PyObject* self, Callback& callback) noexcept;

// Makes the Handle type. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_handle_type(PyObject* module) noexcept;

// Getters and methods that Handle and TimerHandle share (the types differ in where Callback lies).
PyObject* handle_cancel(Callback& callback) noexcept;
PyObject* handle_cancelled(const Callback& callback) noexcept;
PyObject* handle_args(const Callback& callback) noexcept;
PyObject* handle_context(Callback& callback) noexcept;
PyObject* handle_run(Callback& callback) noexcept;
PyObject* handle_repr_cache(const Callback& callback) noexcept;
PyObject* handle_source_traceback(const Callback& callback) noexcept;

}  // namespace veloop::core
