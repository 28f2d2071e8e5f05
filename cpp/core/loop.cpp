#include "core/loop.hpp"

#include <cerrno>
#include <cmath>
#include <utility>

#include "py/call.hpp"
#include "py/error.hpp"
#include "py/gil.hpp"
#include "py/inspect.hpp"
#include "py/os_error.hpp"

namespace veloop::core {
namespace {

// A chain of callbacks, each scheduling the next, is polled for I/O at least this often: whichever of the
// two comes first. asyncio polls at every turn, which is what makes such a chain nine times slower.
constexpr unsigned kTurnsBetweenPolls = 64;
constexpr std::uint64_t kNanosBetweenPolls = 100'000;

// What callbacks write leaves at the end of the turn, so that the system calls of a turn follow each other
// and a peer on another core is woken once for many: aiohttp's client does 25 % more requests than with one
// call after each callback. A long turn sends this often.
constexpr std::uint64_t kLongestHold = 1'000'000;  // nanoseconds

constexpr std::int64_t kDeafWait = 10'000'000;  // nanoseconds
// A loop that has nothing to do for so long gives back half of the memory that a burst has left, and so on.
constexpr std::int64_t kTrimAfter = 100'000'000;  // nanoseconds

constexpr std::int64_t shorter_wait(std::int64_t timeout_ns, std::int64_t limit_ns) noexcept {
  return timeout_ns == Poller::kForever || timeout_ns > limit_ns ? limit_ns : timeout_ns;
}

constexpr double kNanosPerSecond = 1e9;
constexpr double kClockTick = 1e-9;           // seconds; asyncio's _clock_resolution
constexpr double kLongestWait = 24 * 3600.0;  // seconds; asyncio's MAXIMUM_SELECT_TIMEOUT

}  // namespace

Loop::Loop(py::State& state, py::Ref<> state_owner, PyObject* self)
    : state_(state), state_owner_(std::move(state_owner)), self_(self) {}

Loop::~Loop() { close(); }

bool Loop::open() {
  int error_number = 0;
  poller_ = Poller::open(error_number);
  if (error_number == 0 && poller_->needs_libuv()) error_number = open_libuv();
  if (error_number == 0) return true;
  closed_ = true;  // There is nothing that its finaliser could close.
  py::set_os_error(error_number);
  return false;
}

int Loop::open_libuv() {
  int error_number = uv::open(uv_loop_).error_number();
  if (error_number == 0) error_number = inbox_.open(uv_loop_.get()).error_number();
  if (error_number == 0) error_number = poller_->embed(uv_loop_.get());
  if (error_number != 0) {
    inbox_.close();
    uv_loop_.reset();
  }
  return error_number;
}

// Only now: a short run never waits, and what libuv opens costs as much as all the rest of a loop's life.
bool Loop::prepare_wait() {
  const int error_number = uv_loop_ ? 0 : open_libuv();
  if (error_number != 0 && error_number != EMFILE && error_number != ENFILE) {
    py::set_os_error(error_number);
    return false;
  }
  if (!uv_loop_) return true;  // Nor would there be descriptors for signals: the wait will be short.
  return signal_wakeup_.is_prepared() || signal_wakeup_.prepare(*poller_);
}

void Loop::close() noexcept {
  clear_refs();
  state_.free_handles.trim_all();
  poller_.reset();
  signal_wakeup_.close();
  inbox_.close();
  uv_loop_.reset();
}

double Loop::monotonic() noexcept {
  // The same clock and the same rounding as time.monotonic().
  return static_cast<double>(uv_hrtime()) / kNanosPerSecond;
}

bool Loop::now(double& seconds) noexcept {
  if (!has_custom_time()) {
    seconds = monotonic();
    return true;
  }
  const auto value = py::call_method(self_, state_.names.time.get());
  if (!value) return false;
  seconds = PyFloat_AsDouble(value.get());
  return seconds != -1.0 || PyErr_Occurred() == nullptr;
}

void Loop::find_replaced_methods() noexcept {
  const py::ErrorStash stash;
  auto* ours = reinterpret_cast<PyObject*>(state_.types.loop.get());
  const auto dict = py::steal(PyObject_GenericGetDict(self_, nullptr));
  const auto is_other = [&](PyObject* original, PyObject* name) {
    // The type's attributes are plain functions and methods: the same object means nobody replaced it.
    const auto current = py::find_attr(reinterpret_cast<PyObject*>(Py_TYPE(self_)), name);
    return original != current.get() || (dict && PyDict_Contains(dict.get(), name) == 1);
  };
  const auto is_replaced = [&](PyObject* name) { return is_other(py::find_attr(ours, name).get(), name); };
  const py::Names& names = state_.names;
  const py::Library& library = state_.library;
  custom_time_ = is_replaced(names.time.get());
  custom_call_at_ = is_replaced(names.call_at.get());
  custom_connecting_ =
      is_other(library.ensure_resolved.get(), names._ensure_resolved.get()) ||
      is_other(library.connect_sock.get(), names._connect_sock.get()) ||
      is_other(library.create_connection_transport.get(), names._create_connection_transport.get());
  const auto theirs = py::find_attr(library.loop.get(), names.create_task.get());
  custom_create_task_ = theirs.get() != library.loop_create_task.get();
  PyErr_Clear();
  class_version_.note(Py_TYPE(self_));
}

py::Ref<> Loop::future_keywords() noexcept {
  if (future_keywords_) return future_keywords_.share();
  auto made = py::steal(Py_BuildValue("{OO}", state_.names.loop.get(), self_));
  if (made && !closed_) future_keywords_ = made.share();  // close() ends the cycle.
  return made;
}

void Loop::enqueue(Callback& callback) {
  ready_.push(reinterpret_cast<Entry>(&callback));
  py::retain(callback.self);
  if (!in_run_) show_to_collector(callback);
}

void Loop::schedule(Timer& timer) {
  timers_.add(timer);
  timers_hidden_ |= in_run_;
  if (!in_run_) show_to_collector(timer);
}

void Loop::deliver(Callback& callback) {
  inbox_.put(callback);
  if (!in_run_) show_to_collector(callback);
}

// A run has ended: now the loop, and all that waits in it, may be garbage.
void Loop::show_queued_to_collector() noexcept {
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    if ((ready_[i] & kTaskBit) == 0) show_to_collector(*reinterpret_cast<Callback*>(ready_[i]));
  }
  inbox_.visit([](Callback* callback) {
    show_to_collector(*callback);
    return 0;
  });
  if (!std::exchange(timers_hidden_, false)) return;
  for (std::size_t i = 0; i < timers_.size(); ++i)
    show_to_collector(*timers_.at(i));
}

