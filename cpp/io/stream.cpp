#include "io/stream.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/sockets.hpp"
#include "io/stream_reader.hpp"
#include "py/buffer.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/os_error.hpp"
#include "py/type.hpp"

namespace veloop::io {

using base::would_block;
using core::kReadable;
using core::kWritable;

namespace {

// From this size on a piece is sent at once: copying it, or holding it back, gains nothing any more.
constexpr std::size_t kSendAtOnce = 32 * 1024;

constexpr const char* kReadError = "Fatal read error on socket transport";
constexpr const char* kReceiveFailed = "Fatal error: protocol.data_received() call failed.";
constexpr const char* kUpdateFailed = "Fatal error: protocol.buffer_updated() call failed.";
constexpr const char* kLostWrite = "socket.send() raised exception.";
constexpr const char* kWriteError = "Fatal write error on socket transport";

// asyncio's words: type(data).__name__!r
#if PY_VERSION_HEX >= 0x030E0000
constexpr const char* kWrongType = "data argument must be a bytes, bytearray, or memoryview object, not %R";
#else
constexpr const char* kWrongType = "data argument must be a bytes-like object, not %R";
#endif

// The current exception says that a view has gaps; if it is empty that does not matter.
bool is_empty_view_with_gaps(PyObject* data) noexcept {
  if (!PyErr_ExceptionMatches(PyExc_BufferError) || PyMemoryView_GET_BUFFER(data)->len > 0) return false;
  PyErr_Clear();
  return true;
}

}  // namespace

// ---- construction -----------------------------------------------------------------------------------

py::Ref<> StreamTransport::from_socket(core::Loop& loop, PyObject* socket, PyObject* protocol,
                                       PyObject* waiter, PyObject* extra, PyObject* server,
                                       PyObject* context) noexcept {
  const auto number = py::call_method(socket, loop.state().names.fileno.get());
  if (!number) return {};
  const int fd = descriptor_number(number.get());
  if (fd < 0) return {};
  auto object = py::steal(py::new_object<StreamTransport>(loop.state().types.stream.get()));
  if (!object) return {};
  auto* transport = py::state_of<StreamTransport>(object.get());
  transport->set_context(context);
  transport->descriptor_.borrow(py::share(socket), fd, loop.state());
  if (!transport->addresses_.fetch(fd, socket, loop.state())) return {};
  base::set_nodelay(fd, transport->addresses_.family());
  if (!transport->attach(loop, object.get(), protocol, server, extra) || !transport->schedule_start(waiter)) {
    return {};
  }
  return object;
}

py::Ref<> StreamTransport::from_accepted(core::Loop& loop, base::OwnedFd fd, const net::Address& peer,
                                         const net::Address& local, PyObject* protocol, PyObject* server,
                                         PyObject* context) noexcept {
  auto object = py::steal(py::new_object<StreamTransport>(loop.state().types.stream.get()));
  if (!object) return {};
  auto* transport = py::state_of<StreamTransport>(object.get());
  transport->set_context(context);
  transport->descriptor_.own(std::move(fd));
  if (!transport->addresses_.set(local, peer) ||
      !transport->attach(loop, object.get(), protocol, server, nullptr) ||
      !transport->schedule_start(nullptr)) {
    return {};
  }
  return object;
}

void StreamTransport::set_protocol(PyObject* protocol) noexcept {
  TransportBase::set_protocol(protocol);
  set_input_sink(nullptr, nullptr);
  load_streams(loop_->state());
  const int buffered = PyObject_IsInstance(protocol, state().library.buffered_protocol.get());
  if (buffered < 0) PyErr_Clear();
  buffered_protocol_ = buffered == 1;
}

void StreamTransport::set_input_sink(InputSink* sink, PyObject* owner) noexcept {
  sink_ = sink;
  sink_owner_ = py::share(owner);
}

bool StreamTransport::provide_extra(PyObject* name) noexcept {
  return addresses_.provide(name, extra(), descriptor_, SOCK_STREAM, state());
}

// ---- reading ----------------------------------------------------------------------------------------

bool StreamTransport::on_readable() noexcept {
  if (is_lost() || !is_reading()) return true;
  return py::guard([this] {
    if (sink_owner_) return read_into_sink();
    return buffered_protocol_ ? read_into_protocol_buffer() : read_into_bytes();
  });
}

bool StreamTransport::read_into_sink() noexcept {
  char* buffer = Descriptors::of(*loop_).read_buffer();
  const ssize_t count = ::recv(descriptor_.fd(), buffer, Descriptors::kReadBufferSize, base::kReceiveFlags);
  if (count < 0) return would_block() || fatal_errno(errno, kReadError);
  if (count == 0) return on_eof();
  const py::Ref<> owner = sink_owner_.share();
  if (sink_->feed(buffer, static_cast<std::size_t>(count))) return true;
  return fatal_error(kUpdateFailed);
}

bool StreamTransport::read_into_bytes() noexcept {
  constexpr std::size_t kSize = Descriptors::kReadBufferSize;
  constexpr ssize_t kLarge = 64 * 1024;
  py::Ref<> data;
  ssize_t count = 0;
  if (large_reads_) {
    data = py::steal(PyBytes_FromStringAndSize(nullptr, kSize));
    if (!data) return fatal_error(kReadError);
    count = ::recv(descriptor_.fd(), PyBytes_AS_STRING(data.get()), kSize, base::kReceiveFlags);
    if (count > 0) {
      PyObject* exact = data.release();
      if (_PyBytes_Resize(&exact, count) < 0) return fatal_error(kReadError);
      data = py::steal(exact);
    }
  } else {
    char* buffer = Descriptors::of(*loop_).read_buffer();
    count = ::recv(descriptor_.fd(), buffer, kSize, base::kReceiveFlags);
    if (count > 0 && is_stream_protocol(state(), protocol_.get())) {
      const py::Ref<> protocol = protocol_.share();
      const Fed fed = feed_reader(loop_->state(), protocol.get(), buffer, static_cast<std::size_t>(count));
      if (fed == Fed::kYes) return true;
      if (fed == Fed::kFailed) return fatal_error(kReceiveFailed);
    }
    if (count > 0) data = py::steal(PyBytes_FromStringAndSize(buffer, count));
  }
  if (count < 0) return would_block() || fatal_errno(errno, kReadError);
  if (count == 0) return on_eof();
  if (!data) return fatal_error(kReadError);
  large_reads_ = count >= kLarge;
  const py::Ref<> protocol = protocol_.share();
  if (py::call_method(protocol.get(), state().names.data_received.get(), data.get())) return true;
  return fatal_error(kReceiveFailed);
}

bool StreamTransport::read_into_protocol_buffer() noexcept {
  constexpr const char* kFailed = "Fatal error: protocol.get_buffer() call failed.";
  const py::Ref<> protocol = protocol_.share();
  const auto hint = py::steal(PyLong_FromLong(-1));
  const auto object =
      hint ? py::call_method(protocol.get(), state().names.get_buffer.get(), hint.get()) : py::Ref<>();
  if (!object) return fatal_error(kFailed);
  ssize_t count = 0;
  int error_number = 0;
  {
    const Py_ssize_t length = PyObject_Length(object.get());
    if (length == 0) PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
    if (length <= 0) return fatal_error(kFailed);
    const py::BufferView view(object.get(), PyBUF_WRITABLE);
    if (!view.ok()) {
      PyErr_Format(PyExc_TypeError, "recv_into() argument 1 must be read-write bytes-like object, not %.50s",
                   object.get() == Py_None ? "None" : Py_TYPE(object.get())->tp_name);
      return fatal_error(kReadError);
    }
    count = ::recv(descriptor_.fd(), view.data(), view.size(), base::kReceiveFlags);
    error_number = errno;  // Giving the buffer back may run Python code.
  }
  if (count < 0) {
    errno = error_number;
    return would_block() || fatal_errno(error_number, kReadError);
  }
  if (count == 0) return on_eof();
  // As asyncio: whoever is the protocol now is told, even if get_buffer() has closed the transport.
  const py::Ref<> receiver = protocol_.share();
  if (!receiver) return true;
  const auto size = py::steal(PyLong_FromSsize_t(count));
  if (size && py::call_method(receiver.get(), state().names.buffer_updated.get(), size.get())) return true;
  return fatal_error(kUpdateFailed);
}

bool StreamTransport::on_eof() noexcept {
  if (!debug_log("%r received EOF")) PyErr_WriteUnraisable(self_);
  const py::Ref<> protocol = protocol_.share();
  const auto keep_open = py::call_method(protocol.get(), state().names.eof_received.get());
  const int truth = keep_open ? PyObject_IsTrue(keep_open.get()) : -1;
  if (truth < 0) return fatal_error("Fatal error: protocol.eof_received() call failed.");
  if (truth == 0) return close();
  eof_received_ = true;
  unwatch(kReadable);  // The protocol may go on writing; nothing more can come.
  return true;
}

// ---- writing ----------------------------------------------------------------------------------------

bool StreamTransport::may_write(const char* what) noexcept {
  if (eof_written_) {
    PyErr_Format(PyExc_RuntimeError, "Cannot call %s() after write_eof()", what);
    return false;
  }
  if (empty_waiter_) {
    PyErr_Format(PyExc_RuntimeError, "unable to %s; sendfile is in progress", what);
    return false;
  }
  return true;
}

bool StreamTransport::write(PyObject* data) noexcept {
  const bool is_bytes = PyBytes_CheckExact(data);
  if (!is_bytes && !PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
    const auto name = py::steal(PyType_GetName(Py_TYPE(data)));
    if (name) PyErr_Format(PyExc_TypeError, kWrongType, name.get());
    return false;
  }
  if (!may_write("write")) return false;
  const py::BufferView view(data, PyBUF_CONTIG_RO);
  if (!view.ok()) return is_empty_view_with_gaps(data) || refuse_buffer();
  if (view.size() == 0) return true;
  if (is_lost()) return count_lost_write(kLostWrite);
  return append(view.raw(), is_bytes) && after_append();
}

// asyncio hands what it gets to socket.send(): memory with gaps in it is a fatal error of the connection.
bool StreamTransport::refuse_buffer() noexcept {
  if (!PyErr_ExceptionMatches(PyExc_BufferError)) return false;
  if (!is_lost()) return fatal_error(kWriteError);
  PyErr_Clear();
  return count_lost_write(kLostWrite);
}

bool StreamTransport::writelines(PyObject* pieces) noexcept {
#if PY_VERSION_HEX < 0x030C0000
  // asyncio's is write() of all of them in one, and so are its errors.
  const auto empty = py::steal(PyBytes_FromStringAndSize("", 0));
  const auto joined =
      empty ? py::steal(PyObject_CallMethod(empty.get(), "join", "(O)", pieces)) : py::Ref<>();
  return joined && write(joined.get());
#else
  if (!may_write("writelines")) return false;
  const int any = PyObject_IsTrue(pieces);
  if (any <= 0) return any == 0;
  if (is_lost()) return count_lost_write(kLostWrite);
  const auto list = py::steal(PySequence_List(pieces));
  if (!list) return false;
  // All of them are looked at before any is queued: a wrong one leaves nothing behind.
  const Py_ssize_t count = PyList_GET_SIZE(list.get());
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* piece = PyList_GET_ITEM(list.get(), i);
    if (PyBytes_CheckExact(piece)) continue;
    const auto memory = py::steal(PyMemoryView_FromObject(piece));
    if (!memory) return false;
    const py::BufferView view(memory.get(), PyBUF_CONTIG_RO);
    if (!view.ok()) return refuse_buffer();
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* piece = PyList_GET_ITEM(list.get(), i);
    const py::BufferView view(piece, PyBUF_CONTIG_RO);
    if (!view.ok()) return refuse_buffer();
    if (view.size() > 0 && !append(view.raw(), PyBytes_CheckExact(piece))) return false;
  }
  // asyncio tries at once, even while it waits for room.
  if (waits_for_writing()) return on_writable() && (is_lost() || queue_.empty() || maybe_pause());
  return queue_.empty() || after_append();
#endif
}

