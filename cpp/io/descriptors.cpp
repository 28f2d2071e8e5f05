#include "io/descriptors.hpp"

#include <fcntl.h>

#include <cerrno>

#include "core/arguments.hpp"
#include "core/loop_type.hpp"
#include "py/arguments.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/method.hpp"
#include "py/os_error.hpp"

namespace veloop::io {

using core::kNothing;
using core::kReadable;
using core::kWritable;
using py::as_method;

void ForeignFd::on_events(unsigned events) noexcept {
  py::guard([&] {
    for (const auto& [direction, handle] : {std::pair{kReadable, &reader}, std::pair{kWritable, &writer}}) {
      if ((events & direction) == 0 || !*handle) continue;
      core::Callback* callback = core::as_callback(loop_.state(), handle->get());
      if (callback->cancelled) {
        Descriptors::of(loop_).remove_handle(fd_, direction);
        return true;  // `this` may be gone.
      }
      loop_.enqueue(*callback);
    }
    return true;
  });
}

void ForeignFd::watch_duplicate() noexcept {
  // With no descriptor left the transport's own registration gives way.
  duplicate_.reset(::fcntl(fd_, F_DUPFD_CLOEXEC, 0));
}

Descriptors& Descriptors::of(core::Loop& loop) {
  std::unique_ptr<core::Extension>& extension = loop.extension();
  if (!extension) extension = std::make_unique<Descriptors>(loop);
  return static_cast<Descriptors&>(*extension);
}

int Descriptors::visit_refs(visitproc visit, void* arg) {
  for (auto& [fd, foreign] : foreign_) {
    Py_VISIT(foreign->reader.get());
    Py_VISIT(foreign->writer.get());
    Py_VISIT(foreign->file_object.get());
  }
  for (const DescriptorUser* user : held_)
    Py_VISIT(user->user());
  return 0;
}

void Descriptors::clear() noexcept {
  auto foreign = std::move(foreign_);
  foreign_.clear();
  if (core::Poller* poller = loop_.poller()) {
    for (auto& [fd, watcher] : foreign)
      poller->forget(*watcher);
  }
  while (!held_.empty())
    hold(**held_.begin(), false);
}

ForeignFd& Descriptors::foreign_at(int fd) {
  std::unique_ptr<ForeignFd>& place = foreign_[fd];
  if (!place) {
    place = std::make_unique<ForeignFd>(loop_, fd);
    const DescriptorUser* user = user_of(fd);
    if (user != nullptr && user->is_lent_out()) place->watch_duplicate();
  }
  return *place;
}

bool Descriptors::watch(ForeignFd& foreign, int fd, unsigned interest) {
  const int error_number = loop_.poller()->watch(foreign, foreign.number_to_watch(), interest);
  if (error_number == 0) return true;
  foreign_.erase(fd);
  py::set_os_error(error_number);
  return false;
}

bool Descriptors::set_handle(int fd, unsigned direction, core::Callback& handle, PyObject* file_object) {
  ForeignFd& foreign = foreign_at(fd);
  if (!watch(foreign, fd, foreign.wanted() | direction)) return false;
  // As selectors: the object that a descriptor was first registered for stays until nobody waits for it.
  const bool is_number = file_object == nullptr || PyLong_Check(file_object);
  if (foreign.wanted() == kNothing && !is_number) foreign.file_object = py::share(file_object);
  py::Ref<>& slot = foreign.slot(direction);
  // What was there goes last: its destructors may run Python code that ends this registration.
  const py::Ref<> old = std::exchange(slot, py::share(handle.self));
  return !old || py::steal(core::handle_cancel(*core::as_callback(loop_.state(), old.get())));
}

bool Descriptors::wait_for(int fd, unsigned direction, core::Callback& handle) {
  ForeignFd& foreign = foreign_at(fd);
  if (foreign.wanted() != kNothing || foreign.watches_duplicate() || !loop_.poller()->tolerates_closed()) {
    return set_handle(fd, direction, handle, nullptr);
  }
  // Asked for each time: what lingers may be a file that the number no longer stands for (dup2()).
  if (!watch(foreign, fd, direction | core::kEdge)) return false;
  foreign.slot(direction) = py::share(handle.self);
  return true;
}

void Descriptors::leave(int fd, unsigned direction, core::Callback& handle, bool may_linger) noexcept {
  const auto found = foreign_.find(fd);
  if (found == foreign_.end()) return;
  ForeignFd& foreign = *found->second;
  if (foreign.slot(direction).get() != handle.self) return;
  if (!may_linger || foreign.wanted() != direction || (foreign.interest() & core::kEdge) == 0) {
    remove_handle(fd, direction);
    return;
  }
  const py::Ref<> old = std::move(foreign.slot(direction));
  if (!py::steal(core::handle_cancel(handle))) PyErr_Clear();
}

bool Descriptors::remove_handle(int fd, unsigned direction) noexcept {
  const auto found = foreign_.find(fd);
  if (found == foreign_.end()) return false;
  ForeignFd& foreign = *found->second;
  if ((foreign.wanted() & direction) == 0 && foreign.wanted() != kNothing) return false;
  const py::Ref<> old = std::move(foreign.slot(direction));
  const unsigned rest = foreign.wanted();
  // A descriptor closed behind our back cannot be changed any more; it is gone all the same.
  const int error_number = loop_.poller()->watch(foreign, foreign.number_to_watch(), rest);
  // Taken out before it is destroyed, which may run Python code that comes here again.
  const auto node =
      rest == kNothing || error_number != 0 ? foreign_.extract(found) : decltype(foreign_)::node_type();
  if (!old) return false;
  if (!py::steal(core::handle_cancel(*core::as_callback(loop_.state(), old.get())))) PyErr_Clear();
  return true;
}

unsigned Descriptors::interest(int fd) const noexcept {
  const auto found = foreign_.find(fd);
  return found == foreign_.end() ? kNothing : found->second->wanted();
}

int Descriptors::find_file_object(PyObject* file_object) const noexcept {
  for (const auto& [fd, foreign] : foreign_) {
    if (foreign->file_object.get() == file_object) return fd;
  }
  return -1;
}

void Descriptors::add_user(int fd, DescriptorUser& user) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= users_.size()) users_.resize(index + 16);
  users_[index] = &user;
}

