#include "net/address.hpp"

#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/sockets.hpp"

namespace veloop::net {
namespace {

// The host as text, ten times faster than inet_ntop(), which is sprintf().
py::Ref<> dotted(const in_addr& address) noexcept {
  std::uint8_t bytes[4];
  std::memcpy(bytes, &address, sizeof bytes);
  char text[INET_ADDRSTRLEN];
  char* end = text;
  for (const unsigned byte : bytes) {
    if (end != text) *end++ = '.';
    if (byte >= 100) *end++ = static_cast<char>('0' + byte / 100);
    if (byte >= 10) *end++ = static_cast<char>('0' + byte / 10 % 10);
    *end++ = static_cast<char>('0' + byte % 10);
  }
  return py::steal(PyUnicode_FromStringAndSize(text, end - text));
}

py::Ref<> inet_tuple(const sockaddr_in& address) noexcept {
  const auto host = dotted(address.sin_addr);
  const auto port = py::steal(PyLong_FromLong(ntohs(address.sin_port)));
  return host && port ? py::steal(PyTuple_Pack(2, host.get(), port.get())) : py::Ref<>();
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
  return py::steal(PyUnicode_DecodeFSDefaultAndSize(
      address.sun_path, static_cast<Py_ssize_t>(::strnlen(address.sun_path, count))));
}

// An int from 0 to `most`.
bool to_number(PyObject* object, unsigned long most, unsigned long& number) noexcept {
  if (!PyLong_CheckExact(object)) return false;
  number = PyLong_AsUnsignedLong(object);
  if (PyErr_Occurred() == nullptr) return number <= most;
  PyErr_Clear();
  return false;
}

bool to_host(int family, PyObject* object, void* place) noexcept {
  if (!PyUnicode_CheckExact(object) || !PyUnicode_IS_ASCII(object)) return false;
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &size);
  // With a zero inside it is longer than it looks.
  return text != nullptr && std::strlen(text) == static_cast<std::size_t>(size) &&
         ::inet_pton(family, text, place) == 1;
}

bool to_port(PyObject* object, in_port_t& port) noexcept {
  unsigned long number = 0;
  if (!to_number(object, 0xFFFF, number)) return false;
  port = htons(static_cast<std::uint16_t>(number));
  return true;
}

bool to_inet(PyObject* tuple, Address& address) noexcept {
  address.length = sizeof address.v4;
  return PyTuple_GET_SIZE(tuple) == 2 && to_host(AF_INET, PyTuple_GET_ITEM(tuple, 0), &address.v4.sin_addr) &&
         to_port(PyTuple_GET_ITEM(tuple, 1), address.v4.sin_port);
}

bool to_inet6(PyObject* tuple, Address& address) noexcept {
  const Py_ssize_t count = PyTuple_GET_SIZE(tuple);
  unsigned long flow = 0;
  unsigned long scope = 0;
  address.length = sizeof address.v6;
  if (count < 2 || count > 4 || !to_host(AF_INET6, PyTuple_GET_ITEM(tuple, 0), &address.v6.sin6_addr) ||
      !to_port(PyTuple_GET_ITEM(tuple, 1), address.v6.sin6_port) ||
      (count > 2 && !to_number(PyTuple_GET_ITEM(tuple, 2), 0xFFFFF, flow)) ||
      (count > 3 && !to_number(PyTuple_GET_ITEM(tuple, 3), 0xFFFFFFFF, scope))) {
    return false;
  }
  address.v6.sin6_flowinfo = htonl(static_cast<std::uint32_t>(flow));
  address.v6.sin6_scope_id = static_cast<std::uint32_t>(scope);
  return true;
}

bool to_local(PyObject* object, Address& address) noexcept {
  py::Ref<> bytes;
  if (PyUnicode_CheckExact(object)) {
    bytes = py::steal(PyUnicode_EncodeFSDefault(object));
    if (!bytes) PyErr_Clear();
  } else if (PyBytes_CheckExact(object)) {
    bytes = py::share(object);
  }
  if (!bytes) return false;
  const auto count = static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get()));
  const char* path = PyBytes_AS_STRING(bytes.get());
  // A path ends with a zero, which counts; an abstract name begins with one and is as long as it is.
  const bool is_abstract = base::kHasAbstractNames && count > 0 && path[0] == '\0';
  if (count == 0 || count + (is_abstract ? 0 : 1) > sizeof address.local.sun_path) return false;
  std::memcpy(address.local.sun_path, path, count);
  if (!is_abstract) address.local.sun_path[count] = '\0';
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + count + (is_abstract ? 0 : 1));
  return true;
}

}  // namespace

bool try_from_python(int family, PyObject* object, Address& address) noexcept {
  address.base.sa_family = static_cast<sa_family_t>(family);
  switch (family) {
    case AF_INET:
      return PyTuple_CheckExact(object) && to_inet(object, address);
    case AF_INET6:
      return PyTuple_CheckExact(object) && to_inet6(object, address);
    case AF_UNIX:
      return to_local(object, address);
    default:
      return false;
  }
}

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
