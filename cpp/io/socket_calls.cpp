#include "io/socket_calls.hpp"

#include <sys/socket.h>

#include <cerrno>

#include "base/sockets.hpp"
#include "py/call.hpp"
#include "py/error.hpp"

namespace veloop::io {
namespace {

// Repeats a system call that a signal interrupted, after Python's handlers ran; -1 with an error set if one
// of them raised, or with errno set.
template <class Call>
ssize_t uninterrupted(Call&& call) noexcept {
  for (;;) {
    const ssize_t count = call();
    if (count >= 0 || errno != EINTR) return count;
    if (PyErr_CheckSignals() != 0) return -1;
  }
}

bool is_blocked() noexcept { return PyErr_Occurred() == nullptr && base::would_block(); }

Attempt failed_call() noexcept {
  if (PyErr_Occurred() == nullptr) PyErr_SetFromErrno(PyExc_OSError);
  return Attempt::failed();
}

}  // namespace

Attempt Attempt::from_error() noexcept {
  if (!PyErr_ExceptionMatches(PyExc_BlockingIOError) && !PyErr_ExceptionMatches(PyExc_InterruptedError)) {
    return failed();
  }
  PyErr_Clear();
  return blocked();
}

void SocketCall::set_up(const py::State& state, Kind kind, PyObject* socket, PyObject* first,
                        PyObject* second) noexcept {
  kind_ = kind;
  socket_ = py::share(socket);
  first_ = py::share(first);
  second_ = py::share(second);
  plain_ = reinterpret_cast<PyObject*>(Py_TYPE(socket)) == state.library.socket.get();
}

bool SocketCall::complete_arguments() noexcept {
  if (kind_ != Kind::kRecvFromInto) return true;
  const int given = second_ ? PyObject_IsTrue(second_.get()) : 0;
  if (given == 0) {
    const Py_ssize_t size = PyObject_Size(first_.get());
    second_ = size < 0 ? py::Ref<>() : py::steal(PyLong_FromSsize_t(size));
  }
  return given >= 0 && second_;
}

void SocketCall::set_address(py::Ref<> object, const net::Address* native) noexcept {
  first_ = std::move(object);
  if (native != nullptr) native_address_ = *native;
}

Attempt SocketCall::try_first(const py::State& state) noexcept {
  if (!plain_) return call_method(state, false);
  switch (kind_) {
    case Kind::kRecv:
      return recv(state);
    case Kind::kRecvInto:
      return recv_into(state);
    case Kind::kSendAll:
      return send(state);
    case Kind::kAccept:
      return accept(state);
    case Kind::kConnect:
      return connect(state);
    default:
      return call_method(state, false);
  }
}

Attempt SocketCall::try_again(const py::State& state) noexcept {
  if (kind_ == Kind::kConnect) return connect_outcome(state);
  if (!plain_ || by_method_) return call_method(state, true);
  switch (kind_) {
    case Kind::kRecv:
      return recv(state);
    case Kind::kRecvInto:
      return recv_into(state);
    case Kind::kSendAll:
      return send(state);
    case Kind::kAccept:
      return accept(state);
    default:
      return call_method(state, true);
  }
}

int SocketCall::fd(const py::State& state) const noexcept {
  const auto number = py::call_method(socket_.get(), state.names.fileno.get());
  return number ? static_cast<int>(PyLong_AsLong(number.get())) : -1;
}

// A call would block: wait for the descriptor, unless the socket itself is meant to wait.
Attempt SocketCall::fall_back(const py::State& state) noexcept {
  const int blocking = may_block(state, socket_.get());
  if (blocking < 0) return Attempt::failed();
  if (blocking == 0) return Attempt::blocked();
  by_method_ = true;
  return call_method(state, false);
}

Attempt SocketCall::recv(const py::State& state) noexcept {
  // Odd sizes get the errors of socket.recv(); 0 bytes are nothing to ask the kernel for.
  const Py_ssize_t size = PyLong_CheckExact(first_.get()) ? PyLong_AsSsize_t(first_.get()) : -1;
  if (size <= 0) {
    PyErr_Clear();
    by_method_ = true;
    return call_method(state, false);
  }
  PyObject* data = PyBytes_FromStringAndSize(nullptr, size);
  if (data == nullptr) return Attempt::failed();
  const int number = fd(state);
  const ssize_t count = uninterrupted([&] {
    return ::recv(number, PyBytes_AS_STRING(data), static_cast<std::size_t>(size), base::kReceiveFlags);
  });
  if (count < 0) {
    const bool blocked = is_blocked();
    if (!blocked) (void)failed_call();
    py::drop(data);
    return blocked ? fall_back(state) : Attempt::failed();
  }
  if (count != size && _PyBytes_Resize(&data, count) < 0) return Attempt::failed();
  return Attempt::done(py::steal(data));
}

Attempt SocketCall::recv_into(const py::State& state) noexcept {
  const py::BufferView buffer(first_.get(), PyBUF_WRITABLE);
  if (!buffer.ok() || buffer.size() == 0) {
    PyErr_Clear();
    by_method_ = true;
    return call_method(state, false);
  }
  const int number = fd(state);
  const ssize_t count =
      uninterrupted([&] { return ::recv(number, buffer.data(), buffer.size(), base::kReceiveFlags); });
  if (count < 0) return is_blocked() ? fall_back(state) : failed_call();
  return Attempt::done(py::steal(PyLong_FromSsize_t(count)));
}

Attempt SocketCall::send(const py::State& state) noexcept {
  if (!view_) {
    view_.emplace(first_.get(), PyBUF_SIMPLE);
    if (!view_->ok()) {
      PyErr_Clear();
      view_.reset();
      by_method_ = true;
      return call_method(state, false);
    }
  }
  const int number = fd(state);
  const ssize_t count = uninterrupted(
      [&] { return ::send(number, view_->data() + sent_, view_->size() - sent_, base::kSendFlags); });
  if (count < 0) {
    if (!is_blocked()) return failed_call();
    return sent_ == 0 ? fall_back(state) : Attempt::blocked();
  }
  sent_ += static_cast<std::size_t>(count);
  if (sent_ < view_->size()) return Attempt::blocked();
  view_.reset();
  return Attempt::done(py::none());
}

// ---- by the methods of the socket object ---------------------------------------------------------------

Attempt SocketCall::call_method(const py::State& state, bool again) noexcept {
  const py::Names& names = state.names;
  PyObject* socket = socket_.get();
  py::Ref<> result;
  switch (kind_) {
    case Kind::kRecv:
      result = py::call_method(socket, names.recv.get(), first_.get());
      break;
    case Kind::kRecvInto:
      result = py::call_method(socket, names.recv_into.get(), first_.get());
      break;
    case Kind::kRecvFrom:
      result = py::call_method(socket, names.recvfrom.get(), first_.get());
      break;
    case Kind::kRecvFromInto:
      result = py::call_method(socket, names.recvfrom_into.get(), first_.get(), second_.get());
      break;
    case Kind::kSendTo: {
      const auto no_flags = py::steal(PyLong_FromLong(0));
      if (!no_flags) return Attempt::failed();
      result = again
                   ? py::call_method(socket, names.sendto.get(), first_.get(), no_flags.get(), second_.get())
                   : py::call_method(socket, names.sendto.get(), first_.get(), second_.get());
      break;
    }
    case Kind::kSendAll:
      return send_by_method(state, again);
    case Kind::kAccept:
      return accept_by_method(state);
    case Kind::kConnect:
      if (!py::call_method(socket, names.connect.get(), first_.get())) return Attempt::from_error();
      return Attempt::done(py::none());
  }
  return result ? Attempt::done(std::move(result)) : Attempt::from_error();
}

Attempt SocketCall::send_by_method(const py::State& state, bool again) noexcept {
  py::Ref<> rest =
      again ? py::steal(PySequence_GetSlice(second_.get(), static_cast<Py_ssize_t>(sent_), PY_SSIZE_T_MAX))
            : first_.share();
  if (!rest) return Attempt::failed();
  const auto sent = py::call_method(socket_.get(), state.names.send.get(), rest.get());
  Attempt attempt = sent ? Attempt::done(py::none()) : Attempt::from_error();
  if (attempt.kind == Attempt::Kind::kFailed) return attempt;
  const Py_ssize_t count = sent ? PyLong_AsSsize_t(sent.get()) : 0;
  const Py_ssize_t size = PyObject_Size(again ? second_.get() : first_.get());
  if ((count == -1 || size < 0) && PyErr_Occurred() != nullptr) return Attempt::failed();
  sent_ += static_cast<std::size_t>(count);
  if (sent_ == static_cast<std::size_t>(size)) return Attempt::done(py::none());
  if (!again) second_ = py::steal(PyMemoryView_FromObject(first_.get()));
  return second_ ? Attempt::blocked() : Attempt::failed();
}

int plain_attribute(const py::State& state, PyObject* socket, PyObject* name) noexcept {
  PyTypeObject* type = reinterpret_cast<PyTypeObject*>(state.library.socket.get())->tp_base;
  const auto member = py::get_attr(reinterpret_cast<PyObject*>(type), name);
  const descrgetfunc get = member ? Py_TYPE(member.get())->tp_descr_get : nullptr;
  const auto value =
      get != nullptr ? py::steal(get(member.get(), socket, reinterpret_cast<PyObject*>(type))) : py::Ref<>();
  return value ? static_cast<int>(PyLong_AsLong(value.get())) : -1;
}

int may_block(const py::State& state, PyObject* socket) noexcept {
  const auto timeout = py::call_method(socket, state.names.gettimeout.get());
  if (!timeout) return -1;
  if (PyFloat_CheckExact(timeout.get())) return PyFloat_AS_DOUBLE(timeout.get()) != 0.0 ? 1 : 0;
  const auto zero = py::steal(PyLong_FromLong(0));
  return zero ? PyObject_RichCompareBool(timeout.get(), zero.get(), Py_NE) : -1;
}

}  // namespace veloop::io