void Descriptors::remove_user(int fd, const DescriptorUser& user) noexcept {
  if (user_of(fd) != &user) return;
  users_[static_cast<std::size_t>(fd)] = nullptr;
  if (!user.is_lent_out()) return;
  // A duplicate would keep the connection open.
  const auto found = foreign_.find(fd);
  if (found == foreign_.end() || !found->second->watches_duplicate()) return;
  if (core::Poller* poller = loop_.poller()) poller->forget(*found->second);
  const auto node = foreign_.extract(found);
}

DescriptorUser* Descriptors::user_of(int fd) const noexcept {
  const auto index = static_cast<std::size_t>(fd);
  return fd >= 0 && index < users_.size() ? users_[index] : nullptr;
}

void Descriptors::hold(DescriptorUser& user, bool wanted) {
  if (user.held_ == wanted) return;
  user.held_ = wanted;
  if (wanted) {
    held_.insert(&user);
    py::retain(user.user());
  } else {
    held_.erase(&user);
    py::drop(user.user());
  }
}

char* Descriptors::read_buffer() {
  if (!read_buffer_) read_buffer_ = std::make_unique_for_overwrite<char[]>(kReadBufferSize);
  return read_buffer_.get();
}

namespace {

// The int that a file object tells, whatever it is; null, with the error of the selectors module, if none.
py::Ref<> told_number(PyObject* file_object) noexcept {
  if (PyLong_Check(file_object)) return py::share(file_object);
  const auto result = py::steal(PyObject_CallMethod(file_object, "fileno", nullptr));
  py::Ref<> number = result ? py::steal(PyNumber_Long(result.get())) : py::Ref<>();
  if (number || (!PyErr_ExceptionMatches(PyExc_AttributeError) && !PyErr_ExceptionMatches(PyExc_TypeError) &&
                 !PyErr_ExceptionMatches(PyExc_ValueError))) {
    return number;
  }
  // raise ValueError(...) from None
  py::Ref<> why = py::take_exception();
  PyErr_Format(PyExc_ValueError, "Invalid file object: %R", file_object);
  py::Ref<> error = py::take_exception();
  PyException_SetContext(error.get(), why.release());
  PyException_SetCause(error.get(), nullptr);
  py::raise(std::move(error));
  return {};
}

// The int as a descriptor; -1, with an error set, if no descriptor can have that number.
int to_descriptor(PyObject* number) noexcept {
  int overflow = 0;
  const long fd = PyLong_AsLongAndOverflow(number, &overflow);
  if (overflow > 0 || fd > INT_MAX) {
    PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to C int");
    return -1;
  }
  if (overflow < 0 || fd < 0) {
    PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %S", number);
    return -1;
  }
  return static_cast<int>(fd);
}

}  // namespace