bool StreamTransport::append(const Py_buffer& view, bool is_bytes) noexcept {
  const auto* data = static_cast<const char*>(view.buf);
  auto length = static_cast<std::size_t>(view.len);
  if (!is_bytes && queue_.empty() && length >= kSendAtOnce) {
    if (!send_from_place(data, length)) return false;
    if (length == 0 || is_lost()) return true;
  }
  return py::guard([&] { return queue_.append(is_bytes ? view.obj : nullptr, data, length); });
}

// Leaves in `data` and `length` what the socket did not take: it is watched for writing then.
bool StreamTransport::send_from_place(const char*& data, std::size_t& length) noexcept {
  const ssize_t sent = ::send(descriptor_.fd(), data, length, base::kSendFlags);
  if (sent < 0 && !would_block()) return fatal_errno(errno, kWriteError);
  if (sent > 0) {
    data += sent;
    length -= static_cast<std::size_t>(sent);
  }
  return length == 0 || watch(kWritable);
}

bool StreamTransport::write_at_once(const char* data, std::size_t length) noexcept {
  if (!may_write("write")) return false;
  if (!send_now()) return false;
  if (is_lost()) return count_lost_write(kLostWrite);
  if (queue_.empty() && !waits_for_writing()) {
    if (!send_from_place(data, length)) return false;
    if (length == 0 || is_lost()) return true;
  }
  return py::guard([&] { return queue_.append(nullptr, data, length); }) && after_append();
}

