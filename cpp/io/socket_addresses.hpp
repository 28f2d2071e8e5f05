#pragma once
// What get_extra_info() tells of a socket: 'socket', 'sockname', 'peername'. The addresses are taken when
// the transport is made, for a peer that resets takes its address with it, and become Python objects when
// somebody asks.
#include <Python.h>
#include <netinet/in.h>

#include "io/descriptor.hpp"
#include "net/address.hpp"
#include "py/ref.hpp"
#include "py/state.hpp"

namespace veloop::io {

class SocketAddresses {
 public:
  // Asks the kernel; `socket` answers for families that net::to_python() does not know. False, with an
  // error set, on failure.
  [[nodiscard]] bool fetch(int fd, PyObject* socket, const py::State& state) noexcept;
  // Takes what accept() and the listening socket told.
  [[nodiscard]] bool set(const net::Address& local, const net::Address& peer) noexcept;

  [[nodiscard]] int family() const noexcept { return family_; }
  [[nodiscard]] bool has_peer() const noexcept { return peer_.known(); }

  // Puts `name` into the dictionary `extra`, if it is one of the three and not there yet. `type` is
  // that of the socket.
  [[nodiscard]] bool provide(PyObject* name, PyObject* extra, Descriptor& descriptor, int type,
                             const py::State& state) noexcept;

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = visit(local_.object)) return stop;
    return visit(peer_.object);
  }

 private:
  // Internet addresses as the kernel gave them (28 bytes at most), others as the Python object.
  struct End {
    union {
      sockaddr_in v4;
      sockaddr_in6 v6;
    };
    socklen_t length = 0;
    py::Ref<> object;

    End() noexcept : v6() {}
    [[nodiscard]] bool known() const noexcept { return length > 0 || (object && object.get() != Py_None); }
    [[nodiscard]] bool store(const net::Address& address) noexcept;
    [[nodiscard]] py::Ref<> take() noexcept;
  };

  End local_;
  End peer_;
  int family_ = AF_UNSPEC;
};

}  // namespace veloop::io