void Loop::enqueue(Task& task) {
  ready_.push(reinterpret_cast<Entry>(&task) | kTaskBit);
  py::retain(task.owner());
}

void Loop::call_after_callbacks(FlushNode& node) noexcept {
  if (node.queued_) return;
  node.queued_ = true;
  node.next_ = nullptr;
  if (flush_first_ == nullptr) {
    flush_first_ = &node;
    flush_since_ = uv_hrtime();
  } else {
    flush_last_->next_ = &node;
  }
  flush_last_ = &node;
  py::retain(node.flush_owner());
}

bool Loop::flush_is_due() const noexcept {
  return forked_in_run_ || uv_hrtime() - flush_since_ >= kLongestHold;
}

bool Loop::flush_pending(bool go_on) noexcept {
  while (flush_first_ != nullptr) {
    FlushNode* node = flush_first_;
    flush_first_ = node->next_;
    node->queued_ = false;
    const py::Ref<> owner = py::steal(node->flush_owner());
    if (go_on) {
      go_on = node->flush() || report_task_error(owner.get());
      continue;
    }
    const py::ErrorStash stash;  // What leaves the loop is the first exception.
    if (!node->flush()) PyErr_WriteUnraisable(owner.get());
  }
  return go_on && end_forked_run();
}

// ---- forks ----------------------------------------------------------------------------------------

void Loop::prepare_fork() noexcept {
  if (!on_foreign_thread() && !flush_pending(true)) PyErr_WriteUnraisable(self_);
}

void Loop::leave_parent() noexcept {
  if (poller_ == nullptr) return;
  // Whatever fails here fails again, and is raised, when the loop waits.
  if (poller_->leave_parent() == 0 && uv_loop_) (void)inbox_.leave_parent(uv_loop_.get());
  poller_->forget(signal_wakeup_);
  signal_wakeup_.close();
  if (thread_id_ == 0 || on_foreign_thread()) return;
  running_callbacks_ = false;  // What the child writes now leaves at once: it may not come back to us.
  forked_in_run_ = true;
  call_after_callbacks(fork_node_);
}