// The queue has grown: send now or at the end of the turn, and apply flow control.
bool StreamTransport::after_append() noexcept {
  if (is_lost() || queue_.empty()) return true;
  if (waits_for_writing()) return maybe_pause();
  if (queue_.size() >= kSendAtOnce || queue_.size() > flow_.high()) return send_now();
  if (eof_received_ || !loop_->is_running_callbacks()) return send_now();
  ++calls_held_back_;
  loop_->call_after_callbacks(*this);
  return true;
}

bool StreamTransport::send_now() noexcept {
  if (queue_.empty() || waits_for_writing() || is_lost()) return true;
  const unsigned calls = std::exchange(calls_held_back_, 0);
  while (!queue_.empty()) {
    const WriteQueue::Sent sent = queue_.send(descriptor_.fd(), true);
    if (sent.count >= 0 && !sent.is_short) continue;
    if (sent.is_short || would_block()) return watch(kWritable) && (is_lost() || maybe_pause());
    if (!write_failed(errno)) return false;
    // Sent one by one, the first call would have failed and the others been ignored, and counted.
    for (unsigned i = 1; i < calls; ++i) {
      if (!count_lost_write(kLostWrite)) return false;
    }
  }
  return true;
}

bool StreamTransport::write_failed(int error_number) noexcept {
  queue_.clear();  // Nothing is sent any more, whatever the kernel would say the next time.
  return fatal_errno(error_number, kWriteError);
}

