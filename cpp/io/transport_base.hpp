#pragma once
// What every transport is made of: a descriptor with its owner, a protocol, the state open -> closing ->
// lost (never backwards), and its place in the loop.
//
// Derived classes read and write; here is what asyncio's _SelectorTransport has in common for all of them.
// connection_lost() is scheduled exactly once. The loop keeps a transport alive while it watches the
// descriptor; a paused and forgotten one can be collected, and warns.
#include <Python.h>

#include <cstddef>

#include "core/loop.hpp"
#include "io/descriptor.hpp"
#include "io/descriptors.hpp"
#include "py/ref.hpp"

namespace veloop::io {

class TransportBase : public core::Watcher, public core::Task, public DescriptorUser {
 public:
  static constexpr bool kHasDict = true;

  TransportBase() = default;
  TransportBase(const TransportBase&) = delete;
  TransportBase& operator=(const TransportBase&) = delete;

  // -- state ---------------------------------------------------------------------------------------
  [[nodiscard]] bool is_closing() const noexcept { return state_ != State::kOpen; }
  [[nodiscard]] bool is_lost() const noexcept { return state_ == State::kLost; }
  [[nodiscard]] bool is_reading() const noexcept { return state_ == State::kOpen && !paused_; }
  [[nodiscard]] PyObject* protocol() const noexcept { return protocol_.get(); }
  [[nodiscard]] PyObject* server() const noexcept { return server_.get(); }
  [[nodiscard]] core::Loop& loop() const noexcept { return *loop_; }
  [[nodiscard]] bool has_loop() const noexcept { return static_cast<bool>(loop_object_); }
  [[nodiscard]] PyObject* loop_object() const noexcept { return loop_object_.get(); }
  [[nodiscard]] Descriptor& descriptor() noexcept { return descriptor_; }
  [[nodiscard]] const py::State& state() const noexcept { return loop_->state(); }
  [[nodiscard]] bool reading_paused() const noexcept { return paused_; }
  // Neither the descriptor nor the loop is closed.
  [[nodiscard]] bool is_watchable() const noexcept { return descriptor_.is_open() && !loop_->closed(); }
  [[nodiscard]] long lost_writes() const noexcept { return lost_writes_; }

  virtual void set_protocol(PyObject* protocol) noexcept { protocol_ = py::share(protocol); }
  [[nodiscard]] bool pause_reading() noexcept;
  [[nodiscard]] bool resume_reading() noexcept;

  // Does now what was put off to the end of the turn: somebody looks at the state, or takes the socket.
  [[nodiscard]] virtual bool settle() noexcept { return true; }

  // -- extra information ---------------------------------------------------------------------------
  // The dictionary behind get_extra_info(), filled as names are asked for. Null, with an error set.
  [[nodiscard]] PyObject* extra() noexcept;
  // Makes sure that `name` is in extra(), if it is one that the transport provides.
  [[nodiscard]] virtual bool provide_extra(PyObject* name) noexcept = 0;