bool Loop::end_forked_run() noexcept {
  if (!std::exchange(forked_in_run_, false)) return true;
  PyErr_SetString(PyExc_RuntimeError,
                  "The event loop was running when the process was forked: it cannot go on in the child");
  return false;
}

// ---- one turn -------------------------------------------------------------------------------------

bool Loop::run_until_stopped() noexcept {
  const SignalWakeup::Run run_for_signals(signal_wakeup_);
  forked_in_run_ = false;
  turns_since_poll_ = kTurnsBetweenPolls;  // A new run begins with a look at I/O, as asyncio's does.
  in_run_ = true;
  shared_context_.begin_run();
  bool go_on = true;
  do {
    go_on = run_once();
  } while (go_on && !stopping_);
  in_run_ = false;
  shared_context_.end_run();
  show_queued_to_collector();
  return go_on;
}

bool Loop::run_once() noexcept {
  return py::guard([this] {
    if (poller_ == nullptr) {
      PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
      return false;
    }
    take_inbox();
    if (!may_skip_poll() && !poll()) return false;
    if (flush_first_ != nullptr && !flush_pending(true)) return false;  // A signal handler forked.
    take_inbox();
    return queue_due_timers() && run_ready();
  });
}

void Loop::take_inbox() {
  if (inbox_.empty()) return;
  // The references pass from the inbox to the queue.
  for (Callback* callback : inbox_.take())
    ready_.push(reinterpret_cast<Entry>(callback));
  inbox_.release_taken();
}

bool Loop::may_skip_poll() noexcept {
  if (ready_.empty() || stopping_ || has_custom_time()) return false;
  if (++turns_since_poll_ >= kTurnsBetweenPolls) return false;
  return uv_hrtime() - last_poll_ns_ < kNanosBetweenPolls;
}

bool Loop::may_go_on() noexcept {
  if (turn_length_ != 1 || !ready_.empty() || !inbox_.empty() || stopping_ || debug_ || forked_in_run_ ||
      has_custom_time())
    return false;
  const std::uint64_t now = uv_hrtime();
  return now - last_poll_ns_ < kNanosBetweenPolls &&
         (timers_.empty() || timers_.next_deadline() > static_cast<double>(now) / kNanosPerSecond);
}

bool Loop::poll() noexcept {
  ready_.release_spare();
  int error_number = 0;
  if (!ready_.empty() || stopping_) {
    error_number = poller_->wait(0);
  } else {
    if (!prepare_wait()) return false;
    if (PyErr_CheckSignals() != 0) return false;
    const SignalWakeup::Wait wait_for_signals(signal_wakeup_);
    // What has arrived until here runs its Python handler; what arrives from now on ends the wait.
    if (PyErr_CheckSignals() != 0) return false;
    std::int64_t timeout_ns = 0;
    if (ready_.empty() && !stopping_ && !timeout_until_next_timer(timeout_ns)) return false;
    error_number = wait(timeout_ns);
  }
  turns_since_poll_ = 0;
  last_poll_ns_ = uv_hrtime();
  if (error_number != 0 && error_number != EINTR) {
    py::set_os_error(error_number);
    return false;
  }
  for (const Poller::Event& event : poller_->events()) {
    Watcher* watcher = poller_->find(event.fd);
    if (watcher == nullptr) continue;
    const unsigned events = event.events & watcher->interest();
    if (events != 0) watcher->on_events(events);
  }
  // Python's own signal handlers, which may raise: what the wait has found is in the queue by now, for some
  // of it is told only once (kEdge).
  return PyErr_Occurred() == nullptr && PyErr_CheckSignals() == 0;
}

bool Loop::timeout_until_next_timer(std::int64_t& timeout_ns) noexcept {
  timeout_ns = Poller::kForever;
  if (timers_.empty()) return true;
  double seconds = 0;
  if (!now(seconds)) return false;
  double remaining = timers_.next_deadline() - seconds;
  if (!(remaining > 0)) remaining = 0;
  if (remaining > kLongestWait) remaining = kLongestWait;
  timeout_ns = static_cast<std::int64_t>(std::ceil(remaining * kNanosPerSecond));
  return true;
}

