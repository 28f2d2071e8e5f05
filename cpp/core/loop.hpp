#pragma once
// Loop: the native half of an event loop, and one turn of it.
//
// It owns libuv's loop, the poller, the queue of what is ready, the timers and the inbox, each a member
// with a file of its own. It knows nothing of transports: the I/O layer hangs its tables on extension()
// and is called through Watcher (something became ready) and FlushNode (bytes wait to be sent).
//
// All of it belongs to the thread that runs the loop, except the inbox.
#include <Python.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "base/ring_queue.hpp"
#include "core/callback.hpp"
#include "core/inbox.hpp"
#include "core/poller.hpp"
#include "core/shared_context.hpp"
#include "core/signal_wakeup.hpp"
#include "core/timers.hpp"
#include "py/inspect.hpp"
#include "py/ref.hpp"
#include "py/state.hpp"
#include "uv/event_loop.hpp"

namespace veloop::core {

// A native object with work for the ready queue, queued among the callbacks in the order of events. The
// queue holds a reference to owner().
class Task {
 public:
  Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  // The Python object this is a part of (borrowed).
  [[nodiscard]] virtual PyObject* owner() const noexcept = 0;
  // Does the work. False, with an error set: SystemExit and KeyboardInterrupt leave the loop, others are
  // reported as those of a callback.
  [[nodiscard]] virtual bool perform() noexcept = 0;

 protected:
  ~Task() = default;
};

// Something that holds bytes back for the callbacks that still run in this turn, to send them as one.
class FlushNode {
 public:
  FlushNode() = default;
  FlushNode(const FlushNode&) = delete;
  FlushNode& operator=(const FlushNode&) = delete;

  [[nodiscard]] virtual PyObject* flush_owner() const noexcept = 0;
  [[nodiscard]] virtual bool flush() noexcept = 0;

 protected:
  ~FlushNode() = default;

 private:
  friend class Loop;
  FlushNode* next_ = nullptr;
  bool queued_ = false;
};

// What a higher layer keeps per loop.
class Extension {
 public:
  virtual ~Extension() = default;
  virtual int visit_refs(visitproc visit, void* arg) = 0;
  // The loop is being closed, or collected: drop every reference.
  virtual void clear() noexcept = 0;
};

class Loop {
 public:
  // `state_owner` keeps the state alive.
  Loop(py::State& state, py::Ref<> state_owner, PyObject* self);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // Makes the poller. False, with OSError set, on failure.
  [[nodiscard]] bool open();
  // Drops everything that is scheduled or watched; libuv's loop is closed. A second call does nothing.
  void close() noexcept;

  [[nodiscard]] py::State& state() const noexcept { return state_; }
  [[nodiscard]] PyObject* self() const noexcept { return self_; }
  [[nodiscard]] std::size_t ready_length() const noexcept { return ready_.size(); }
  [[nodiscard]] TimerHeap& timers() noexcept { return timers_; }
  [[nodiscard]] Poller* poller() noexcept { return poller_.get(); }  // null once closed
  [[nodiscard]] Inbox& inbox() noexcept { return inbox_; }
  [[nodiscard]] std::unique_ptr<Extension>& extension() noexcept { return extension_; }

  [[nodiscard]] bool debug() const noexcept { return debug_; }
  void set_debug(bool debug) noexcept { debug_ = debug; }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  void set_closed(bool closed) noexcept { closed_ = closed; }
  [[nodiscard]] bool stopping() const noexcept { return stopping_; }
  void set_stopping(bool stopping) noexcept { stopping_ = stopping; }
  // threading.get_ident() of the thread that runs the loop, 0 when none does.
  [[nodiscard]] unsigned long thread_id() const noexcept { return thread_id_; }
  void set_thread_id(unsigned long thread_id) noexcept { thread_id_ = thread_id; }
  [[nodiscard]] bool on_foreign_thread() const noexcept {
    return thread_id_ != 0 && thread_id_ != PyThread_get_thread_ident();
  }

