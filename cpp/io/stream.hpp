#pragma once
// StreamTransport: a connected stream socket (TCP or Unix), as asyncio.Transport.
//
// Reading goes straight from the socket into what the protocol gets: an exactly sized bytes object, or the
// buffer of a BufferedProtocol. Writing: what the callbacks of a turn write leaves in one call when the
// turn ends; a large piece, or more than the high-water mark, is sent at once. Whoever looks at the state
// (buffer size, close, end of file) sees it as after sending.
#include <Python.h>

#include <cstddef>
#include <vector>

#include "io/flow_control.hpp"
#include "io/socket_addresses.hpp"
#include "io/transport_base.hpp"
#include "io/write_queue.hpp"
#include "py/ref.hpp"

namespace veloop::io {

// Takes what arrives in place of the protocol's methods, without Python in between: TLS.
class InputSink {
 public:
  // `data` is there for the length of the call. False with an error set.
  [[nodiscard]] virtual bool feed(const char* data, std::size_t count) noexcept = 0;

 protected:
  ~InputSink() = default;
};

class StreamTransport final : public TransportBase, public core::FlushNode {
 public:
  StreamTransport() = default;

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = TransportBase::visit_refs(visit)) return stop;
    if (int stop = addresses_.visit_refs(visit)) return stop;
    if (int stop = flow_.visit_refs(visit)) return stop;
    if (int stop = visit(sink_owner_)) return stop;
    return visit(empty_waiter_);
  }
  static void finalize(PyObject* self);
  static PyObject* repr(PyObject* self);

  // Makes the transport of a socket that Python owns. Null, with an error set, on failure.
  static py::Ref<> from_socket(core::Loop& loop, PyObject* socket, PyObject* protocol, PyObject* waiter,
                               PyObject* extra, PyObject* server, PyObject* context) noexcept;
  // Makes the transport of an accepted connection, which it owns and whose options are set.
  static py::Ref<> from_accepted(core::Loop& loop, base::OwnedFd fd, const net::Address& peer,
                                 const net::Address& local, PyObject* protocol, PyObject* server,
                                 PyObject* context) noexcept;

  void set_protocol(PyObject* protocol) noexcept override;
  [[nodiscard]] bool provide_extra(PyObject* name) noexcept override;
  [[nodiscard]] bool call_connection_lost(PyObject* exception) noexcept override;
  [[nodiscard]] bool settle() noexcept override { return !has_loop() || send_now(); }

  // `sink` lives in `owner`. Null: the protocol gets what arrives, as it does after set_protocol().
  void set_input_sink(InputSink* sink, PyObject* owner) noexcept;

  // -- writing: each returns false with an error set ---------------------------------------------------
  [[nodiscard]] bool write(PyObject* data) noexcept;
  [[nodiscard]] bool writelines(PyObject* pieces) noexcept;
  // Sends at once, from where it is; only what the socket does not take is copied.
  [[nodiscard]] bool write_at_once(const char* data, std::size_t length) noexcept;
  [[nodiscard]] bool write_eof() noexcept;
  [[nodiscard]] bool close() noexcept;
  [[nodiscard]] bool abort() noexcept;
  // asyncio's _force_close() and _fatal_error(), which its SSLProtocol calls.
  [[nodiscard]] bool close_with(PyObject* exception) noexcept;
  [[nodiscard]] bool report_fatal(const char* message) noexcept { return fatal_error(message); }
  // Sends what waits for the end of the turn. False only if an exception must leave the loop.
  [[nodiscard]] bool send_now() noexcept;
  [[nodiscard]] std::size_t write_buffer_size() const noexcept { return queue_.size(); }
  [[nodiscard]] bool eof_written() const noexcept { return eof_written_; }
  [[nodiscard]] FlowControl& flow_control() noexcept { return flow_; }
  [[nodiscard]] bool set_write_buffer_limits(WriteLimits limits) noexcept;

  // -- sendfile: a future that is done when everything was written -------------------------------------
  [[nodiscard]] py::Ref<> make_empty_waiter() noexcept;
  void reset_empty_waiter() noexcept { empty_waiter_.reset(); }

  // core::FlushNode
  [[nodiscard]] PyObject* flush_owner() const noexcept override { return self_; }
  [[nodiscard]] bool flush() noexcept override { return send_now(); }

 protected:
  [[nodiscard]] bool on_readable() noexcept override;
  [[nodiscard]] bool on_writable() noexcept override;
  void discard_writes() noexcept override;

 private:
  enum class Sent { kAll, kBlocked, kFailed };

  [[nodiscard]] bool read_into_bytes() noexcept;
  [[nodiscard]] bool read_into_protocol_buffer() noexcept;
  [[nodiscard]] bool read_into_sink() noexcept;
  [[nodiscard]] bool on_eof() noexcept;
  [[nodiscard]] bool may_write(const char* what) noexcept;
  [[nodiscard]] bool refuse_buffer() noexcept;
  [[nodiscard]] bool append(const Py_buffer& view, bool is_bytes) noexcept;
  [[nodiscard]] bool send_from_place(const char*& data, std::size_t& length) noexcept;
  [[nodiscard]] bool after_append() noexcept;
  [[nodiscard]] bool write_failed(int error_number) noexcept;
  [[nodiscard]] bool everything_sent() noexcept;
  [[nodiscard]] bool shut_down_writing() noexcept;
  [[nodiscard]] bool maybe_pause() noexcept;
  [[nodiscard]] bool maybe_resume() noexcept;
  [[nodiscard]] bool settle_empty_waiter(PyObject* exception) noexcept;
  [[nodiscard]] bool waits_for_writing() const noexcept { return (interest() & core::kWritable) != 0; }

  WriteQueue queue_;
  FlowControl flow_;
  py::Ref<> empty_waiter_;
  py::Ref<> sink_owner_;
  InputSink* sink_ = nullptr;
  SocketAddresses addresses_;
  unsigned calls_held_back_ = 0;  // of write(), since the last attempt to send
  bool buffered_protocol_ = false;
  bool eof_written_ = false;
  bool eof_received_ = false;  // the peer may be gone: a write that fails is to be seen at once
  bool large_reads_ = false;   // the last read filled much of the buffer: read into the final object
};

// The loop's hook `_make_socket_transport`, for the Loop type.
const std::vector<PyMethodDef>& stream_methods();

// Makes the StreamTransport type. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_stream_type(PyObject* module) noexcept;

}  // namespace veloop::io