bool StreamTransport::on_writable() noexcept {
  if (is_lost() || queue_.empty()) return true;
  // One call per event: a peer that reads fast must not keep the others waiting.
  if (queue_.send(descriptor_.fd(), true).count < 0) {
    if (would_block()) return true;
    const int error_number = errno;
    if (!write_failed(error_number)) return false;
    py::set_os_error(error_number);
    const auto exception = py::take_exception();
    return settle_empty_waiter(exception.get());
  }
  if (queue_.empty()) unwatch(kWritable);  // What resume_writing() writes is tried at once.
  if (!maybe_resume() || !send_now()) return false;
  return is_lost() || !queue_.empty() || everything_sent();
}

bool StreamTransport::everything_sent() noexcept {
  if (!settle_empty_waiter(nullptr)) return false;
  if (is_closing()) return lose_now();
  return !eof_written_ || shut_down_writing();
}

bool StreamTransport::write_eof() noexcept {
  if (is_closing() || eof_written_) return true;
  if (!send_now()) return false;
  eof_written_ = true;
  return !queue_.empty() || is_lost() || shut_down_writing();
}

bool StreamTransport::shut_down_writing() noexcept {
  if (::shutdown(descriptor_.fd(), SHUT_WR) == 0) return true;
  PyErr_SetFromErrno(PyExc_OSError);
  return false;
}

