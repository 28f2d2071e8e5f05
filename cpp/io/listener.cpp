#include "io/listener.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/sockets.hpp"
#include "core/loop_type.hpp"
#include "io/stream.hpp"
#include "io/transport_members.hpp"
#include "py/call.hpp"
#include "py/context.hpp"
#include "py/error.hpp"
#include "py/os_error.hpp"
#include "py/type.hpp"

namespace veloop::io {

using core::kReadable;

namespace {

bool out_of_resources(int error_number) noexcept {
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOBUFS ||
         error_number == ENOMEM;
}

// A server whose connections come one by one is spared the accept() that finds nothing. Who does wait behind
// the first is reported by the next poll; from time to time it is looked all the same.
constexpr unsigned kEventsWithOne = 16;
constexpr unsigned kUncheckedEvents = 8;

bool is_wildcard(const net::Address& address) noexcept {
  if (address.family() == AF_INET) return address.v4.sin_addr.s_addr == htonl(INADDR_ANY);
  return address.family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr) != 0;
}

}  // namespace

Listener::~Listener() {
  if (loop_ == nullptr || !loop_object_) return;
  if (core::Poller* poller = loop_->poller()) poller->forget(*this);
}

py::Ref<> Listener::start(core::Loop& loop, const Arguments& arguments) noexcept {
  const auto number = py::call_method(arguments.socket, loop.state().names.fileno.get());
  const int fd = number ? descriptor_number(number.get()) : -1;
  if (fd < 0) return {};
  auto object = py::steal(py::new_object<Listener>(loop.state().types.listener.get()));
  if (!object) return {};
  auto* listener = py::state_of<Listener>(object.get());
  listener->self_ = object.get();
  listener->loop_ = &loop;
  listener->loop_object_ = py::share(loop.self());
  listener->protocol_factory_ = py::share(arguments.protocol_factory);
  listener->descriptor_.borrow(py::share(arguments.socket), fd, loop.state());
  if (arguments.server != Py_None) listener->server_ = py::share(arguments.server);
  if (arguments.ssl_arguments != Py_None) listener->ssl_arguments_ = py::share(arguments.ssl_arguments);
  listener->backlog_ = arguments.backlog;
  listener->gives_context_ = arguments.context != Py_None;
  listener->context_ = listener->gives_context_ ? py::share(arguments.context) : py::copy_current_context();
  if (!listener->context_) return {};
  listener->local_is_exact_ = ::getsockname(fd, &listener->local_.base, &listener->local_.length) == 0 &&
                              !is_wildcard(listener->local_);
  if (base::kHandsDownNodelay && !listener->ssl_arguments_) {
    base::set_nodelay(fd, listener->local_.family());
  }
  return listener->resume() ? std::move(object) : py::Ref<>();
}

bool Listener::resume() noexcept {
  if (stopped_) return true;
  const auto number = py::call_method(descriptor_.file(), loop_->state().names.fileno.get());
  if (!number) return false;
  const long fd = PyLong_AsLong(number.get());
  if (fd < 0 || loop_->poller() == nullptr) return PyErr_Occurred() == nullptr;  // closed meanwhile
  return py::guard([&] {
    const int error_number = loop_->poller()->watch(*this, static_cast<int>(fd), kReadable);
    if (error_number == 0) return true;
    py::set_os_error(error_number);
    return false;
  });
}

void Listener::stop() noexcept {
  stopped_ = true;
  if (core::Poller* poller = loop_->poller()) poller->forget(*this);
}

void Listener::on_events(unsigned) noexcept {
  if (queued_) return;
  queued_ = true;
  py::guard([this] {
    loop_->enqueue(static_cast<core::Task&>(*this));
    return true;
  });
}

bool Listener::perform() noexcept {
  queued_ = false;
  if (watched_fd() < 0) return true;
  return py::guard([this] { return accept_waiting(); });
}

bool Listener::accept_waiting() noexcept {
  // Each connection gets a copy of the context that the server was made in, as asyncio's tasks do.
  const long most = expects_one() ? 0 : backlog_;
  for (long i = 0; i <= most && !stopped_ && watched_fd() >= 0; ++i) {
    net::Address peer;
    base::OwnedFd connection = base::accept_nonblocking(descriptor_.fd(), &peer.base, &peer.length);
    if (!connection) {
      if (errno == ECONNABORTED) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        events_with_one_ = i == 1 ? events_with_one_ + 1 : 0;
        return true;
      }
      return on_accept_error(errno);
    }
    const auto context = py::steal(PyContext_Copy(context_.get()));
    if (!context) return false;
    const py::ContextScope scope(context.get());
    if (!scope.entered()) return false;
    const bool by_python = ssl_arguments_ || loop_->debug() || !net::is_known_family(peer.family());
    PyObject* own = gives_context_ ? context.get() : Py_None;
    const bool ok = by_python ? connect_by_python(std::move(connection), peer, own)
                              : connect_plain(std::move(connection), peer, own);
    if (ok) continue;
    if (py::is_exit_request()) return false;
    PyErr_Clear();  // As asyncio: an error while a connection is made ends that connection alone.
  }
  return true;
}

