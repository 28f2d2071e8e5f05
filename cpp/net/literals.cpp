#include "net/literals.hpp"

#include <arpa/inet.h>

#include <cstdint>

namespace veloop::net {
namespace {

constexpr long kHighestPort = 0xFFFF;
constexpr long kHighestFlowInfo = 0xFFFFF;
constexpr long kHighestScope = 0x7FFFFFFF;
constexpr Py_ssize_t kLongestLiteral = INET6_ADDRSTRLEN - 1;

bool try_exact_int(PyObject* tuple, Py_ssize_t index, long highest, long& value) noexcept {
  PyObject* object = PyTuple_GET_ITEM(tuple, index);
  return PyLong_CheckExact(object) && try_number(object, highest, value);
}

}  // namespace

std::string_view ascii_text(PyObject* object, Py_ssize_t longest) noexcept {
  if (!PyUnicode_CheckExact(object) || !PyUnicode_IS_COMPACT_ASCII(object)) return {};
  const Py_ssize_t length = PyUnicode_GET_LENGTH(object);
  if (length > longest) return {};
  const std::string_view text(static_cast<const char*>(PyUnicode_DATA(object)),
                              static_cast<std::size_t>(length));
  return text.find('\0') == std::string_view::npos ? text : std::string_view();
}

bool try_number(PyObject* object, long highest, long& value) noexcept {
  if (!PyLong_Check(object)) return false;
  int overflow = 0;
  const long number = PyLong_AsLongAndOverflow(object, &overflow);
  if (overflow != 0 || number < 0 || number > highest) return false;
  value = number;
  return true;
}

bool try_host(PyObject* host, Address& address) noexcept {
  const std::string_view text = ascii_text(host, kLongestLiteral);
  if (text.empty()) return false;
  const char* literal = text.data();  // NOLINT(bugprone-suspicious-stringview-data-usage): ends with a zero
  if (::inet_pton(AF_INET, literal, &address.v4.sin_addr) == 1) {
    address.v4.sin_family = AF_INET;
    address.length = sizeof(sockaddr_in);
    return true;
  }
  if (::inet_pton(AF_INET6, literal, &address.v6.sin6_addr) != 1) return false;
  address.v6.sin6_family = AF_INET6;
  address.length = sizeof(sockaddr_in6);
  return true;
}

bool try_address(PyObject* object, int family, Address& address) noexcept {
  if (!PyTuple_CheckExact(object)) return false;
  const Py_ssize_t count = PyTuple_GET_SIZE(object);
  if (count != 2 && !(count == 4 && family == AF_INET6)) return false;
  long port = 0;
  long flow_info = 0;
  long scope = 0;
  if (!try_exact_int(object, 1, kHighestPort, port) || !try_host(PyTuple_GET_ITEM(object, 0), address) ||
      address.family() != family) {
    return false;
  }
  if (count == 4 && (!try_exact_int(object, 2, kHighestFlowInfo, flow_info) ||
                     !try_exact_int(object, 3, kHighestScope, scope))) {
    return false;
  }
  address.v4.sin_port = htons(static_cast<std::uint16_t>(port));  // at the same place in both
  if (family == AF_INET6) {
    address.v6.sin6_flowinfo = htonl(static_cast<std::uint32_t>(flow_info));
    address.v6.sin6_scope_id = static_cast<std::uint32_t>(scope);
  }
  return true;
}

}  // namespace veloop::net
