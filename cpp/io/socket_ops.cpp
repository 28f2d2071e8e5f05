#include "io/socket_ops.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "core/callback.hpp"
#include "core/loop.hpp"
#include "core/loop_type.hpp"
#include "io/descriptors.hpp"
#include "io/socket_calls.hpp"
#include "net/literals.hpp"
#include "py/call.hpp"
#include "py/coroutine.hpp"
#include "py/error.hpp"
#include "py/method.hpp"
#include "py/type.hpp"

namespace veloop::io {
namespace {

using Kind = SocketCall::Kind;

constexpr std::size_t kMostArguments = 3;

// What is the same for every call of one method.
struct Method {
  const char* name;
  const char* qualified_name;
  Kind kind;
  std::array<const char*, kMostArguments> arguments;
  std::size_t required;
  unsigned direction;
};

constexpr Method kMethods[] = {
    {"sock_recv", "BaseSelectorEventLoop.sock_recv", Kind::kRecv, {"sock", "n"}, 2, core::kReadable},
    {"sock_recv_into",
     "BaseSelectorEventLoop.sock_recv_into",
     Kind::kRecvInto,
     {"sock", "buf"},
     2,
     core::kReadable},
    {"sock_recvfrom",
     "BaseSelectorEventLoop.sock_recvfrom",
     Kind::kRecvFrom,
     {"sock", "bufsize"},
     2,
     core::kReadable},
    {"sock_recvfrom_into",
     "BaseSelectorEventLoop.sock_recvfrom_into",
     Kind::kRecvFromInto,
     {"sock", "buf", "nbytes"},
     2,
     core::kReadable},
    {"sock_sendall",
     "BaseSelectorEventLoop.sock_sendall",
     Kind::kSendAll,
     {"sock", "data"},
     2,
     core::kWritable},
    {"sock_sendto",
     "BaseSelectorEventLoop.sock_sendto",
     Kind::kSendTo,
     {"sock", "data", "address"},
     3,
     core::kWritable},
    {"sock_connect",
     "BaseSelectorEventLoop.sock_connect",
     Kind::kConnect,
     {"sock", "address"},
     2,
     core::kWritable},
    {"sock_accept", "BaseSelectorEventLoop.sock_accept", Kind::kAccept, {"sock"}, 1, core::kReadable},
};

class SocketOp {
 public:
  static constexpr const char* kTypeName = "veloop._native.SocketOp";

  void set_up(core::Loop& loop, const Method& method, PyObject* const* arguments) noexcept {
    loop_ = &loop;
    loop_object_ = py::share(loop.self());
    method_ = &method;
    call_.set_up(loop.state(), method.kind, arguments[0], arguments[1], arguments[2]);
  }

  // ---- as the body of a coroutine ----
  const char* name() const noexcept { return method_->name; }
  const char* qualified_name() const noexcept { return method_->qualified_name; }
  py::Step start(PyObject* self) noexcept {
    self_ = self;
    if (!check_socket() || !call_.complete_arguments()) return py::Step::raises();
    return call_.kind() == Kind::kConnect ? resolve() : first_try();
  }
  py::Step resume(py::Ref<> value) noexcept {
    if (is_resolving_) return connect_to_first_of(value.get());
    stop_waiting();
    return py::Step::returns(std::move(value));
  }
  void abandon() noexcept {
    stop_waiting();
    call_.release_buffer();
  }

  // The descriptor is ready. False, with an error set, if the loop has to hear of it.
  [[nodiscard]] bool on_ready() noexcept;

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = visit(loop_object_)) return stop;
    if (int stop = visit(future_)) return stop;
    if (int stop = visit(handle_)) return stop;
    return call_.visit_refs(visit);
  }

 private:
  [[nodiscard]] const py::State& state() const noexcept { return loop_->state(); }
  // Somebody will probably read next: the kernel's registration may linger.
  [[nodiscard]] bool leads_to_reading() const noexcept {
    return method_->direction == core::kReadable || method_->kind == Kind::kConnect;
  }
  [[nodiscard]] bool check_socket() noexcept;
  [[nodiscard]] py::Step first_try() noexcept;
  [[nodiscard]] py::Step wait() noexcept;
  void stop_waiting(bool may_linger = false) noexcept;
  [[nodiscard]] py::Step resolve() noexcept;
  [[nodiscard]] bool try_literal() noexcept;
  [[nodiscard]] py::Step connect_to_first_of(PyObject* resolved) noexcept;

