#include "tls/session.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "io/stream_reader.hpp"
#include "py/buffer.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/type.hpp"

namespace veloop::tls {
namespace {

constexpr std::size_t kRecord = 16 * 1024;  // the most that one record carries
// From this size on what is written is encrypted and sent at once: more would not share its records.
constexpr std::size_t kSendAtOnce = 32 * 1024;
// So much is encrypted before it is sent: it stays in the processor's cache.
constexpr std::size_t kBatch = 256 * 1024;
constexpr std::size_t kMostAtOnce = 256 * 1024;  // for one data_received()

constexpr const char* kFatal = "Fatal error on SSL protocol";

// While OpenSSL runs: whatever it calls must not enter it again for the same connection.
class InSsl {
 public:
  explicit InSsl(bool& flag) noexcept : flag_(flag) { flag_ = true; }
  InSsl(const InSsl&) = delete;
  InSsl& operator=(const InSsl&) = delete;
  ~InSsl() { flag_ = false; }

 private:
  bool& flag_;
};

// Where records lie until they are sent. One buffer serves all connections of a thread; who comes in between
// (a callback of OpenSSL's) gets a fresh one.
class RecordBuffer {
 public:
  RecordBuffer() noexcept : buffer_(std::move(spare)) { buffer_.clear(); }
  RecordBuffer(const RecordBuffer&) = delete;
  RecordBuffer& operator=(const RecordBuffer&) = delete;
  ~RecordBuffer() { spare = std::move(buffer_); }
  [[nodiscard]] std::vector<char>& get() noexcept { return buffer_; }