bool Listener::expects_one() noexcept {
  if (events_with_one_ < kEventsWithOne) return false;
  return ++unchecked_ % kUncheckedEvents != 0;
}

bool Listener::on_accept_error(int error_number) noexcept {
  py::set_os_error(error_number);
  const auto exception = py::take_exception();
  const bool pause = out_of_resources(error_number);
  // The kernel would go on reporting the socket as ready: look away for a while; for good if the socket was
  // closed behind our back. (Its number may be a stranger's by now.)
  if (pause || error_number == EBADF) loop_->poller()->forget(*this);
  const py::HandledException handled(exception.get());
  return static_cast<bool>(py::call_method(loop_object_.get(), loop_->state().names._accept_failed.get(),
                                           self_, descriptor_.file(), exception.get(),
                                           pause ? Py_True : Py_False));
}

bool Listener::connect_plain(base::OwnedFd fd, const net::Address& peer, PyObject* context) noexcept {
  net::Address local;
  if (!find_local_address(fd.get(), local)) return true;  // gone already
  const auto protocol = py::call(protocol_factory_.get());
  if (!protocol) return false;
  provide_nodelay(fd.get(), peer.family());
  return static_cast<bool>(StreamTransport::from_accepted(*loop_, std::move(fd), peer, local, protocol.get(),
                                                          server_.get(), context));
}

// What was set on the listening socket its connections inherit, from the first that was not waiting before.
void Listener::provide_nodelay(int fd, int family) noexcept {
  if (inherits_nodelay_) return;
  inherits_nodelay_ = base::kHandsDownNodelay && base::has_nodelay(fd, family);
  if (!inherits_nodelay_) base::set_nodelay(fd, family);
}

bool Listener::find_local_address(int fd, net::Address& local) const noexcept {
  if (local_is_exact_) {
    local = local_;
    return true;
  }
  return ::getsockname(fd, &local.base, &local.length) == 0;
}

// TLS, debug mode and rare address families: a Python socket, and asyncio's own way from there.
bool Listener::connect_by_python(base::OwnedFd fd, const net::Address& peer, PyObject* context) noexcept {
  const py::State& state = loop_->state();
  Descriptor descriptor;
  descriptor.own(std::move(fd));
  PyObject* connection = descriptor.socket(state);
  if (connection == nullptr) return false;
  const auto peername = net::is_known_family(peer.family())
                            ? net::to_python(&peer.base, peer.length)
                            : py::call_method(connection, state.names.getpeername.get());
  const auto listener = py::steal(PyTuple_Pack(3, protocol_factory_.get(), server_ ? server_.get() : Py_None,
                                               ssl_arguments_ ? ssl_arguments_.get() : Py_None));
  return peername && listener &&
         py::call_method(loop_object_.get(), state.names._accepted.get(), listener.get(), connection,
                         peername.get(), context);
}

// ---- Python -----------------------------------------------------------------------------------------

namespace {

PyObject* serve(PyObject* self, PyObject* args) {
  Listener::Arguments arguments = {};
  if (PyArg_ParseTuple(args, "OOOlOO", &arguments.protocol_factory, &arguments.socket, &arguments.server,
                       &arguments.backlog, &arguments.ssl_arguments, &arguments.context) == 0) {
    return nullptr;
  }
  core::Loop& loop = core::loop_of(self);
  if (!core::check_open(loop)) return nullptr;
  return Listener::start(loop, arguments).release();
}

PyObject* stop_method(PyObject* self, PyObject*) {
  py::state_of<Listener>(self)->stop();
  Py_RETURN_NONE;
}

PyObject* resume_method(PyObject* self, PyObject*) {
  return none_unless_error(py::state_of<Listener>(self)->resume());
}

PyMethodDef kMethods[] = {
    {"stop", stop_method, METH_NOARGS, "stop($self)\n--\n\nStop accepting; the socket stays open."},
    {"resume", resume_method, METH_NOARGS,
     "resume($self)\n--\n\nAccept again after a pause, unless stopped."},
    {nullptr, nullptr, 0, nullptr},
};
PyGetSetDef kGetSet[] = {{nullptr, nullptr, nullptr, nullptr, nullptr}};

}  // namespace

const std::vector<PyMethodDef>& listener_methods() {
  static const std::vector<PyMethodDef> methods = {{"_serve", serve, METH_VARARGS, nullptr}};
  return methods;
}

py::Ref<PyTypeObject> make_listener_type(PyObject* module) noexcept {
  return py::make_type<Listener>(module, "veloop._native.Listener",
                                 reinterpret_cast<PyObject*>(&PyBaseObject_Type), kMethods, kGetSet,
                                 "Accepts the connections of a listening socket.");
}

}  // namespace veloop::io
