#pragma once
// Listener: accepts the connections of one listening socket and makes their transports.
//
// A plain connection becomes a StreamTransport without any Python socket in between; a TLS connection is
// handed to asyncio's own _accept_connection2(). When descriptors run out the listener pauses for a second
// instead of spinning, as asyncio does.
#include <Python.h>

#include <vector>

#include "base/owned_fd.hpp"
#include "core/loop.hpp"
#include "io/descriptor.hpp"
#include "io/descriptors.hpp"
#include "net/address.hpp"
#include "py/ref.hpp"

namespace veloop::io {

class Listener final : public core::Watcher, public core::Task {
 public:
  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  template <class V>
  int visit_refs(V&& visit) {
    for (py::Ref<>* ref : {&loop_object_, &protocol_factory_, &server_, &ssl_arguments_, &context_}) {
      if (int stop = visit(*ref)) return stop;
    }
    return descriptor_.visit_refs(visit);
  }

  struct Arguments {
    PyObject* protocol_factory;
    PyObject* socket;
    PyObject* server;
    long backlog;
    PyObject* ssl_arguments;  // None, or (sslcontext, handshake timeout, shutdown timeout)
    PyObject* context;        // None, or what each connection's own context is a copy of
  };
  // Starts accepting. Whoever started it keeps it; dropping it stops it. Null, with an error set, on failure.
  static py::Ref<> start(core::Loop& loop, const Arguments& arguments) noexcept;
  // Stops accepting; the socket stays open.
  void stop() noexcept;
  // Watches again, after a pause, unless it was stopped meanwhile.
  [[nodiscard]] bool resume() noexcept;

  [[nodiscard]] PyObject* owner() const noexcept override { return self_; }
  [[nodiscard]] bool perform() noexcept override;
  void on_events(unsigned events) noexcept override;
  void on_interest_lost(unsigned) noexcept override {}

 private:
  [[nodiscard]] bool accept_waiting() noexcept;
  [[nodiscard]] bool on_accept_error(int error_number) noexcept;
  [[nodiscard]] bool connect_plain(base::OwnedFd fd, const net::Address& peer, PyObject* context) noexcept;
  [[nodiscard]] bool connect_by_python(base::OwnedFd fd, const net::Address& peer,
                                       PyObject* context) noexcept;
  [[nodiscard]] bool find_local_address(int fd, net::Address& local) const noexcept;
  [[nodiscard]] bool expects_one() noexcept;
  void provide_nodelay(int fd, int family) noexcept;

  PyObject* self_ = nullptr;
  core::Loop* loop_ = nullptr;
  py::Ref<> loop_object_;
  py::Ref<> protocol_factory_;
  Descriptor descriptor_;  // of the socket that was given to us
  py::Ref<> server_;
  py::Ref<> ssl_arguments_;
  py::Ref<> context_;           // protocols are made where the server was made
  bool gives_context_ = false;  // and, from Python 3.15 on, all their callbacks run there
  net::Address local_;
  bool local_is_exact_ = false;   // not a wildcard: accepted connections have the same address
  unsigned events_with_one_ = 0;  // in a row, up to now, that brought one connection each
  unsigned unchecked_ = 0;        // of which were not looked behind
  long backlog_ = 0;
  bool inherits_nodelay_ = false;  // its connections are born with TCP_NODELAY
  bool queued_ = false;
  bool stopped_ = false;
};

// `_serve(protocol_factory, sock, server, backlog, ssl_arguments, context)`, for the Loop type.
const std::vector<PyMethodDef>& listener_methods();

// Makes the Listener type. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_listener_type(PyObject* module) noexcept;

}  // namespace veloop::io