  // The clock, in seconds; loop.time() of a subclass or instance that replaced it is respected. False,
  // with an error set, if that raises.
  [[nodiscard]] bool now(double& seconds) noexcept;
  // time.monotonic() without Python.
  [[nodiscard]] static double monotonic() noexcept;
  // Whether time(), or call_at(), was replaced in a subclass, on the class or on this loop: then the
  // scheduler uses the replacement. Costs one comparison while nothing changes.
  [[nodiscard]] bool has_custom_time() noexcept {
    if (!class_version_.is_of(Py_TYPE(self_))) find_replaced_methods();
    return custom_time_;
  }
  [[nodiscard]] bool has_custom_call_at() noexcept {
    (void)has_custom_time();
    return custom_call_at_;
  }
  // The same for create_task() of asyncio's loop, which ours stands in for.
  [[nodiscard]] bool has_custom_create_task() noexcept {
    (void)has_custom_time();
    return custom_create_task_;
  }
  // The same for the steps of create_connection() that it skips for a literal address.
  [[nodiscard]] bool has_custom_connecting() noexcept {
    (void)has_custom_time();
    return custom_connecting_;
  }
  // Null: asyncio.Task.
  [[nodiscard]] py::Ref<>& task_factory() noexcept { return task_factory_; }
  // An attribute of this loop was set or deleted.
  void forget_class_version() noexcept { class_version_.forget(); }

  // {"loop": this loop}, to make futures with: a type reads its arguments from a dictionary, and would get a
  // new one each time. Null, with an error set, on failure.
  [[nodiscard]] py::Ref<> future_keywords() noexcept;

  [[nodiscard]] SharedContext& shared_context() noexcept { return shared_context_; }

  // Queues a callback, a native task, or work of a watcher. May throw std::bad_alloc.
  void enqueue(Callback& callback);
  void enqueue(Task& task);
  // Has the timer wait for its deadline; queues a callback that comes from another thread. May throw
  // std::bad_alloc.
  void schedule(Timer& timer);
  void deliver(Callback& callback);
  // Calls node.flush() at the end of the turn, or after kLongestHold: in the order of these calls.
  void call_after_callbacks(FlushNode& node) noexcept;
  // Whether the task that runs may go on with more of its work, instead of waiting for its next turn: that
  // would come at once, for nobody else is there, and it is too soon to poll again.
  [[nodiscard]] bool may_go_on() noexcept;
  // Whether a callback is running, after which flush nodes are called.
  [[nodiscard]] bool is_running_callbacks() const noexcept { return running_callbacks_; }

  // Around a fork. Before it: what callbacks wrote leaves now, and not from both processes. In the child: the
  // loop waits for the same descriptors as the parent's, but disturbs it no more; a run that was going on
  // ends with RuntimeError.
  void prepare_fork() noexcept;
  void leave_parent() noexcept;

  // Runs turns until stop(); one turn. False, with an error set, if an exception must leave the loop.
  [[nodiscard]] bool run_until_stopped() noexcept;
  [[nodiscard]] bool run_once() noexcept;

  // Passes the current exception to `_callback_failed(handle, exception)`; false if that raised.
  [[nodiscard]] bool report_callback_error(Callback& callback) noexcept;
  // The same for what a native task failed with: to `_task_failed(owner, exception)`, unless it must leave.
  [[nodiscard]] bool report_task_error(PyObject* owner) noexcept;
  // Debug mode: remembers where a handle was made. False, with an error set, on failure.
  [[nodiscard]] bool record_source(Callback& callback) noexcept;

  // Handles of call_soon_threadsafe() that are cancelled while they run in another thread.
  void wait_while_running(const Callback& callback) noexcept;
  void notify_callback_ran() noexcept;

  int visit_refs(visitproc visit, void* arg);
  void clear_refs() noexcept;