 private:
  static thread_local std::vector<char> spare;
  std::vector<char> buffer_;
};
thread_local std::vector<char> RecordBuffer::spare;

}  // namespace

py::Ref<> Session::adopt(core::Loop& loop, PyObject* loop_object, PyObject* ssl_object,
                         PyObject* protocol) noexcept {
  constexpr int kAppData = 0;  // where the ssl module keeps its own object
  Ssl* ssl = newest_ssl();
  if (ssl == nullptr || openssl().SSL_get_ex_data(ssl, kAppData) != ssl_object) return py::none();
  auto object = py::steal(py::new_object<Session>(loop.state().types.tls_session.get()));
  if (!object) return {};
  auto* session = py::state_of<Session>(object.get());
  if (!session->channel_.open(ssl)) {
    PyErr_NoMemory();
    return {};
  }
  session->self_ = object.get();
  session->loop_ = &loop;
  session->loop_object_ = py::share(loop_object);
  session->ssl_object_ = py::share(ssl_object);
  session->protocol_ = py::share(protocol);
  session->ssl_ = ssl;
  return object;
}

void Session::set_app(PyObject* app, bool is_buffered) noexcept {
  if (is_cleared()) return;
  app_ = py::share(app);
  app_is_buffered_ = is_buffered;
  io::load_streams(loop_->state());
}

void Session::attach(PyObject* transport) noexcept {
  if (is_cleared()) return;  // and the stream may be gone
  if (stream_ != nullptr && stream_->protocol() == protocol_.get()) stream_->set_input_sink(nullptr, nullptr);
  stream_ = nullptr;
  lower_.reset();
  if (transport == Py_None) {
    app_.reset();
    return;
  }
  lower_ = py::share(transport);
  if (Py_TYPE(transport) != state().types.stream.get()) return;
  stream_ = py::state_of<io::StreamTransport>(transport);
  if (stream_->protocol() == protocol_.get()) stream_->set_input_sink(this, self_);
}

// ---- reading --------------------------------------------------------------------------------------------

bool Session::feed(const char* data, std::size_t count) noexcept {
  const py::Ref<> keep_alive = py::share(self_);
  return py::guard([&] {
    channel_.feed(data, count);
    const bool ok = process_input();
    channel_.keep_rest();
    return ok;
  });
}

bool Session::keep(const char* data, std::size_t count) noexcept {
  return py::guard([&] {
    channel_.feed(data, count);
    channel_.keep_rest();
    return true;
  });
}

bool Session::process_input() noexcept {
  if (in_ssl_ || is_cleared()) return true;
  if (phase_ != Phase::kWrapped) {
    return static_cast<bool>(py::call_method(protocol_.get(), state().names._input_arrived.get()));
  }
  if (!reading_paused_) {
    if (!read() && !report_error()) return false;
    // What OpenSSL had to answer, and what it could not encrypt before it had read.
    if (unsent() > 0 && !flush()) return false;
  }
  if (channel_.unread() == 0) return true;
  return static_cast<bool>(py::call_method(protocol_.get(), state().names._control_ssl_reading.get()));
}

bool Session::read() noexcept {
  const py::Ref<> keep_alive = py::share(self_);
  auto outcome = Outcome::kFull;
  while (outcome == Outcome::kFull) {
    if (!app_ || !is_open() || reading_paused_ || in_ssl_) return true;
    bool ok = false;
    if (app_is_buffered_) {
      ok = deliver_into_buffer(outcome);
    } else if (channel_.unread() <= kRecord / 2 || io::is_stream_protocol(state(), app_.get())) {
      ok = deliver_small(outcome);
    } else {
      ok = deliver_large(outcome);
    }
    if (!ok) return false;
  }
  if (failure_) {
    py::raise(std::move(failure_));
    return false;
  }
  if (outcome != Outcome::kClosed) return true;
  const py::Ref<> protocol = protocol_.share();
  return py::call_method(protocol.get(), state().names._call_eof_received.get()) &&
         py::call_method(protocol.get(), state().names._start_shutdown.get());
}

Session::Outcome Session::decrypt(char* into, std::size_t size, std::size_t& count) noexcept {
  const OpenSsl& api = openssl();
  const InSsl entered(in_ssl_);
  int result = 0;
  count = 0;
  while (count < size) {
    std::size_t part = 0;
    api.ERR_clear_error();
    result = api.SSL_read_ex(ssl_, into + count, size - count, &part);
    if (result != 1) break;
    count += part;
  }
  if (count == size) return Outcome::kFull;
  switch (static_cast<SslError>(api.SSL_get_error(ssl_, result))) {
    case SslError::kWantRead:
    case SslError::kWantWrite:
      return Outcome::kNothingMore;
    case SslError::kZeroReturn:
      return Outcome::kClosed;
    default:
      break;
  }
  // The ssl module makes its exception of what OpenSSL has reported, which a second call leaves as it is.
  if (py::call_method_by_format(ssl_object_.get(), "read", "i", 1)) {
    PyErr_SetString(PyExc_OSError, "TLS could not be read");
  }
  failure_ = py::take_exception();
  return Outcome::kFailed;
}

bool Session::deliver_small(Outcome& outcome) noexcept {
  std::array<char, kRecord> buffer;
  std::size_t count = 0;
  outcome = decrypt(buffer.data(), buffer.size(), count);
  if (count == 0) return true;
  if (io::is_stream_protocol(state(), app_.get())) {
    const py::Ref<> app = app_.share();
    const io::Fed fed = io::feed_reader(loop_->state(), app.get(), buffer.data(), count);
    if (fed != io::Fed::kNo) return fed == io::Fed::kYes;
  }
  const auto data = py::steal(PyBytes_FromStringAndSize(buffer.data(), static_cast<Py_ssize_t>(count)));
  return data && call_data_received(data.get());
}

// Decrypts into what the protocol gets, which holds all that has arrived.
bool Session::deliver_large(Outcome& outcome) noexcept {
  const std::size_t size = std::min(kMostAtOnce, channel_.unread() + kRecord);
  PyObject* data = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
  if (data == nullptr) return false;
  std::size_t count = 0;
  outcome = decrypt(PyBytes_AS_STRING(data), size, count);
  if (_PyBytes_Resize(&data, static_cast<Py_ssize_t>(count)) < 0) return false;
  const auto exact = py::steal(data);
  return count == 0 || call_data_received(exact.get());
}

bool Session::deliver_into_buffer(Outcome& outcome) noexcept {
  const py::Ref<> app = app_.share();
  const auto hint = py::steal(PyLong_FromSize_t(channel_.unread()));
  const auto object =
      hint ? py::call_method(app.get(), state().names.get_buffer.get(), hint.get()) : py::Ref<>();
  if (!object) return false;
  std::size_t count = 0;
  {
    const py::BufferView view(object.get(), PyBUF_WRITABLE);
    if (!view.ok()) return false;
    if (view.size() == 0) {
      PyErr_SetString(PyExc_RuntimeError, "get_buffer() returned an empty buffer");
      return false;
    }
    outcome = decrypt(view.data(), view.size(), count);
  }
  if (count == 0) return true;
  const auto number = py::steal(PyLong_FromSize_t(count));
  return number && py::call_method(app.get(), state().names.buffer_updated.get(), number.get());
}

bool Session::call_data_received(PyObject* data) noexcept {
  const py::Ref<> app = app_.share();
  return !app || py::call_method(app.get(), state().names.data_received.get(), data);
}

// ---- writing --------------------------------------------------------------------------------------------

bool Session::write(PyObject* data) noexcept {
  if (!PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
    const auto name = py::steal(PyType_GetName(Py_TYPE(data)));
    if (name) PyErr_Format(PyExc_TypeError, "data: expecting a bytes-like instance, got %U", name.get());
    return false;
  }
  const int any = PyObject_IsTrue(data);
  if (any <= 0 || is_cleared()) return any >= 0;
  if (!takes_writes()) {
    const auto pieces = py::steal(PyTuple_Pack(1, data));
    return pieces && py::call_method(protocol_.get(), state().names._write_appdata.get(), pieces.get());
  }
  return append(data) ? after_queueing() : report_error();
}

bool Session::writelines(PyObject* pieces) noexcept {
  if (is_cleared()) return true;
  if (!takes_writes()) {
    return static_cast<bool>(py::call_method(protocol_.get(), state().names._write_appdata.get(), pieces));
  }
  const auto list = py::steal(PySequence_List(pieces));
  if (!list) return false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.get()); ++i) {
    // As asyncio: what comes before a wrong piece is sent.
    if (!append(PyList_GET_ITEM(list.get(), i))) return report_error();
  }
  return after_queueing();
}