  core::Loop* loop_ = nullptr;
  py::Ref<> loop_object_;     // keeps *loop_ alive
  PyObject* self_ = nullptr;  // the coroutine we are a part of
  const Method* method_ = nullptr;
  SocketCall call_;
  py::Ref<> future_;  // what we yielded, while we wait
  py::Ref<> handle_;  // our place among the readers or writers
  int fd_ = -1;       // the number we registered
  bool is_resolving_ = false;
};

using Op = py::Coroutine<SocketOp>;

// ---- the first step ------------------------------------------------------------------------------------

bool SocketOp::check_socket() noexcept {
  if (!call_.is_plain()) {
    const auto base_events = py::steal(PyImport_ImportModule("asyncio.base_events"));
    if (!base_events ||
        !py::call_method(base_events.get(), state().names._check_ssl_socket.get(), call_.socket())) {
      return false;
    }
  }
  if (!loop_->debug()) return true;
  const int blocking = may_block(state(), call_.socket());
  if (blocking > 0) PyErr_SetString(PyExc_ValueError, "the socket must be non-blocking");
  return blocking == 0;
}

py::Step SocketOp::first_try() noexcept {
  Attempt attempt = call_.try_first(state());
  if (attempt.kind == Attempt::Kind::kBlocked) return wait();
  return py::Step::returns(std::move(attempt.value));
}

// ---- waiting -------------------------------------------------------------------------------------------

PyObject* on_ready(PyObject* self, PyObject*) {
  return Op::of(self).body.on_ready() ? py::new_ref(Py_None) : nullptr;
}

PyMethodDef kOnReady = {"_sock_ready", on_ready, METH_NOARGS, nullptr};

py::Step SocketOp::wait() noexcept {
  const py::Names& names = state().names;
  auto future = py::call_method(loop_->self(), names.create_future.get());
  const auto number = future ? py::call_method(call_.socket(), names.fileno.get()) : py::Ref<>();
  const int fd = number ? descriptor_number(number.get()) : -1;
  if (fd < 0) return py::Step::raises();
  const bool registered = py::guard([&] {
    Descriptors& descriptors = Descriptors::of(*loop_);
    if (descriptors.user_of(fd) != nullptr &&
        !py::call_method(loop_->self(), names._ensure_fd_no_transport.get(), number.get())) {
      return false;
    }
    if (!core::check_open(*loop_)) return false;
    const auto function = py::steal(PyCFunction_New(&kOnReady, self_));
    core::Callback* handle =
        function ? core::new_callback(*loop_, function.get(), nullptr, 0, nullptr) : nullptr;
    if (handle == nullptr) return false;
    handle_ = py::steal(handle->self);
    core::show_to_collector(*handle);
    if (leads_to_reading() && call_.drains()) {
      return descriptors.wait_for(fd, method_->direction, *handle);
    }
    return descriptors.set_handle(fd, method_->direction, *handle, nullptr);
  });
  if (!registered) {
    handle_.reset();
    return py::Step::raises();
  }
  fd_ = fd;
  future_ = std::move(future);
  return py::Step::awaits(py::awaitable_iterator(future_.get()));
}

// Gives our place up, unless somebody else took it (then our handle is cancelled).
void SocketOp::stop_waiting(bool may_linger) noexcept {
  const py::Ref<> object = std::move(handle_);
  core::Callback* handle = object ? core::as_callback(state(), object.get()) : nullptr;
  if (handle == nullptr || handle->cancelled) return;
  py::guard([&] {
    Descriptors::of(*loop_).leave(fd_, method_->direction, *handle, may_linger);
    return true;
  });
}

bool is_end(PyObject* received) noexcept {
  return PyBytes_Check(received) && PyBytes_GET_SIZE(received) == 0;
}

