#pragma once
// Addresses that need no resolver, from Python's tuples to the kernel's form. Every function declines,
// without an error, what it does not surely read as the socket module does.
#include <Python.h>

#include <string_view>

#include "net/address.hpp"

namespace veloop::net {

// The text of an ASCII str of at most `longest` characters, followed by a zero; empty for anything else.
std::string_view ascii_text(PyObject* object, Py_ssize_t longest) noexcept;

// An int (or IntEnum) from 0 to `highest`.
[[nodiscard]] bool try_number(PyObject* object, long highest, long& value) noexcept;

// An IPv4 or IPv6 literal without a zone: sets the host and the family of `address`.
[[nodiscard]] bool try_host(PyObject* host, Address& address) noexcept;

// (host, port) or (host, port, flowinfo, scope_id) with a literal of `family`, AF_INET or AF_INET6.
[[nodiscard]] bool try_address(PyObject* object, int family, Address& address) noexcept;

}  // namespace veloop::net