bool Session::append(PyObject* data) noexcept {
  const py::BufferView view(data, PyBUF_CONTIG_RO);
  if (!view.ok()) return false;
  if (view.size() == 0) return true;
  return py::guard(
      [&] { return queue_.append(PyBytes_CheckExact(data) ? data : nullptr, view.data(), view.size()); });
}

bool Session::after_queueing() noexcept {
  if (phase_ != Phase::kWrapped) return true;  // sent when the handshake is done
  if (!in_ssl_ && (queue_.size() >= kSendAtOnce || queue_.size() > high_ || !loop_->is_running_callbacks())) {
    return flush();
  }
  loop_->call_after_callbacks(*this);
  return true;
}

bool Session::flush() noexcept {
  if (!lower_) return true;
  return send(false) ? control_writing() : report_error();
}

bool Session::send(bool even_if_paused) noexcept {
  if (in_ssl_ || !lower_) return true;
  const py::Ref<> keep_alive = py::share(self_);
  const auto may_send = [this, even_if_paused] { return lower_ && (!lower_paused_ || even_if_paused); };
  const bool may_encrypt = is_open();
  RecordBuffer records;
  bool ok = py::guard([&] {
    std::vector<char>& waiting = channel_.output();
    records.get().assign(waiting.begin(), waiting.end());
    if (waiting.capacity() > 0) std::vector<char>().swap(waiting);  // an idle connection keeps nothing
    return true;
  });
  while (ok && may_encrypt && !queue_.empty() && may_send()) {
    const std::size_t before = queue_.size();
    ok = py::guard([&] { return encrypt(records.get()); });
    const bool stuck = queue_.size() == before;
    if (records.get().size() >= kBatch && !pass_down(records.get())) return false;
    if (stuck) break;
  }
  if (!may_send()) {  // What was encrypted waits with what else OpenSSL writes.
    return ok && py::guard([&] {
             std::vector<char>& rest = channel_.output();
             rest.insert(rest.begin(), records.get().begin(), records.get().end());
             return true;
           });
  }
  if (ok) return pass_down(records.get());
  const py::ErrorStash stash;  // The alert goes out before the connection is closed.
  if (!pass_down(records.get())) PyErr_WriteUnraisable(self_);
  return false;
}

// Once: as much of the first piece as fits into a batch, or a record of several small ones.
bool Session::encrypt(std::vector<char>& records) noexcept {
  std::string_view piece = queue_.front();
  std::array<char, kRecord> joined;
  if (piece.size() < kRecord && queue_.size() > piece.size()) {
    piece = {joined.data(), queue_.peek(joined.data(), joined.size())};
  }
  const OpenSsl& api = openssl();
  std::size_t written = 0;
  int result = 0;
  SslError error = SslError::kSsl;
  {
    const InSsl entered(in_ssl_);
    channel_.divert_output(&records);
    api.ERR_clear_error();
    result = api.SSL_write_ex(ssl_, piece.data(), std::min(piece.size(), kBatch), &written);
    if (result != 1) error = static_cast<SslError>(api.SSL_get_error(ssl_, result));
    channel_.divert_output(nullptr);
  }
  if (result == 1) {
    queue_.consume(written);
    return true;
  }
  if (error == SslError::kWantRead || error == SslError::kWantWrite) return true;
  if (py::call_method_by_format(ssl_object_.get(), "write", "y", "x")) {
    PyErr_SetString(PyExc_OSError, "TLS could not be written");
  }
  return false;
}

bool Session::pass_down(std::vector<char>& records) noexcept {
  if (records.empty() || !lower_) return true;
  if (stream_ != nullptr) {
    const py::Ref<> keep_alive = lower_.share();
    const bool ok = stream_->write_at_once(records.data(), records.size());
    records.clear();
    return ok;
  }
  const auto bytes =
      py::steal(PyBytes_FromStringAndSize(records.data(), static_cast<Py_ssize_t>(records.size())));
  records.clear();
  const py::Ref<> lower = lower_.share();
  return bytes && py::call_method_by_format(lower.get(), "write", "O", bytes.get());
}

void Session::discard_writes() noexcept {
  queue_.clear();
  std::vector<char>().swap(channel_.output());
}

bool Session::control_writing() noexcept {
  const std::size_t size = unsent();
  if (app_paused_ ? size > low_ : size < high_) return true;
  return static_cast<bool>(py::call_method(protocol_.get(), state().names._control_app_writing.get()));
}

bool Session::report_error() noexcept {
  if (!PyErr_ExceptionMatches(PyExc_Exception)) return false;
  const auto exception = py::take_exception();
  const py::HandledException handled(exception.get());
  const py::Ref<> protocol = protocol_.share();
  return static_cast<bool>(
      py::call_method_by_format(protocol.get(), "_fatal_error", "Os", exception.get(), kFatal));
}

}  // namespace veloop::tls