bool SocketOp::on_ready() noexcept {
  if (!future_) return true;
  const py::Names& names = state().names;
  const auto done = py::call_method(future_.get(), names.done.get());
  const int is_done = done ? PyObject_IsTrue(done.get()) : -1;
  if (is_done < 0) return false;
  if (is_done == 1) {  // Cancelled in this turn: what is there to read is not ours any more.
    stop_waiting();
    return true;
  }
  const Attempt attempt = call_.try_again(state());
  if (attempt.kind == Attempt::Kind::kBlocked) return true;
  if (attempt.kind == Attempt::Kind::kFailed && py::is_exit_request()) return false;
  const py::Ref<> error = attempt.kind == Attempt::Kind::kFailed ? py::take_exception() : py::Ref<>();
  // Who has received something will probably ask for more, and who has connected will read; who has come to
  // the end will not.
  stop_waiting(leads_to_reading() && attempt.value && !is_end(attempt.value.get()));
  call_.release_buffer();
  const py::Ref<> future = std::move(future_);
  return static_cast<bool>(error
                               ? py::call_method(future.get(), names.set_exception.get(), error.get())
                               : py::call_method(future.get(), names.set_result.get(), attempt.value.get()));
}

// ---- connecting ----------------------------------------------------------------------------------------

py::Step SocketOp::resolve() noexcept {
  const py::Names& names = state().names;
  PyObject* socket = call_.socket();
  if (call_.is_plain() && try_literal()) return first_try();
  if (PyErr_Occurred() != nullptr) return py::Step::raises();
  const auto family = py::get_attr(socket, names.family.get());
  if (!family) return py::Step::raises();
  int overflow = 0;
  const long number = PyLong_Check(family.get()) ? PyLong_AsLongAndOverflow(family.get(), &overflow) : -1;
  if (number != AF_INET && number != AF_INET6) return first_try();
  const auto type = py::get_attr(socket, names.type.get());
  const auto proto = type ? py::get_attr(socket, names.proto.get()) : py::Ref<>();
  const auto method = proto ? py::get_attr(loop_->self(), names._ensure_resolved.get()) : py::Ref<>();
  if (!method) return py::Step::raises();
  const auto arguments = py::steal(PyTuple_Pack(1, call_.address()));
  const auto keywords = py::steal(Py_BuildValue("{sOsOsOsO}", "family", family.get(), "type", type.get(),
                                                "proto", proto.get(), "loop", loop_->self()));
  if (!arguments || !keywords) return py::Step::raises();
  const auto coroutine = py::call_with(method.get(), arguments.get(), keywords.get());
  if (!coroutine) return py::Step::raises();
  is_resolving_ = true;
  return py::Step::awaits(py::awaitable_iterator(coroutine.get()));
}

// Addresses that asyncio's _ipaddr_info() takes as they are. False if this is none, or with an error set.
bool SocketOp::try_literal() noexcept {
  const py::Names& names = state().names;
  const int family = plain_attribute(state(), call_.socket(), names.family.get());
  if (family != AF_INET && family != AF_INET6) return false;
  const int type = plain_attribute(state(), call_.socket(), names.type.get());
  const int proto = plain_attribute(state(), call_.socket(), names.proto.get());
  if ((type != SOCK_STREAM && type != SOCK_DGRAM) ||
      (proto != 0 && proto != IPPROTO_TCP && proto != IPPROTO_UDP)) {
    return false;
  }
  net::Address address;
  PyObject* given = call_.address();
  if (!net::try_address(given, family, address)) return false;
  py::Ref<> object = py::share(given);
  if (family == AF_INET6 && PyTuple_GET_SIZE(given) == 2) {
    object = py::steal(Py_BuildValue("(OOii)", PyTuple_GET_ITEM(given, 0), PyTuple_GET_ITEM(given, 1), 0, 0));
    if (!object) return false;
  }
  call_.set_address(std::move(object), &address);
  return true;
}

py::Step SocketOp::connect_to_first_of(PyObject* resolved) noexcept {
  is_resolving_ = false;
  const auto first = py::steal(PySequence_GetItem(resolved, 0));
  auto address = first ? py::steal(PySequence_GetItem(first.get(), 4)) : py::Ref<>();
  if (!address) return py::Step::raises();
  call_.set_address(std::move(address), nullptr);
  return first_try();
}

// ---- the methods ---------------------------------------------------------------------------------------