 private:
  // Has the run end, in the child of a fork, when the callback that forked returns.
  class ForkNode final : public FlushNode {
   public:
    explicit ForkNode(Loop& loop) noexcept : loop_(loop) {}
    [[nodiscard]] PyObject* flush_owner() const noexcept override { return loop_.self_; }
    [[nodiscard]] bool flush() noexcept override { return true; }

   private:
    Loop& loop_;
  };

  // A queue entry: a Callback, or a Task when the lowest bit is set.
  using Entry = std::uintptr_t;
  static constexpr Entry kTaskBit = 1;

  // Makes the libuv loop, through which others end a wait. Returns 0 or an errno.
  [[nodiscard]] int open_libuv();
  [[nodiscard]] bool may_skip_poll() noexcept;
  // Before a wait that may block. False, with an error set, on failure.
  [[nodiscard]] bool prepare_wait();
  [[nodiscard]] bool poll() noexcept;
  // Waits without the GIL; returns 0 or an errno.
  [[nodiscard]] int wait(std::int64_t timeout_ns) noexcept;
  [[nodiscard]] bool timeout_until_next_timer(std::int64_t& timeout_ns) noexcept;
  [[nodiscard]] bool queue_due_timers() noexcept;
  [[nodiscard]] bool run_ready() noexcept;
  [[nodiscard]] bool run_entry(Entry entry) noexcept;
  [[nodiscard]] bool run_entry_in_debug(Entry entry) noexcept;
  [[nodiscard]] bool flush_is_due() const noexcept;
  [[nodiscard]] bool flush_pending(bool go_on) noexcept;
  [[nodiscard]] bool end_forked_run() noexcept;
  void take_inbox();
  void show_queued_to_collector() noexcept;
  void find_replaced_methods() noexcept;
  [[nodiscard]] py::Ref<> find_patched_run() noexcept;

  py::State& state_;
  py::Ref<> state_owner_;  // first of our members to come and last to go: what dies with us may need it
  PyObject* self_;         // borrowed: the Python object that owns us

  base::RingQueue<Entry> ready_;
  FlushNode* flush_first_ = nullptr;
  FlushNode* flush_last_ = nullptr;  // undefined while there is no first
  std::uint64_t flush_since_ = 0;    // when the first was queued
  ForkNode fork_node_{*this};
  bool forked_in_run_ = false;
  bool debug_ = false;
  bool closed_ = false;
  bool stopping_ = false;
  bool custom_time_ = false;
  bool custom_call_at_ = false;
  bool custom_create_task_ = false;
  bool custom_connecting_ = false;
  py::TypeVersion class_version_;  // of our type
  bool running_callbacks_ = false;
  bool in_run_ = false;             // what is queued is not shown to the collector
  bool timers_hidden_ = false;      // some of the timers may not have been shown
  std::size_t turn_length_ = 0;     // what was in the queue when the turn began
  py::TypeVersion handle_version_;  // of asyncio.Handle
  py::Ref<> patched_run_;
  py::Ref<> task_factory_;
  py::Ref<> future_keywords_;
  SharedContext shared_context_{state_.empty_context};
  unsigned long thread_id_ = 0;
  unsigned turns_since_poll_ = 0;
  std::uint64_t last_poll_ns_ = 0;

  TimerHeap timers_;
  uv::EventLoop uv_loop_;
  SignalWakeup signal_wakeup_{state_};
  std::unique_ptr<Poller> poller_;  // before the inbox's handle is closed, after the loop is made
  Inbox inbox_;
  std::unique_ptr<Extension> extension_;

  std::mutex ran_mutex_;
  std::condition_variable ran_;
  std::atomic<unsigned> waiting_for_ran_ = 0;
};

// The Loop inside an instance of the native Loop type, or of a class derived from it.
Loop& loop_of(PyObject* self) noexcept;

}  // namespace veloop::core
