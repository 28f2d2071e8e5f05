#include "io/socket_addresses.hpp"

#include <sys/socket.h>

#include <cstring>

#include "py/call.hpp"
#include "py/error.hpp"

namespace veloop::io {
namespace {

// The address by the Python socket's own method; None if that raises OSError, as in asyncio.
py::Ref<> ask_socket(PyObject* socket, PyObject* method) noexcept {
  auto address = py::call_method(socket, method);
  if (address || !PyErr_ExceptionMatches(PyExc_OSError)) return address;
  PyErr_Clear();
  return py::none();
}

// The Python socket that asyncio.TransportSocket wraps; a closed one once the transport is closed.
py::Ref<> python_socket(Descriptor& descriptor, int family, int type, const py::State& state) noexcept {
  if (descriptor.is_open()) return py::share(descriptor.socket(state));
  if (descriptor.closed_file() != nullptr) return py::share(descriptor.closed_file());
  auto closed = py::steal(PyObject_CallFunction(state.library.socket.get(), "ii", family, type));
  if (closed && !py::call_method(closed.get(), state.names.close.get())) return {};
  return closed;
}

}  // namespace

bool SocketAddresses::End::store(const net::Address& address) noexcept {
  if (address.family() == AF_INET || address.family() == AF_INET6) {
    length = address.length;
    std::memcpy(&v6, &address, sizeof v6);
    return true;
  }
  object = net::to_python(&address.base, address.length);
  return static_cast<bool>(object);
}

py::Ref<> SocketAddresses::End::take() noexcept {
  if (object) return object.share();
  if (length == 0) return py::none();
  return net::to_python(reinterpret_cast<const sockaddr*>(&v6), length);
}

bool SocketAddresses::fetch(int fd, PyObject* socket, const py::State& state) noexcept {
  net::Address local;
  if (::getsockname(fd, &local.base, &local.length) != 0) return true;  // sockname and peername are None
  family_ = local.family();
  if (!net::is_known_family(family_)) {
    local_.object = ask_socket(socket, state.names.getsockname.get());
    peer_.object = ask_socket(socket, state.names.getpeername.get());
    return local_.object && peer_.object;
  }
  net::Address peer;
  const bool connected = ::getpeername(fd, &peer.base, &peer.length) == 0;
  return local_.store(local) && (!connected || peer_.store(peer));
}

bool SocketAddresses::set(const net::Address& local, const net::Address& peer) noexcept {
  family_ = local.family();
  return local_.store(local) && peer_.store(peer);
}

bool SocketAddresses::provide(PyObject* name, PyObject* extra, Descriptor& descriptor, int type,
                              const py::State& state) noexcept {
  if (extra == nullptr) return false;
  if (!PyUnicode_Check(name)) return true;
  const py::Names& names = state.names;
  const bool is_socket = PyUnicode_Compare(name, names.socket.get()) == 0;
  const bool is_local = !is_socket && PyUnicode_Compare(name, names.sockname.get()) == 0;
  const bool is_peer = !is_socket && !is_local && PyUnicode_Compare(name, names.peername.get()) == 0;
  if (!is_socket && !is_local && !is_peer) return true;
  const int present = PyDict_Contains(extra, name);
  if (present != 0) return present > 0;
  py::Ref<> value;
  if (is_socket) {
    const auto socket = python_socket(descriptor, family_, type, state);
    if (socket) value = py::call(state.library.transport_socket.get(), socket.get());
  } else {
    value = is_local ? local_.take() : peer_.take();
  }
  return value && PyDict_SetItem(extra, name, value.get()) == 0;
}

}  // namespace veloop::io