// Puts the arguments in the order of Method::arguments. False, with TypeError set, if they do not fit.
bool parse(const Method& method, PyObject* const* args, Py_ssize_t count, PyObject* keywords,
           std::array<PyObject*, kMostArguments>& values) noexcept {
  std::size_t known = 0;
  while (known < kMostArguments && method.arguments[known] != nullptr)
    ++known;
  const auto given = static_cast<std::size_t>(count);
  if (given > known) {
    PyErr_Format(PyExc_TypeError, "%s() takes %zu positional arguments but %zu were given",
                 method.qualified_name, known + 1, given + 1);
    return false;
  }
  for (std::size_t i = 0; i < given; ++i)
    values[i] = args[i];
  const Py_ssize_t keyword_count = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
  for (Py_ssize_t k = 0; k < keyword_count; ++k) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, k);
    std::size_t i = 0;
    while (i < known && PyUnicode_CompareWithASCIIString(keyword, method.arguments[i]) != 0)
      ++i;
    if (i == known || values[i] != nullptr) {
      PyErr_Format(PyExc_TypeError,
                   i == known ? "%s() got an unexpected keyword argument '%U'"
                              : "%s() got multiple values for argument '%U'",
                   method.qualified_name, keyword);
      return false;
    }
    values[i] = args[count + k];
  }
  for (std::size_t i = 0; i < method.required; ++i) {
    if (values[i] != nullptr) continue;
    PyErr_Format(PyExc_TypeError, "%s() missing 1 required positional argument: '%s'", method.qualified_name,
                 method.arguments[i]);
    return false;
  }
  return true;
}

template <std::size_t Index>
PyObject* make_op(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  core::Loop& loop = core::loop_of(self);
  const Method& method = kMethods[Index];
  std::array<PyObject*, kMostArguments> values = {};
  if (!parse(method, args, count, keywords, values)) return nullptr;
  PyObject* op = py::new_object<Op>(loop.state().types.socket_op.get());
  if (op != nullptr) Op::of(op).body.set_up(loop, method, values.data());
  return op;
}

template <std::size_t Index>
PyMethodDef method_def(const char* doc) noexcept {
  return {kMethods[Index].name, py::as_method(make_op<Index>), METH_FASTCALL | METH_KEYWORDS, doc};
}

}  // namespace

const std::vector<PyMethodDef>& socket_methods() {
  static const std::vector<PyMethodDef> methods = {
      method_def<0>(
          "sock_recv($self, sock, n)\n--\n\n"
          "Receive up to `n` bytes from a non-blocking socket; a coroutine that returns bytes, b'' at the\n"
          "end of the stream. Raises OSError, RuntimeError if a transport uses the socket."),
      method_def<1>(
          "sock_recv_into($self, sock, buf)\n--\n\n"
          "Receive into a writable buffer; a coroutine that returns the number of bytes. See sock_recv()."),
      method_def<2>("sock_recvfrom($self, sock, bufsize)\n--\n\n"
                    "Receive a datagram of up to `bufsize` bytes; a coroutine that returns (data, address)."),
      method_def<3>(
          "sock_recvfrom_into($self, sock, buf, nbytes=0)\n--\n\n"
          "Receive a datagram of up to `nbytes` bytes (0: as many as fit) into a writable buffer; a\n"
          "coroutine that returns (number of bytes, address)."),
      method_def<4>(
          "sock_sendall($self, sock, data)\n--\n\n"
          "Send all of `data`, a bytes-like object, to a connected socket; a coroutine. Raises OSError:\n"
          "how much was sent by then is unknown. The data must not change before the end."),
      method_def<5>("sock_sendto($self, sock, data, address)\n--\n\n"
                    "Send a datagram to `address`; a coroutine that returns the number of bytes sent."),
      method_def<6>("sock_connect($self, sock, address)\n--\n\n"
                    "Connect a non-blocking socket; a coroutine. Host names are resolved. Raises OSError."),
      method_def<7>("sock_accept($self, sock)\n--\n\n"
                    "Accept a connection of a listening non-blocking socket; a coroutine that returns\n"
                    "(connection, address), the connection being non-blocking. Raises OSError."),
  };
  return methods;
}

py::Ref<PyTypeObject> make_socket_op_type(PyObject* module) noexcept {
  return py::make_coroutine_type<SocketOp>(module);
}

}  // namespace veloop::io
