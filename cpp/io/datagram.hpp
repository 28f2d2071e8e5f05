#pragma once
// DatagramTransport: a datagram socket, as asyncio.DatagramTransport.
//
// An event may bring several datagrams, as long as nobody can tell from asyncio, which receives one per
// event: nothing else waits for its turn, and nothing has changed. Each is sent at once, and waits only if
// the socket has no room. Errors of the network are the protocol's to know (error_received) and end nothing.
//
// Internet and Unix addresses are converted here; sockets of other families, and addresses that are
// more than literals, go through the methods of the Python socket.
#include <Python.h>
#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <vector>

#include "io/flow_control.hpp"
#include "io/socket_addresses.hpp"
#include "io/transport_base.hpp"
#include "net/recent_addresses.hpp"
#include "py/ref.hpp"

namespace veloop::io {

class DatagramTransport final : public TransportBase {
 public:
  DatagramTransport() = default;

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = TransportBase::visit_refs(visit)) return stop;
    if (int stop = addresses_.visit_refs(visit)) return stop;
    for (Datagram& datagram : buffer_) {
      if (int stop = visit(datagram.data)) return stop;
      if (int stop = visit(datagram.address)) return stop;
    }
    if (int stop = flow_.visit_refs(visit)) return stop;
    if (int stop = recent_.visit_refs(visit)) return stop;
    return visit(address_);
  }
  static void finalize(PyObject* self);
  static PyObject* repr(PyObject* self);

  // Makes the transport of a socket that Python owns. `address` is the only one it sends to, or
  // None. Null, with an error set, on failure.
  static py::Ref<> from_socket(core::Loop& loop, PyObject* socket, PyObject* protocol, PyObject* address,
                               PyObject* waiter, PyObject* extra) noexcept;

  [[nodiscard]] bool provide_extra(PyObject* name) noexcept override;

  // Each returns false with an error set.
  [[nodiscard]] bool sendto(PyObject* data, PyObject* address) noexcept;
  [[nodiscard]] bool close() noexcept;
  [[nodiscard]] bool abort() noexcept { return force_close(nullptr); }
  [[nodiscard]] bool call_connection_lost(PyObject* exception) noexcept override;

  [[nodiscard]] PyObject* address() const noexcept { return address_.get(); }
  [[nodiscard]] std::size_t write_buffer_size() const noexcept { return buffer_size_; }
  [[nodiscard]] FlowControl& flow_control() noexcept { return flow_; }
  [[nodiscard]] bool set_write_buffer_limits(WriteLimits limits) noexcept;

 protected:
  [[nodiscard]] bool on_readable() noexcept override;
  [[nodiscard]] bool on_writable() noexcept override;
  void discard_writes() noexcept override;

 private:
  struct Datagram {
    py::Ref<> data;     // bytes
    py::Ref<> address;  // None: to the peer
  };
  enum class Sent { kYes, kBlocked, kError };  // kError: the Python error is set

  [[nodiscard]] bool may_receive_more(const PyObject* context) const noexcept;
  void expect_one(unsigned count) noexcept;
  [[nodiscard]] bool receive(py::Ref<>& data, py::Ref<>& address) noexcept;
  [[nodiscard]] bool receive_by_python(py::Ref<>& data, py::Ref<>& address) noexcept;
  [[nodiscard]] bool tell_error() noexcept;
  [[nodiscard]] bool check_address(PyObject*& address, bool& has_address) noexcept;
  [[nodiscard]] Sent send(PyObject* object, const char* data, std::size_t length, PyObject* address) noexcept;
  [[nodiscard]] Sent send_object(PyObject* object, PyObject* address) noexcept;
  [[nodiscard]] Sent send_by_python(PyObject* object, PyObject* address) noexcept;
  [[nodiscard]] bool append(py::Ref<> bytes, PyObject* address);
  [[nodiscard]] bool maybe_pause() noexcept;
  [[nodiscard]] bool maybe_resume() noexcept;

  std::deque<Datagram> buffer_;
  std::size_t buffer_size_ = 0;
  FlowControl flow_;
  SocketAddresses addresses_;
  net::RecentAddresses recent_;
  py::Ref<> address_;
  unsigned single_events_ = 0;  // so many events to come are taken for one datagram each
  unsigned next_singles_ = 0;   // what that becomes when it is true again
  bool connected_ = false;      // the kernel knows the peer
  bool native_family_ = false;  // addresses are converted here
};

// The loop's hook `_make_datagram_transport`, for the Loop type.
const std::vector<PyMethodDef>& datagram_methods();

// Makes the DatagramTransport type. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_datagram_type(PyObject* module) noexcept;

}  // namespace veloop::io
