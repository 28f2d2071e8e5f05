#pragma once
// Session: one TLS connection between a transport and a protocol; the part that runs once per record.
//
// The ssl module has made and configured the SSL object and takes it through the handshake and the shutdown;
// asyncio's SSLProtocol (python/veloop/_tls.py) knows when. In between, what arrives is decrypted straight
// into what the application's protocol gets, and what the application writes in one turn is encrypted
// together and sent at its end.
#include <Python.h>

#include <cstddef>
#include <vector>

#include "core/loop.hpp"
#include "io/stream.hpp"
#include "io/write_queue.hpp"
#include "py/ref.hpp"
#include "tls/channel.hpp"

namespace veloop::tls {

class Session final : public core::FlushNode, public io::InputSink {
 public:
  // As asyncio's SSLProtocolState.
  enum class Phase : unsigned char { kUnwrapped, kHandshake, kWrapped, kFlushing, kShutdown };

  Session() = default;

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = visit(loop_object_)) return stop;
    if (int stop = visit(ssl_object_)) return stop;
    if (int stop = visit(protocol_)) return stop;
    if (int stop = visit(app_)) return stop;
    if (int stop = visit(failure_)) return stop;
    return visit(lower_);
  }

  // A session for the SSL object that this thread has made last, if it is that of `ssl_object` (an
  // _ssl._SSLSocket); else None. Null with an error set.
  static py::Ref<> adopt(core::Loop& loop, PyObject* loop_object, PyObject* ssl_object,
                         PyObject* protocol) noexcept;

  // -- set up by the protocol ---------------------------------------------------------------------------
  void set_app(PyObject* app, bool is_buffered) noexcept;
  // `transport` carries the records; None: it is gone, and so is the application.
  void attach(PyObject* transport) noexcept;
  void set_phase(Phase phase) noexcept { phase_ = phase; }
  void set_reading_paused(bool paused) noexcept { reading_paused_ = paused; }
  void set_lower_paused(bool paused) noexcept { lower_paused_ = paused; }
  void set_app_paused(bool paused) noexcept { app_paused_ = paused; }
  void set_water_marks(std::size_t high, std::size_t low) noexcept { high_ = high, low_ = low; }

  // -- reading: false with an error set -------------------------------------------------------------------
  [[nodiscard]] bool feed(const char* data, std::size_t count) noexcept override;
  // Keeps bytes for later.
  [[nodiscard]] bool keep(const char* data, std::size_t count) noexcept;
  // Decrypts and delivers what is there, until the protocol pauses reading.
  [[nodiscard]] bool read() noexcept;
  [[nodiscard]] std::size_t unread() const noexcept { return channel_.unread(); }

  // -- writing: false with an error set -------------------------------------------------------------------
  [[nodiscard]] bool write(PyObject* data) noexcept;
  [[nodiscard]] bool writelines(PyObject* pieces) noexcept;
  // Encrypts and sends what waits; unless `even_if_paused`, only while the transport has room.
  [[nodiscard]] bool send(bool even_if_paused) noexcept;
  [[nodiscard]] std::size_t held() const noexcept { return queue_.size(); }
  [[nodiscard]] std::size_t unsent() noexcept { return queue_.size() + channel_.output().size(); }
  void discard_writes() noexcept;

  // core::FlushNode
  [[nodiscard]] PyObject* flush_owner() const noexcept override { return self_; }
  [[nodiscard]] bool flush() noexcept override;

 private:
  enum class Outcome : unsigned char { kFull, kNothingMore, kClosed, kFailed };

  // The collector has taken its references away.
  [[nodiscard]] bool is_cleared() const noexcept { return !loop_object_; }
  // The handshake is done, and the shutdown has not begun.
  [[nodiscard]] bool is_open() const noexcept {
    return phase_ == Phase::kWrapped || phase_ == Phase::kFlushing;
  }
  // What is written now is for the peer; else asyncio counts it.
  [[nodiscard]] bool takes_writes() const noexcept {
    return phase_ == Phase::kWrapped || phase_ == Phase::kHandshake;
  }
  [[nodiscard]] const py::State& state() const noexcept { return loop_->state(); }
  // Fills `into` as far as it goes. kFailed: the exception for it is in `failure_`.
  [[nodiscard]] Outcome decrypt(char* into, std::size_t size, std::size_t& count) noexcept;
  // Each decrypts once and calls the application's protocol. False with an error set.
  [[nodiscard]] bool deliver_small(Outcome& outcome) noexcept;
  [[nodiscard]] bool deliver_large(Outcome& outcome) noexcept;
  [[nodiscard]] bool deliver_into_buffer(Outcome& outcome) noexcept;
  [[nodiscard]] bool call_data_received(PyObject* data) noexcept;
  [[nodiscard]] bool process_input() noexcept;
  [[nodiscard]] bool append(PyObject* data) noexcept;
  [[nodiscard]] bool after_queueing() noexcept;
  [[nodiscard]] bool encrypt(std::vector<char>& records) noexcept;
  [[nodiscard]] bool pass_down(std::vector<char>& records) noexcept;
  [[nodiscard]] bool control_writing() noexcept;
  // Takes the current error to the protocol's _fatal_error(); false if it is none for it.
  [[nodiscard]] bool report_error() noexcept;

  PyObject* self_ = nullptr;
  core::Loop* loop_ = nullptr;
  py::Ref<> loop_object_;
  py::Ref<> ssl_object_;                   // keeps ssl_
  py::Ref<> protocol_;                     // asyncio's SSLProtocol
  py::Ref<> app_;                          // the application's protocol
  py::Ref<> lower_;                        // the transport that carries the records
  io::StreamTransport* stream_ = nullptr;  // the same, if it is native
  py::Ref<> failure_;  // what decrypting has ended with: told behind the data that came before
  Ssl* ssl_ = nullptr;
  Channel channel_;
  io::WriteQueue queue_;  // not encrypted yet
  std::size_t high_ = 0;
  std::size_t low_ = 0;
  Phase phase_ = Phase::kUnwrapped;
  bool app_is_buffered_ = false;
  bool reading_paused_ = false;
  bool lower_paused_ = false;
  bool app_paused_ = false;
  bool in_ssl_ = false;  // OpenSSL may call back into Python, and must not be entered again
};

}  // namespace veloop::tls
