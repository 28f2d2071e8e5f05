#pragma once
// Socket addresses, between the kernel's form and the objects of Python's socket module.
#include <Python.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "py/ref.hpp"

namespace veloop::net {

// Any address that this module converts, with its length. A value.
struct Address {
  union {
    sockaddr base;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
    sockaddr_storage storage;
  };
  socklen_t length = sizeof(sockaddr_storage);

  Address() noexcept : storage() {}
  [[nodiscard]] int family() const noexcept { return base.sa_family; }
};

// Whether to_python() knows the family; others are left to Python's own socket objects.
[[nodiscard]] constexpr bool is_known_family(int family) noexcept {
  return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

// The address as socket.getsockname() returns it: (host, port), (host, port, flowinfo, scope_id), a path,
// bytes for an abstract name, None for no address. Null, with an error set, on failure.
py::Ref<> to_python(const sockaddr* address, socklen_t length) noexcept;

// The other way round, for the plain forms: literal hosts, ports, paths and abstract names. False, with no
// error set, for anything else (names to look up, zones, mistakes): Python's socket knows what to do or
// raise.
[[nodiscard]] bool try_from_python(int family, PyObject* object, Address& address) noexcept;

}  // namespace veloop::net