bool StreamTransport::close() noexcept {
  if (is_closing()) return true;
  if (!send_now()) return false;
  if (!begin_close()) return true;
  return !queue_.empty() || lose(nullptr);
}

bool StreamTransport::abort() noexcept { return close_with(Py_None); }

bool StreamTransport::close_with(PyObject* exception) noexcept {
  if (is_lost()) return true;
  return send_now() && force_close(exception == Py_None ? nullptr : exception);
}

void StreamTransport::discard_writes() noexcept {
  // Written before whatever closes us now: asyncio would have sent it by then.
  while (!queue_.empty() && !waits_for_writing() && queue_.send(descriptor_.fd(), true).count > 0) {
  }
  queue_.clear();
  unwatch(kWritable);
}

bool StreamTransport::call_connection_lost(PyObject* exception) noexcept {
  const bool ok = TransportBase::call_connection_lost(exception);
  if (!empty_waiter_) return ok;
  const auto settle = [this] {
    const auto error =
        py::steal(PyObject_CallFunction(PyExc_ConnectionError, "s", "Connection is closed by peer"));
    return error && settle_empty_waiter(error.get());
  };
  if (ok) return settle();
  const py::ErrorStash stash;
  if (!settle()) PyErr_WriteUnraisable(self_);
  return false;
}

// ---- flow control -----------------------------------------------------------------------------------

bool StreamTransport::maybe_pause() noexcept {
  return !flow_.must_pause(queue_.size()) ||
         tell_protocol(state().names.pause_writing.get(), "protocol.pause_writing() failed");
}

bool StreamTransport::maybe_resume() noexcept {
  return !flow_.must_resume(queue_.size()) ||
         tell_protocol(state().names.resume_writing.get(), "protocol.resume_writing() failed");
}

bool StreamTransport::set_write_buffer_limits(WriteLimits limits) noexcept {
  if (!send_now()) return false;
  flow_.set_limits(std::move(limits));
  return maybe_pause();
}

py::Ref<> StreamTransport::make_empty_waiter() noexcept {
  if (empty_waiter_) {
    PyErr_SetString(PyExc_RuntimeError, "Empty waiter is already set");
    return {};
  }
  if (!send_now()) return {};
  auto future = py::steal(PyObject_CallMethod(loop_object_.get(), "create_future", nullptr));
  if (!future) return {};
  empty_waiter_ = future.share();
  if (queue_.empty() && !settle_empty_waiter(nullptr)) return {};
  return future;
}

bool StreamTransport::settle_empty_waiter(PyObject* exception) noexcept {
  if (!empty_waiter_) return true;
  const py::Ref<> future = empty_waiter_.share();
  const auto done = py::call_method(future.get(), state().names.done.get());
  if (!done) return false;
  if (done.get() == Py_True) return true;
  return static_cast<bool>(exception == nullptr
                               ? py::call_method(future.get(), state().names.set_result.get(), Py_None)
                               : py::call_method(future.get(), state().names.set_exception.get(), exception));
}

void StreamTransport::finalize(PyObject* self) { py::state_of<StreamTransport>(self)->warn_and_close(); }

}  // namespace veloop::io