int descriptor_number(PyObject* file_object) noexcept {
  const auto number = told_number(file_object);
  return number ? to_descriptor(number.get()) : -1;
}

bool check_unused(core::Loop& loop, PyObject* file_object, int fd) noexcept {
  const DescriptorUser* user = Descriptors::of(loop).user_of(fd);
  if (user == nullptr || user->lets_go()) return true;
  PyErr_Format(PyExc_RuntimeError, "File descriptor %R is used by transport %R", file_object, user->user());
  return false;
}

namespace {

PyObject* ensure_fd_no_transport(PyObject* self, PyObject* file_object) {
  return py::guard([&]() -> PyObject* {
    const int fd = descriptor_number(file_object);
    if (fd < 0) {
      // Negative numbers are no transport's; other methods complain about them.
      if (!PyErr_ExceptionMatches(PyExc_ValueError) || !PyLong_Check(file_object)) return nullptr;
      PyErr_Clear();
    } else if (!check_unused(core::loop_of(self), file_object, fd)) {
      return nullptr;
    }
    Py_RETURN_NONE;
  });
}

// From 3.15 on a transport of asyncio's own may ask for its callbacks' context.
constexpr bool kHasContext = PY_VERSION_HEX >= 0x030F0000;

py::Ref<> add(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords, unsigned direction,
              const char* method, bool is_public) {
  core::Loop& loop = core::loop_of(self);
  const py::Names& names = loop.state().names;
  core::ScheduleArguments<2> call;
  PyObject* context_name = kHasContext && !is_public ? names.context.get() : nullptr;
  if (!call.parse(method, {names.fd.get(), names.callback.get()}, context_name, args, count, keywords))
    return {};
  PyObject* file_object = call.named[0];
  const auto number = told_number(file_object);
  if (!number) return {};
  const int fd = to_descriptor(number.get());
  if (fd >= 0 && is_public && !check_unused(loop, file_object, fd)) return {};
  if (!core::check_open(loop) || fd < 0) return {};
  core::Callback* handle = core::new_callback(loop, call.named[1], call.rest, call.rest_count, call.context);
  if (handle == nullptr) return {};
  py::Ref<> created = py::steal(handle->self);
  core::show_to_collector(*handle);
  if (!Descriptors::of(loop).set_handle(fd, direction, *handle, file_object)) return {};
  return created;
}

// Returns the handle (asyncio's private _add_reader) or None (the public add_reader).
template <unsigned Direction, bool Public>
PyObject* add_method(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  constexpr const char* kNames[] = {"BaseSelectorEventLoop._add_reader", "BaseSelectorEventLoop._add_writer",
                                    "BaseSelectorEventLoop.add_reader", "BaseSelectorEventLoop.add_writer"};
  constexpr const char* kName = kNames[2 * Public + (Direction == kWritable)];
  return py::guard([&]() -> PyObject* {
    py::Ref<> handle = add(self, args, count, keywords, Direction, kName, Public);
    if (!handle) return nullptr;
    return Public ? py::new_ref(Py_None) : handle.release();
  });
}

template <unsigned Direction, bool Public>
PyObject* remove_method(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  constexpr const char* kNames[] = {
      "BaseSelectorEventLoop._remove_reader", "BaseSelectorEventLoop._remove_writer",
      "BaseSelectorEventLoop.remove_reader", "BaseSelectorEventLoop.remove_writer"};
  constexpr const char* kName = kNames[2 * Public + (Direction == kWritable)];
  return py::guard([&]() -> PyObject* {
    PyObject* file_object = py::only_argument(kName, "fd", args, count, keywords);
    if (file_object == nullptr) return nullptr;
    core::Loop& loop = core::loop_of(self);
    Descriptors& descriptors = Descriptors::of(loop);
    const auto number = told_number(file_object);
    int fd = number ? to_descriptor(number.get()) : -1;
    if (fd < 0) {
      // A closed file object no longer tells its number, but may still be registered.
      fd = descriptors.find_file_object(file_object);
      const bool is_absent = number && (loop.closed() || PyErr_ExceptionMatches(PyExc_OverflowError));
      if (fd < 0 && !is_absent) return nullptr;
      PyErr_Clear();
      if (fd < 0) Py_RETURN_FALSE;
    } else if (Public && !check_unused(loop, file_object, fd)) {
      return nullptr;
    }
    if (loop.closed()) Py_RETURN_FALSE;
    return PyBool_FromLong(descriptors.remove_handle(fd, Direction));
  });
}

// What a descriptor is watched for: (reading, writing). For asyncio's repr of its own transports.
PyObject* watched(PyObject* self, PyObject* file_object) {
  return py::guard([&]() -> PyObject* {
    const int fd = descriptor_number(file_object);
    if (fd < 0) return nullptr;
    const unsigned interest = Descriptors::of(core::loop_of(self)).interest(fd);
    return Py_BuildValue("(ii)", (interest & kReadable) != 0, (interest & kWritable) != 0);
  });
}

}  // namespace