  // -- what the Python type needs --------------------------------------------------------------------
  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = visit(loop_object_)) return stop;
    if (int stop = visit(protocol_)) return stop;
    if (int stop = visit(server_)) return stop;
    if (int stop = visit(extra_)) return stop;
    if (int stop = visit(context_)) return stop;
    if (int stop = visit(read_context_)) return stop;
    if (int stop = visit(write_context_)) return stop;
    if (int stop = visit(waiter_)) return stop;
    return descriptor_.visit_refs(visit);
  }

  // Python's call of the scheduled connection_lost(); `exception` may be None.
  [[nodiscard]] virtual bool call_connection_lost(PyObject* exception) noexcept;
  // tp_finalize: an open transport that nobody refers to any more warns and closes its descriptor.
  void warn_and_close() noexcept;

  // core::Task, core::Watcher, DescriptorUser
  [[nodiscard]] PyObject* owner() const noexcept final { return self_; }
  [[nodiscard]] PyObject* user() const noexcept final { return self_; }
  [[nodiscard]] bool lets_go() const noexcept final { return is_closing() || lent_out_; }
  [[nodiscard]] bool is_lent_out() const noexcept final { return lent_out_; }
  [[nodiscard]] bool perform() noexcept final;
  void on_events(unsigned events) noexcept final;
  void on_interest_lost(unsigned events) noexcept final { fired_ &= ~events; }

  // While lent out, loop.sock_*() may use the descriptor (sendfile).
  void set_lent_out(bool lent_out) noexcept { lent_out_ = lent_out; }

 protected:
  enum class State : unsigned char { kOpen, kClosing, kLost };

  ~TransportBase();

  // First call of every constructor: attaches to loop, protocol and server. False with an error set.
  [[nodiscard]] bool attach(core::Loop& loop, PyObject* self, PyObject* protocol, PyObject* server,
                            PyObject* extra) noexcept;
  // All callbacks shall run in `context` (None or null: each where what causes it was begun).
  void set_context(PyObject* context) noexcept {
    if (context != nullptr && context != Py_None) context_ = py::share(context);
  }
  // Schedules connection_made(), then the start of reading, then the waiter's result (may be null).
  [[nodiscard]] bool schedule_start(PyObject* waiter) noexcept;

  // Something is readable or writable. False only if SystemExit or KeyboardInterrupt must leave the loop.
  [[nodiscard]] virtual bool on_readable() noexcept = 0;
  [[nodiscard]] virtual bool on_writable() noexcept = 0;
  // Whether the descriptor is watched for reading once connection_made() was called.
  [[nodiscard]] virtual bool wants_first_read() const noexcept { return is_reading(); }
  // The number that is watched; the descriptor's own, unless a derived class has a reason.
  [[nodiscard]] virtual int number_to_watch() const noexcept { return descriptor_.fd(); }
  // The descriptor cannot be watched. False only if an exception must leave the loop.
  [[nodiscard]] virtual bool on_watch_failed(int error_number) noexcept {
    return fatal_errno(error_number, "Fatal error on transport");
  }
  // Unsent data is discarded.
  virtual void discard_writes() noexcept = 0;

  // Watches for `wanted` in addition to, or without, what is watched now. A failure is a fatal error of
  // the transport; false only if it must leave the loop.
  [[nodiscard]] bool watch(unsigned wanted) noexcept;
  void unwatch(unsigned unwanted) noexcept;

  // Begins to close: no more reading. False if it had begun already.
  bool begin_close() noexcept;
  // State lost: schedules connection_lost(exception or None). A second call does nothing.
  [[nodiscard]] bool lose(PyObject* exception) noexcept;
  // The same at once, as asyncio does when the last of the buffer was sent: connection_lost(None) is called
  // before this returns. False only if an exception must leave the loop.
  [[nodiscard]] bool lose_now() noexcept;
  // asyncio's _force_close().
  [[nodiscard]] bool force_close(PyObject* exception) noexcept;
  // Takes the current exception, reports it as asyncio's _fatal_error() does, and closes. False, with the
  // exception (still) set, if it is one that must leave the loop.
  [[nodiscard]] bool fatal_error(const char* message) noexcept;
  [[nodiscard]] bool fatal_errno(int error_number, const char* message) noexcept;
  // Takes the current exception, which the loop reports as that of a callback; the transport goes on. False,
  // with the exception (still) set, if it is one that must leave the loop.
  [[nodiscard]] bool report_error(const char* message) noexcept;
  // Calls the protocol's pause_writing() or resume_writing(), reporting what it raises.
  [[nodiscard]] bool tell_protocol(PyObject* method, const char* failed) noexcept;
  // Counts a write to a connection that is lost, and warns from the fifth on.
  [[nodiscard]] bool count_lost_write(const char* warning) noexcept;
  [[nodiscard]] bool debug_log(const char* event) noexcept;

  PyObject* self_ = nullptr;
  core::Loop* loop_ = nullptr;
  py::Ref<> loop_object_;
  py::Ref<> protocol_;
  py::Ref<> server_;
  py::Ref<> extra_;
  py::Ref<> context_;        // where all callbacks run, if that was said (servers, from Python 3.15 on)
  py::Ref<> read_context_;   // reading callbacks run where reading was begun or resumed
  py::Ref<> write_context_;  // writing callbacks run where the wait for writing was begun
  py::Ref<> waiter_;
  Descriptor descriptor_;
  long lost_writes_ = 0;
  State state_ = State::kOpen;
  bool paused_ = false;
  bool start_due_ = false;
  bool queued_ = false;
  bool lent_out_ = false;
  unsigned fired_ = 0;

 private:
  [[nodiscard]] bool start() noexcept;
  // 0, or the error number.
  [[nodiscard]] int try_to_watch(unsigned wanted);
  // The context for what is begun now: the transport's own, or a copy of the current one.
  [[nodiscard]] py::Ref<> context_for_callbacks() const noexcept;
};

}  // namespace veloop::io
