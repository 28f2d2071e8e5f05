#include "io/datagram.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/sockets.hpp"
#include "net/address.hpp"
#include "py/buffer.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/type.hpp"

namespace veloop::io {

using base::would_block;
using core::kWritable;

namespace {

constexpr const char* kReadError = "Fatal read error on datagram transport";
constexpr const char* kWriteError = "Fatal write error on datagram transport";
constexpr const char* kReceiverFailed = "Exception in callback DatagramTransport._read_ready()";
constexpr const char* kSenderFailed = "Exception in callback DatagramTransport._sendto_ready()";

// Since Python 3.13 asyncio sends empty datagrams, and counts a header for each that waits.
#if PY_VERSION_HEX >= 0x030D0000
constexpr bool kSendsEmpty = true;
constexpr std::size_t kHeaderSize = 8;
#else
constexpr bool kSendsEmpty = false;
constexpr std::size_t kHeaderSize = 0;
#endif

// So many datagrams at most come of one event.
constexpr unsigned kMostAtOnce = 16;
// So many events in a row at most are taken for a single datagram, unasked.
constexpr unsigned kMostSingles = 15;

// The error of a Python socket's method, if it only says "not now"; it is cleared then.
bool clear_would_block() noexcept {
  if (!PyErr_ExceptionMatches(PyExc_BlockingIOError) && !PyErr_ExceptionMatches(PyExc_InterruptedError)) {
    return false;
  }
  PyErr_Clear();
  return true;
}

}  // namespace

py::Ref<> DatagramTransport::from_socket(core::Loop& loop, PyObject* socket, PyObject* protocol,
                                         PyObject* address, PyObject* waiter, PyObject* extra) noexcept {
  const auto number = py::call_method(socket, loop.state().names.fileno.get());
  if (!number) return {};
  const int fd = descriptor_number(number.get());
  if (fd < 0 || !check_unused(loop, socket, fd)) return {};
  auto object = py::steal(py::new_object<DatagramTransport>(loop.state().types.datagram.get()));
  if (!object) return {};
  auto* transport = py::state_of<DatagramTransport>(object.get());
  transport->descriptor_.borrow(py::share(socket), fd, loop.state());
  transport->address_ = py::share(address);
  if (!transport->addresses_.fetch(fd, socket, loop.state())) return {};
  transport->native_family_ = net::is_known_family(transport->addresses_.family());
  transport->connected_ = transport->addresses_.has_peer();
  if (!transport->attach(loop, object.get(), protocol, nullptr, extra) ||
      !transport->schedule_start(waiter)) {
    return {};
  }
  if (transport->extra_) {
    PyObject* peer = PyDict_GetItemWithError(transport->extra_.get(), loop.state().names.peername.get());
    if (peer != nullptr) transport->connected_ = PyObject_IsTrue(peer) == 1;
    PyErr_Clear();
  }
  return object;
}

bool DatagramTransport::provide_extra(PyObject* name) noexcept {
  return addresses_.provide(name, extra(), descriptor_, SOCK_DGRAM, state());
}

// ---- receiving
// --------------------------------------------------------------------------------------

bool DatagramTransport::on_readable() noexcept {
  if (is_lost() || !is_reading()) return true;
  const PyObject* context = read_context_.get();
  unsigned count = 0;
  do {
    py::Ref<> data;
    py::Ref<> address;
    if (!(native_family_ ? receive(data, address) : receive_by_python(data, address))) {
      return PyErr_ExceptionMatches(PyExc_OSError) ? tell_error() || report_error(kReceiverFailed)
                                                   : fatal_error(kReadError);
    }
    if (!data) {
      expect_one(count);
      return true;
    }
    ++count;
    const py::Ref<> protocol = protocol_.share();
    if (!py::call_method(protocol.get(), state().names.datagram_received.get(), data.get(), address.get())) {
      return report_error(kReceiverFailed);
    }
    if (count == 1 && single_events_ > 0) {
      --single_events_;
      return true;
    }
  } while (count < kMostAtOnce && may_receive_more(context));
  return true;
}

// Whether the next datagram may be received without a look at other I/O before it.
bool DatagramTransport::may_receive_more(const PyObject* context) const noexcept {
  return native_family_ && is_reading() && fired_ == core::kNothing && read_context_.get() == context &&
         loop_->may_go_on();
}

// There were `count` datagrams and no more. To find that out after the first was in vain: whoever receives
// them one by one asks for a second less and less often.
void DatagramTransport::expect_one(unsigned count) noexcept {
  next_singles_ = count == 1 ? std::min(2 * next_singles_ + 1, kMostSingles) : 0;
  single_events_ = next_singles_;
}

// No data and no error: there was nothing to receive.
bool DatagramTransport::receive(py::Ref<>& data, py::Ref<>& address) noexcept {
  return py::guard([&] {
    char* buffer = Descriptors::of(*loop_).read_buffer();
    net::Address sender;
    const ssize_t count = ::recvfrom(descriptor_.fd(), buffer, Descriptors::kReadBufferSize,
                                     base::kReceiveFlags, &sender.base, &sender.length);
    if (count < 0) {
      if (would_block()) return true;
      PyErr_SetFromErrno(PyExc_OSError);
      return false;
    }
    // First, for it empties the shared buffer; making a tuple may run the collector.
    data = py::steal(PyBytes_FromStringAndSize(buffer, count));
    if (data) address = recent_.to_python(sender);
    return data && address;
  });
}

bool DatagramTransport::receive_by_python(py::Ref<>& data, py::Ref<>& address) noexcept {
  const auto size = py::steal(PyLong_FromSize_t(Descriptors::kReadBufferSize));
  if (!size) return false;
  const auto pair = py::call_method(descriptor_.file(), state().names.recvfrom.get(), size.get());
  if (!pair) return clear_would_block();
  PyObject *received = nullptr, *sender = nullptr;
  if (!PyArg_ParseTuple(pair.get(), "OO", &received, &sender)) return false;
  data = py::share(received);
  address = py::share(sender);
  return true;
}

// Takes the current OSError to the protocol. False, with an error set, if error_received() raised.
bool DatagramTransport::tell_error() noexcept {
  const auto exception = py::take_exception();
  const py::Ref<> protocol = protocol_.share();
  const py::HandledException handled(exception.get());
  return static_cast<bool>(
      py::call_method(protocol.get(), state().names.error_received.get(), exception.get()));
}

// ---- sending
// ----------------------------------------------------------------------------------------

bool DatagramTransport::sendto(PyObject* data, PyObject* address) noexcept {
  const bool is_bytes = PyBytes_CheckExact(data);
  if (!is_bytes && !PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
    const auto name = py::steal(PyType_GetName(Py_TYPE(data)));
    if (name) PyErr_Format(PyExc_TypeError, "data argument must be a bytes-like object, not %R", name.get());
    return false;
  }
  if (!kSendsEmpty) {
    const Py_ssize_t length = PyObject_Length(data);
    if (length <= 0) return length == 0;
  }
  bool has_address = false;
  if (!check_address(address, has_address)) return false;
  // As asyncio: without a remote address what is sent between close() and connection_lost() still
  // leaves.
  if (is_lost() && (has_address || !descriptor_.is_open())) {
    return count_lost_write("socket.send() raised exception.");
  }
  if (buffer_.empty()) {
    const Sent sent = send_object(data, address);
    if (sent == Sent::kYes) return true;
    if (sent == Sent::kError) {
      return PyErr_ExceptionMatches(PyExc_OSError) ? tell_error() : fatal_error(kWriteError);
    }
    if (is_lost()) return true;
    if (!watch(kWritable)) return false;
  }
  auto bytes = is_bytes ? py::share(data) : py::steal(PyBytes_FromObject(data));
  return bytes && py::guard([&] { return append(std::move(bytes), address); }) && maybe_pause();
}

// With a remote address the transport sends there only. `address` becomes the one to send to.
bool DatagramTransport::check_address(PyObject*& address, bool& has_address) noexcept {
  const int truth = address_ ? PyObject_IsTrue(address_.get()) : 0;
  has_address = truth > 0;
  if (truth <= 0) return truth == 0;
  if (address != Py_None) {
    const int same = PyObject_RichCompareBool(address, address_.get(), Py_EQ);
    if (same < 0) return false;
    if (same == 0) {
      PyErr_Format(PyExc_ValueError, "Invalid address: must be None or %S", address_.get());
      return false;
    }
  }
  address = address_.get();
  return true;
}

DatagramTransport::Sent DatagramTransport::send_object(PyObject* object, PyObject* address) noexcept {
  if (PyBytes_CheckExact(object)) {
    return send(object, PyBytes_AS_STRING(object), static_cast<std::size_t>(PyBytes_GET_SIZE(object)),
                address);
  }
  const py::BufferView view(object, PyBUF_SIMPLE);
  return view.ok() ? send(object, view.data(), view.size(), address) : Sent::kError;
}

DatagramTransport::Sent DatagramTransport::send(PyObject* object, const char* data, std::size_t length,
                                                PyObject* address) noexcept {
  ssize_t count = 0;
  if (!native_family_) return send_by_python(object, address);
  if (connected_) {
    count = ::send(descriptor_.fd(), data, length, base::kSendFlags);
  } else {
    net::Address target;
    if (!recent_.find(address, target)) {
      if (!net::try_from_python(addresses_.family(), address, target)) return send_by_python(object, address);
      recent_.set_target(address, target);
    }
    if (PySys_Audit("socket.sendto", "OO", descriptor_.file(), address) < 0) return Sent::kError;
    count = ::sendto(descriptor_.fd(), data, length, base::kSendFlags, &target.base, target.length);
  }
  if (count >= 0) return Sent::kYes;
  if (would_block()) return Sent::kBlocked;
  PyErr_SetFromErrno(PyExc_OSError);
  return Sent::kError;
}

DatagramTransport::Sent DatagramTransport::send_by_python(PyObject* object, PyObject* address) noexcept {
  const py::Names& names = state().names;
  PyObject* socket = descriptor_.file();
  const auto count = connected_ ? py::call_method(socket, names.send.get(), object)
                                : py::call_method(socket, names.sendto.get(), object, address);
  if (count) return Sent::kYes;
  return clear_would_block() ? Sent::kBlocked : Sent::kError;
}

bool DatagramTransport::append(py::Ref<> bytes, PyObject* address) {
  const auto length = static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get()));
  buffer_.push_back(Datagram{std::move(bytes), py::share(address)});
  buffer_size_ += length + kHeaderSize;
  return true;
}

