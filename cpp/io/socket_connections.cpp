// The calls of io/socket_calls.hpp that make connections: accept() and connect().
#include <sys/socket.h>

#include <cerrno>

#include "base/owned_fd.hpp"
#include "base/sockets.hpp"
#include "io/socket_calls.hpp"
#include "py/call.hpp"
#include "py/error.hpp"

namespace veloop::io {
namespace {

#ifdef SOCK_NONBLOCK
constexpr int kNonBlocking = SOCK_NONBLOCK;  // in a socket's type: its timeout is 0, without a system call
#else
constexpr int kNonBlocking = 0;
#endif

// What BlockingIOError and InterruptedError stand for.
bool is_not_yet(int error_number) noexcept {
  return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINPROGRESS ||
         error_number == EALREADY || error_number == EINTR;
}

// The connection as an object of socket.socket, which then owns the descriptor.
py::Ref<> make_socket(const py::State& state, PyObject* listener, base::OwnedFd& connection) noexcept {
  const int family = plain_attribute(state, listener, state.names.family.get());
  const int type = plain_attribute(state, listener, state.names.type.get());
  const int proto = plain_attribute(state, listener, state.names.proto.get());
  if (PyErr_Occurred() != nullptr) return {};
  auto socket = py::steal(PyObject_CallFunction(state.library.socket.get(), "iiii", family,
                                                type | kNonBlocking, proto, connection.get()));
  if (!socket) return {};
  (void)connection.release();
  if (kNonBlocking == 0 && !py::call_method(socket.get(), state.names.setblocking.get(), Py_False)) return {};
  return socket;
}

py::Ref<> tuple_of(const py::Ref<>& first, const py::Ref<>& second) noexcept {
  return first && second ? py::steal(PyTuple_Pack(2, first.get(), second.get())) : py::Ref<>();
}

}  // namespace

Attempt SocketCall::accept(const py::State& state) noexcept {
  // There is no flag for one call that must not wait.
  const int blocking = may_block(state, socket_.get());
  if (blocking < 0) return Attempt::failed();
  if (blocking > 0) {
    by_method_ = true;
    return call_method(state, false);
  }
  net::Address peer;
  const int number = fd(state);
  base::OwnedFd connection = base::accept_nonblocking(number, &peer.base, &peer.length);
  if (!connection) {
    if (is_not_yet(errno)) return Attempt::blocked();
    PyErr_SetFromErrno(PyExc_OSError);
    return Attempt::failed();
  }
  const auto made = make_socket(state, socket_.get(), connection);
  if (!made) return Attempt::failed();
  const auto address = net::is_known_family(peer.family())
                           ? net::to_python(&peer.base, peer.length)
                           : py::call_method(made.get(), state.names.getpeername.get());
  return Attempt::done(tuple_of(made, address));
}

Attempt SocketCall::accept_by_method(const py::State& state) noexcept {
  const auto accepted = py::call_method(socket_.get(), state.names.accept.get());
  if (!accepted) return Attempt::from_error();
  const auto pair = py::steal(PySequence_Tuple(accepted.get()));
  if (!pair) return Attempt::failed();
  if (PyTuple_GET_SIZE(pair.get()) != 2) {
    PyErr_Format(PyExc_ValueError, "accept() returned %zd values instead of 2", PyTuple_GET_SIZE(pair.get()));
    return Attempt::failed();
  }
  PyObject* connection = PyTuple_GET_ITEM(pair.get(), 0);
  if (!py::call_method(connection, state.names.setblocking.get(), Py_False)) return Attempt::from_error();
  return Attempt::done(pair.share());
}

Attempt SocketCall::connect(const py::State& state) noexcept {
  if (!native_address_) return call_method(state, false);
  const int blocking = may_block(state, socket_.get());
  if (blocking < 0) return Attempt::failed();
  if (blocking > 0) return call_method(state, false);
  if (PySys_Audit("socket.connect", "OO", socket_.get(), first_.get()) < 0) return Attempt::failed();
  const int number = fd(state);
  if (::connect(number, &native_address_->base, native_address_->length) == 0)
    return Attempt::done(py::none());
  if (is_not_yet(errno)) return Attempt::blocked();
  PyErr_SetFromErrno(PyExc_OSError);
  return Attempt::failed();
}

// The descriptor became writable: the kernel knows how connecting ended.
Attempt SocketCall::connect_outcome(const py::State& state) noexcept {
  int error_number = 0;
  if (plain_) {
    socklen_t size = sizeof error_number;
    if (::getsockopt(fd(state), SOL_SOCKET, SO_ERROR, &error_number, &size) != 0) {
      PyErr_SetFromErrno(PyExc_OSError);
      return Attempt::from_error();
    }
  } else {
    const auto value =
        py::steal(PyObject_CallMethod(socket_.get(), "getsockopt", "ii", SOL_SOCKET, SO_ERROR));
    if (!value) return Attempt::from_error();
    error_number = static_cast<int>(PyLong_AsLong(value.get()));
    if (error_number == -1 && PyErr_Occurred() != nullptr) return Attempt::failed();
  }
  if (error_number == 0) return Attempt::done(py::none());
  const auto text = py::steal(PyUnicode_FromFormat("Connect call failed %S", first_.get()));
  const auto error =
      text ? py::steal(PyObject_CallFunction(PyExc_OSError, "iO", error_number, text.get())) : py::Ref<>();
  if (error) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
  return Attempt::from_error();
}

}  // namespace veloop::io