const std::vector<PyMethodDef>& descriptor_methods() {
  constexpr int kFast = METH_FASTCALL | METH_KEYWORDS;
  static const std::vector<PyMethodDef> methods = {
      {"add_reader", as_method(add_method<kReadable, true>), kFast,
       "add_reader($self, fd, callback, *args)\n--\n\n"
       "Call callback(*args) whenever `fd` (a number or an object with fileno()) can be read.\n\n"
       "Replaces an earlier reader. The descriptor's flags are not touched. Raises PermissionError for a\n"
       "regular file, OSError for a closed descriptor, RuntimeError for one that a transport uses."},
      {"remove_reader", as_method(remove_method<kReadable, true>), kFast,
       "remove_reader($self, fd)\n--\n\nStop watching `fd` for reading; return whether it was watched."},
      {"add_writer", as_method(add_method<kWritable, true>), kFast,
       "add_writer($self, fd, callback, *args)\n--\n\nCall callback(*args) whenever `fd` can be written; see add_reader()."},
      {"remove_writer", as_method(remove_method<kWritable, true>), kFast,
       "remove_writer($self, fd)\n--\n\nStop watching `fd` for writing; return whether it was watched."},
      {"_add_reader", as_method(add_method<kReadable, false>), kFast, nullptr},
      {"_remove_reader", as_method(remove_method<kReadable, false>), kFast, nullptr},
      {"_add_writer", as_method(add_method<kWritable, false>), kFast, nullptr},
      {"_remove_writer", as_method(remove_method<kWritable, false>), kFast, nullptr},
      {"_ensure_fd_no_transport", ensure_fd_no_transport, METH_O, nullptr},
      {"_watched", watched, METH_O, nullptr},
  };
  return methods;
}

}  // namespace veloop::io
