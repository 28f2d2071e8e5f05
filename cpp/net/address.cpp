#include "net/address.hpp"

#include <arpa/inet.h>

#include <cstddef>
#include <cstring>

#include "base/sockets.hpp"

namespace veloop::net {
namespace {

py::Ref<> inet_tuple(const sockaddr_in& address) noexcept {
  char host[INET_ADDRSTRLEN];
  ::inet_ntop(AF_INET, &address.sin_addr, host, sizeof host);
  return py::steal(Py_BuildValue("(si)", host, int{ntohs(address.sin_port)}));
}

py::Ref<> inet6_tuple(const sockaddr_in6& address) noexcept {
  char host[INET6_ADDRSTRLEN];
  ::inet_ntop(AF_INET6, &address.sin6_addr, host, sizeof host);
  return py::steal(Py_BuildValue("(siII)", host, int{ntohs(address.sin6_port)},
                                 static_cast<unsigned>(ntohl(address.sin6_flowinfo)),
                                 static_cast<unsigned>(address.sin6_scope_id)));
}

py::Ref<> local_name(const sockaddr_un& address, socklen_t length) noexcept {
  const std::size_t offset = offsetof(sockaddr_un, sun_path);
  const std::size_t count = length > offset ? length - offset : 0;
  if (count == 0) return py::steal(PyUnicode_FromString(""));
  if (base::kHasAbstractNames && address.sun_path[0] == '\0') {
    return py::steal(PyBytes_FromStringAndSize(address.sun_path, static_cast<Py_ssize_t>(count)));
  }
  return py::steal(PyUnicode_DecodeFSDefaultAndSize(address.sun_path,
                                                    static_cast<Py_ssize_t>(::strnlen(address.sun_path, count))));
}

}  // namespace

py::Ref<> to_python(const sockaddr* address, socklen_t length) noexcept {
  if (length == 0) return py::none();
  switch (address->sa_family) {
    case AF_INET:
      return inet_tuple(*reinterpret_cast<const sockaddr_in*>(address));
    case AF_INET6:
      return inet6_tuple(*reinterpret_cast<const sockaddr_in6*>(address));
    case AF_UNIX:
      return local_name(*reinterpret_cast<const sockaddr_un*>(address), length);
    default:
      PyErr_Format(PyExc_OSError, "address family %d is not supported", int{address->sa_family});
      return {};
  }
}

}  // namespace veloop::net