int Loop::wait(std::int64_t timeout_ns) noexcept {
  // No descriptors were left for what wakes us: look now and then, until there are.
  if (!uv_loop_) timeout_ns = shorter_wait(timeout_ns, kDeafWait);
  const bool may_trim = state_.free_handles.has_excess();
  if (may_trim) timeout_ns = shorter_wait(timeout_ns, kTrimAfter);
  inbox_.set_asleep(true);
  // Checked after the flag is up: whoever fills the inbox from now on wakes us.
  const bool nothing_came = inbox_.empty();
  int error_number = 0;
  {
    const py::GilReleased released;
    error_number = poller_->wait(nothing_came ? timeout_ns : 0);
  }
  inbox_.set_asleep(false);
  if (may_trim && poller_->events().empty() && inbox_.empty()) state_.free_handles.trim();
  return error_number;
}

bool Loop::queue_due_timers() noexcept {
  if (timers_.empty()) return true;
  double seconds = 0;
  if (!now(seconds)) return false;
  return py::guard([this, seconds] {
    // As asyncio: what is due within one tick of the clock is due now. (Far away, a tick is nothing.)
    const double due = std::fmax(seconds, std::nextafter(seconds + kClockTick, 0.0));
    const std::size_t count = timers_.count_due(due);
    ready_.reserve(count);
    // The references pass from the heap to the queue.
    timers_.take_due(due, count, [this](Timer* timer) {
      ready_.push(reinterpret_cast<Entry>(static_cast<Callback*>(timer)));
    });
    return true;
  });
}

bool Loop::run_ready() noexcept {
  // Exactly what was ready when the turn began: what these schedule belongs to the next one.
  bool go_on = true;
  running_callbacks_ = true;
  patched_run_ = find_patched_run();
  turn_length_ = ready_.size();
  for (std::size_t left = turn_length_; go_on && left > 0 && !ready_.empty(); --left) {
    const Entry entry = ready_.pop();
    go_on = debug_ ? run_entry_in_debug(entry) : run_entry(entry);
    if (flush_first_ != nullptr && flush_is_due()) go_on = flush_pending(go_on);
  }
  if (flush_first_ != nullptr) go_on = flush_pending(go_on);
  running_callbacks_ = false;
  return go_on;
}

bool Loop::run_entry(Entry entry) noexcept {
  if ((entry & kTaskBit) != 0) {
    auto* task = reinterpret_cast<Task*>(entry & ~kTaskBit);
    const py::Ref<> owner = py::steal(task->owner());
    return task->perform() || report_task_error(owner.get());
  }
  auto* callback = reinterpret_cast<Callback*>(entry);
  bool go_on = true;
  if (!callback->cancelled) {
    go_on = patched_run_ ? static_cast<bool>(py::call(patched_run_.get(), callback->self)) : run(*callback);
  }
  retire(*callback);
  return go_on;
}

// Profilers and watchdogs replace asyncio.Handle._run, to see every callback: then they are called.
py::Ref<> Loop::find_patched_run() noexcept {
  auto* type = reinterpret_cast<PyTypeObject*>(state_.library.handle.get());
  if (handle_version_.is_of(type) && !patched_run_) return {};
  auto current = py::find_attr(state_.library.handle.get(), state_.names._run.get());
  handle_version_.note(type);
  return current.get() == state_.library.handle_run.get() ? py::Ref<>() : std::move(current);
}