bool DatagramTransport::on_writable() noexcept {
  while (!buffer_.empty()) {
    Datagram datagram = std::move(buffer_.front());
    buffer_.pop_front();
    const auto length = static_cast<std::size_t>(PyBytes_GET_SIZE(datagram.data.get()));
    buffer_size_ -= length + kHeaderSize;
    const Sent sent =
        send(datagram.data.get(), PyBytes_AS_STRING(datagram.data.get()), length, datagram.address.get());
    if (sent == Sent::kYes) continue;
    if (sent == Sent::kError) {
      // The rest waits for the next event, as in asyncio.
      return PyErr_ExceptionMatches(PyExc_OSError) ? tell_error() || report_error(kSenderFailed)
                                                   : fatal_error(kWriteError);
    }
    buffer_size_ += length + kHeaderSize;
    if (!py::guard([&] {
          buffer_.push_front(std::move(datagram));
          return true;
        })) {
      return fatal_error(kWriteError);
    }
    break;
  }
  if (!maybe_resume()) return false;  // The protocol may have sent more.
  if (is_lost() || !buffer_.empty()) return true;
  unwatch(kWritable);
  return !is_closing() || lose_now();
}

// ---- closing
// ----------------------------------------------------------------------------------------

bool DatagramTransport::close() noexcept { return !begin_close() || !buffer_.empty() || lose(nullptr); }

bool DatagramTransport::call_connection_lost(PyObject* exception) noexcept {
  recent_.clear();
  return TransportBase::call_connection_lost(exception);
}

void DatagramTransport::discard_writes() noexcept {
  std::deque<Datagram> unsent;
  unsent.swap(buffer_);
  buffer_size_ = 0;
  unwatch(kWritable);
}

void DatagramTransport::finalize(PyObject* self) { py::state_of<DatagramTransport>(self)->warn_and_close(); }

// ---- flow control
// -----------------------------------------------------------------------------------

bool DatagramTransport::maybe_pause() noexcept {
  return !flow_.must_pause(buffer_size_) ||
         tell_protocol(state().names.pause_writing.get(), "protocol.pause_writing() failed");
}

bool DatagramTransport::maybe_resume() noexcept {
  return !flow_.must_resume(buffer_size_) ||
         tell_protocol(state().names.resume_writing.get(), "protocol.resume_writing() failed");
}

bool DatagramTransport::set_write_buffer_limits(WriteLimits limits) noexcept {
  flow_.set_limits(std::move(limits));
  return maybe_pause();
}

}  // namespace veloop::io
