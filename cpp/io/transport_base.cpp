#include "io/transport_base.hpp"

#include <cerrno>

#include "io/server_clients.hpp"
#include "py/call.hpp"
#include "py/context.hpp"
#include "py/error.hpp"
#include "py/os_error.hpp"

namespace veloop::io {

using core::kNothing;
using core::kReadable;
using core::kWritable;

TransportBase::~TransportBase() {
  if (loop_ == nullptr || !loop_object_) return;
  if (core::Poller* poller = loop_->poller()) poller->forget(*this);
  Descriptors::of(*loop_).remove_user(descriptor_.last_number(), *this);
}

bool TransportBase::attach(core::Loop& loop, PyObject* self, PyObject* protocol, PyObject* server,
                           PyObject* extra) noexcept {
  self_ = self;
  loop_ = &loop;
  loop_object_ = py::share(loop.self());
  set_protocol(protocol);
  if (extra != nullptr && extra != Py_None) {
    extra_ = py::steal(PyDict_Copy(extra));
    if (!extra_) return false;
  }
  const bool known = py::guard([&] {
    Descriptors::of(loop).add_user(descriptor_.number(), *this);
    return true;
  });
  if (!known) return false;
  if (server == nullptr || server == Py_None) return true;
  server_ = py::share(server);
  if (attach_to_server(state(), server, self_)) return true;
  server_.reset();  // It does not count us (it is closed already): there is nothing to take back.
  return false;
}

py::Ref<> TransportBase::context_for_callbacks() const noexcept {
  return context_ ? context_.share() : py::copy_current_context();
}

bool TransportBase::schedule_start(PyObject* waiter) noexcept {
  const auto connection_made = py::get_attr(protocol_.get(), state().names.connection_made.get());
  if (!connection_made) return false;
  core::Callback* made = core::new_callback(*loop_, connection_made.get(), &self_, 1, context_.get());
  if (made == nullptr) return false;
  const py::Ref<> handle = py::steal(made->self);
  read_context_ = context_for_callbacks();
  if (!read_context_) return false;
  if (waiter != nullptr && waiter != Py_None) waiter_ = py::share(waiter);
  start_due_ = true;
  return py::guard([&] {
    loop_->enqueue(*made);
    // Reading starts, and the waiter wakes, only when connection_made() was called.
    queued_ = true;
    loop_->enqueue(static_cast<core::Task&>(*this));
    return true;
  });
}

bool TransportBase::start() noexcept {
  start_due_ = false;
  bool go_on = !wants_first_read() || watch(kReadable);
  const py::Ref<> waiter = std::move(waiter_);
  if (!go_on || !waiter) return go_on;
  const auto cancelled = py::call_method(waiter.get(), state().names.cancelled.get());
  const int is_cancelled = cancelled ? PyObject_IsTrue(cancelled.get()) : -1;
  if (is_cancelled == 1) return true;
  if (is_cancelled == 0 && py::call_method(waiter.get(), state().names.set_result.get(), Py_None))
    return true;
  if (py::is_exit_request()) return false;
  PyErr_WriteUnraisable(waiter.get());
  return true;
}

// ---- events ---------------------------------------------------------------------------------------

void TransportBase::on_events(unsigned events) noexcept {
  fired_ |= events;
  if (queued_) return;
  queued_ = true;
  py::guard([this] {
    loop_->enqueue(static_cast<core::Task&>(*this));
    return true;
  });
}

bool TransportBase::perform() noexcept {
  queued_ = false;
  if (start_due_ && !start()) return false;
  if ((fired_ & kReadable) != 0) {
    fired_ &= ~kReadable;
    const py::Ref<> context = read_context_.share();
    const py::ContextScope scope(context.get());
    if (!scope.entered() ? !fatal_error("Fatal error on transport") : !on_readable()) return false;
  }
  if ((fired_ & kWritable) != 0) {
    fired_ &= ~kWritable;
    const py::Ref<> context = write_context_ ? write_context_.share() : read_context_.share();
    const py::ContextScope scope(context.get());
    if (!scope.entered() ? !fatal_error("Fatal error on transport") : !on_writable()) return false;
  }
  return true;
}

bool TransportBase::watch(unsigned wanted) noexcept {
  return py::guard([&] {
    const int error_number = try_to_watch(wanted);
    return error_number == 0 || on_watch_failed(error_number);
  });
}

int TransportBase::try_to_watch(unsigned wanted) {
  core::Poller* poller = loop_->poller();
  if (poller == nullptr) return 0;  // The loop is closed: nothing will happen any more.
  if ((wanted & kWritable) != 0) write_context_ = context_for_callbacks();
  const int error_number = poller->watch(*this, number_to_watch(), interest() | wanted);
  if (error_number == 0) Descriptors::of(*loop_).hold(*this, true);
  return error_number;
}

void TransportBase::unwatch(unsigned unwanted) noexcept {
  core::Poller* poller = loop_->poller();
  const unsigned rest = interest() & ~unwanted;
  if (poller != nullptr && rest != interest()) {
    // A descriptor that was closed behind our back can only be forgotten.
    if (poller->watch(*this, watched_fd(), rest) != 0) poller->forget(*this);
  }
  if ((unwanted & kWritable) != 0) write_context_.reset();
  if (interest() == kNothing) Descriptors::of(*loop_).hold(*this, false);
}

bool TransportBase::pause_reading() noexcept {
  if (!is_reading()) return true;
  paused_ = true;
  unwatch(kReadable);
  return debug_log("%r pauses reading");
}

bool TransportBase::resume_reading() noexcept {
  if (is_closing() || !paused_) return true;
  paused_ = false;
  read_context_ = context_for_callbacks();
  const bool ok = start_due_ || py::guard([this] {
                    const int error_number = try_to_watch(kReadable);
                    if (error_number == 0) return true;
                    py::set_os_error(error_number);  // The caller's to know, as in asyncio.
                    return false;
                  });
  return ok && debug_log("%r resumes reading");
}

// ---- closing --------------------------------------------------------------------------------------

bool TransportBase::begin_close() noexcept {
  if (is_closing()) return false;
  state_ = State::kClosing;
  unwatch(kReadable);
  return true;
}

bool TransportBase::lose(PyObject* exception) noexcept {
  if (is_lost()) return true;
  state_ = State::kLost;
  lost_writes_ = 1;
  unwatch(kReadable | kWritable);
  const auto method = py::get_attr(self_, state().names._call_connection_lost.get());
  if (!method) return false;
  PyObject* argument = exception != nullptr ? exception : Py_None;
  core::Callback* lost = core::new_callback(*loop_, method.get(), &argument, 1, context_.get());
  if (lost == nullptr) return false;
  const py::Ref<> handle = py::steal(lost->self);
  // asyncio's call_soon() raises here.
  if (loop_->closed()) return static_cast<bool>(py::steal(core::handle_cancel(*lost)));
  return py::guard([&] {
    loop_->enqueue(*lost);
    return true;
  });
}

bool TransportBase::lose_now() noexcept {
  if (is_lost()) return true;
  state_ = State::kLost;
  lost_writes_ = 1;
  unwatch(kReadable | kWritable);
  if (py::call_method(self_, state().names._call_connection_lost.get(), Py_None)) return true;
  return report_error("Exception in callback Transport._call_connection_lost()");
}

bool TransportBase::force_close(PyObject* exception) noexcept {
  if (is_lost()) return true;
  discard_writes();
  (void)begin_close();
  return lose(exception);
}

bool TransportBase::call_connection_lost(PyObject* exception) noexcept {
  bool ok = true;
  if (const py::Ref<> protocol = protocol_.share()) {
    ok = static_cast<bool>(py::call_method(protocol.get(), state().names.connection_lost.get(), exception));
  }
  const py::Ref<> keep_loop = loop_object_.share();
  {
    const py::ErrorStash stash;
    protocol_.reset();
  }
  Descriptors::of(*loop_).remove_user(descriptor_.number(), *this);
  if (ok) {
    ok = descriptor_.close(state());  // As asyncio, whose callback ends with what close() raised.
  } else {
    const py::ErrorStash stash;
    if (!descriptor_.close(state())) PyErr_WriteUnraisable(self_);
  }
  if (server_ && ok) {
    ok = detach_from_server(state(), server_.get(), self_);
  } else if (server_) {
    const py::ErrorStash stash;
    if (!detach_from_server(state(), server_.get(), self_)) PyErr_WriteUnraisable(self_);
  }
  const py::ErrorStash stash;
  server_.reset();
  read_context_.reset();
  write_context_.reset();
  return ok;
}

void TransportBase::warn_and_close() noexcept {
  if (!has_loop() || !descriptor_.is_open()) return;
  const py::ErrorStash stash;
  if (PyErr_ResourceWarning(self_, 1, "unclosed transport %R", self_) < 0) PyErr_WriteUnraisable(self_);
  state_ = State::kLost;
  if (core::Poller* poller = loop_->poller()) poller->forget(*this);
  Descriptors::of(*loop_).remove_user(descriptor_.number(), *this);
  if (!descriptor_.close(state())) PyErr_WriteUnraisable(self_);
  if (server_ && !detach_from_server(state(), server_.get(), self_)) PyErr_WriteUnraisable(self_);
}

// ---- errors ---------------------------------------------------------------------------------------

bool TransportBase::fatal_error(const char* message) noexcept {
  if (py::is_exit_request()) return false;
  const auto exception = py::take_exception();
  // Errors of the network are no news: only the debug log would have them.
  if (!loop_->debug() && PyErr_GivenExceptionMatches(exception.get(), PyExc_OSError) != 0) {
    return force_close(exception.get());
  }
  const auto text = py::steal(PyUnicode_FromString(message));
  PyObject* protocol = protocol_ ? protocol_.get() : Py_None;
  const py::HandledException handled(exception.get());
  if (!text || !py::call_method(loop_object_.get(), state().names._transport_failed.get(), self_, protocol,
                                exception.get(), text.get())) {
    return false;
  }
  return force_close(exception.get());
}

bool TransportBase::fatal_errno(int error_number, const char* message) noexcept {
  py::set_os_error(loop_->state().error_words, error_number);
  return fatal_error(message);
}

bool TransportBase::tell_protocol(PyObject* method, const char* failed) noexcept {
  if (!protocol_) return true;
  return py::call_method(protocol_.get(), method) || report_error(failed);
}

bool TransportBase::report_error(const char* message) noexcept {
  if (py::is_exit_request()) return false;
  const auto exception = py::take_exception();
  const auto text = py::steal(PyUnicode_FromString(message));
  const py::HandledException handled(exception.get());
  return text && py::call_method(loop_object_.get(), state().names._protocol_failed.get(), self_,
                                 protocol_ ? protocol_.get() : Py_None, exception.get(), text.get());
}

bool TransportBase::count_lost_write(const char* warning) noexcept {
  constexpr long kWarnFrom = 5;  // asyncio.constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES
  if (lost_writes_++ < kWarnFrom) return true;
  return static_cast<bool>(py::call_method_by_format(state().library.logger.get(), "warning", "s", warning));
}

bool TransportBase::debug_log(const char* event) noexcept {
  if (!loop_->debug()) return true;
  return static_cast<bool>(
      py::call_method_by_format(state().library.logger.get(), "debug", "sO", event, self_));
}

PyObject* TransportBase::extra() noexcept {
  if (!extra_) extra_ = py::steal(PyDict_New());
  return extra_.get();
}

}  // namespace veloop::io