bool Loop::run_entry_in_debug(Entry entry) noexcept {
  const bool is_handle = (entry & kTaskBit) == 0;
  auto* callback = is_handle ? reinterpret_cast<Callback*>(entry) : nullptr;
  if (is_handle && callback->cancelled) return run_entry(entry);
  PyObject* object = is_handle ? callback->self : reinterpret_cast<Task*>(entry & ~kTaskBit)->owner();
  const py::Ref<> what =
      py::share(is_handle && callback->kind == Callback::Kind::kForeign ? callback->function.get() : object);
  double begin = 0;
  double end = 0;
  if ((is_handle && PyObject_SetAttr(self_, state_.names._current_handle.get(), what.get()) < 0) ||
      !now(begin)) {
    is_handle ? release(*callback) : py::drop(object);  // The queue's reference.
    return false;
  }
  const bool go_on = run_entry(entry);
  if (!go_on) {
    const py::ErrorStash stash;
    if (PyObject_SetAttr(self_, state_.names._current_handle.get(), Py_None) < 0) PyErr_Clear();
    return false;
  }
  if (PyObject_SetAttr(self_, state_.names._current_handle.get(), Py_None) < 0 || !now(end)) return false;
  const auto limit = py::get_attr(self_, state_.names.slow_callback_duration.get());
  if (!limit) return false;
  const double slow = PyFloat_AsDouble(limit.get());
  if (slow == -1.0 && PyErr_Occurred() != nullptr) return false;
  if (end - begin < slow) return true;
  const auto duration = py::steal(PyFloat_FromDouble(end - begin));
  return duration && py::call_method(self_, state_.names._report_slow.get(), what.get(), duration.get());
}

// ---- reports --------------------------------------------------------------------------------------

bool Loop::report_callback_error(Callback& callback) noexcept {
  const auto exception = py::take_exception();
  PyObject* handle = callback.kind == Callback::Kind::kForeign ? callback.function.get() : callback.self;
  const py::HandledException handled(exception.get());
  return static_cast<bool>(
      py::call_method(self_, state_.names._callback_failed.get(), handle, exception.get()));
}

bool Loop::report_task_error(PyObject* owner) noexcept {
  if (py::is_exit_request()) return false;
  const auto exception = py::take_exception();
  const py::HandledException handled(exception.get());
  return static_cast<bool>(py::call_method(self_, state_.names._task_failed.get(), owner, exception.get()));
}

bool Loop::record_source(Callback& callback) noexcept {
  PyFrameObject* frame = PyEval_GetFrame();
  if (frame == nullptr) return true;
  auto stack = py::call(state_.library.extract_stack.get(), reinterpret_cast<PyObject*>(frame));
  if (!stack) return false;
  callback.debug = std::make_unique<Callback::Debug>();
  callback.debug->source_traceback = std::move(stack);
  return true;
}

void Loop::wait_while_running(const Callback& callback) noexcept {
  if (!on_foreign_thread()) return;
  ++waiting_for_ran_;
  {
    const py::GilReleased released;
    std::unique_lock lock(ran_mutex_);
    ran_.wait(lock, [&callback] { return !callback.running; });
  }
  --waiting_for_ran_;
}

void Loop::notify_callback_ran() noexcept {
  if (waiting_for_ran_.load() == 0) return;
  const std::lock_guard lock(ran_mutex_);
  ran_.notify_all();
}

// ---- references -----------------------------------------------------------------------------------

int Loop::visit_refs(visitproc visit, void* arg) {
  Py_VISIT(patched_run_.get());
  Py_VISIT(task_factory_.get());
  Py_VISIT(future_keywords_.get());
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    const Entry entry = ready_[i];
    PyObject* object = (entry & kTaskBit) != 0 ? reinterpret_cast<Task*>(entry & ~kTaskBit)->owner()
                                               : reinterpret_cast<Callback*>(entry)->self;
    Py_VISIT(object);
  }
  for (std::size_t i = 0; i < timers_.size(); ++i)
    Py_VISIT(timers_.at(i)->self);
  const int stop = inbox_.visit([&](Callback* callback) { return visit(callback->self, arg); });
  if (stop != 0) return stop;
  return extension_ ? extension_->visit_refs(visit, arg) : 0;
}

void Loop::clear_refs() noexcept {
  while (!ready_.empty()) {
    const Entry entry = ready_.pop();
    if ((entry & kTaskBit) != 0) {
      py::drop(reinterpret_cast<Task*>(entry & ~kTaskBit)->owner());
    } else {
      release(*reinterpret_cast<Callback*>(entry));
    }
  }
  timers_.clear();
  inbox_.clear();
  while (flush_first_ != nullptr) {
    FlushNode* node = flush_first_;
    flush_first_ = node->next_;
    node->queued_ = false;
    py::drop(node->flush_owner());
  }
  patched_run_.reset();
  future_keywords_.reset();
  if (extension_) extension_->clear();
}

}  // namespace veloop::core
