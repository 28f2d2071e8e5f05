#pragma once
// The descriptor of a transport, and who owns it: we do (an accepted connection), or a Python object does
// (a socket or pipe that was given to us, or the socket made when somebody asked for one). Never both.
#include <Python.h>

#include <utility>

#include "base/owned_fd.hpp"
#include "py/call.hpp"
#include "py/error.hpp"
#include "py/ref.hpp"
#include "py/state.hpp"

namespace veloop::io {

class Descriptor {
 public:
  Descriptor() = default;

  // An accepted connection: ours until Python asks for the socket.
  void own(base::OwnedFd fd) noexcept {
    number_ = fd.get();
    owned_ = std::move(fd);
  }

  // Given to us as a Python object, whose close() will close it. `number` is its fileno().
  void borrow(py::Ref<> file, int number, const py::State& state) noexcept {
    file_ = std::move(file);
    number_ = number;
    find_live_number(state);
  }

  // The number for a system call: -1, and so EBADF, once a Python socket was closed behind our back. A
  // number that somebody else has got by now is never touched.
  [[nodiscard]] int fd() const noexcept { return live_number_ != nullptr ? *live_number_ : number_; }
  // The number as it was, for messages and tables.
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] bool is_open() const noexcept { return owned_ || file_; }
  [[nodiscard]] PyObject* file() const noexcept { return file_.get(); }
  // The Python object that was closed: it still tells its family, type and protocol. Null without one.
  [[nodiscard]] PyObject* closed_file() const noexcept { return closed_file_.get(); }

  // The Python socket, which becomes the owner if we were. Null, with an error set, on failure.
  [[nodiscard]] PyObject* socket(const py::State& state) noexcept {
    if (!file_ && owned_) {
      // socket.socket(fileno=fd) asks the kernel for family, type and protocol.
      const auto number = py::steal(PyLong_FromLong(owned_.get()));
      if (!number) return nullptr;
      PyObject* stack[] = {nullptr, number.get()};
      auto made = py::vectorcall(state.library.socket.get(), stack + 1, PY_VECTORCALL_ARGUMENTS_OFFSET,
                                 state.fileno_keyword.get());
      if (!made) return nullptr;
      (void)owned_.release();
      file_ = std::move(made);
      // The descriptor is non-blocking already; the socket object has to know.
      if (!py::call_method(file_.get(), state.names.setblocking.get(), Py_False)) return nullptr;
      find_live_number(state);
    }
    return file_.get();
  }

  // Closes it through its owner. False, with an error set, if a Python close() raised.
  [[nodiscard]] bool close(const py::State& state) noexcept {
    owned_.reset();
    live_number_ = nullptr;
    const int number = std::exchange(number_, -1);
    last_number_ = number;
    if (!file_) return true;
    closed_file_ = std::move(file_);
    const py::Ref<> file = closed_file_.share();
    return static_cast<bool>(py::call_method(file.get(), state.names.close.get()));
  }
  // Leaves it open, to whoever else has the Python object.
  void let_go() noexcept {
    live_number_ = nullptr;
    last_number_ = std::exchange(number_, -1);
    file_.reset();
  }
  [[nodiscard]] int last_number() const noexcept { return number_ >= 0 ? number_ : last_number_; }

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = visit(file_)) return stop;
    return visit(closed_file_);
  }

 private:
  // socket.socket keeps its descriptor right behind the object's head, -1 once closed, on every version.
  // Believed only if it agrees with fileno().
  void find_live_number(const py::State& state) noexcept {
    live_number_ = nullptr;
    auto* type = reinterpret_cast<PyTypeObject*>(state.library.socket_base.get());
    if (!PyObject_TypeCheck(file_.get(), type)) return;
    const int* place =
        reinterpret_cast<const int*>(reinterpret_cast<const char*>(file_.get()) + sizeof(PyObject));
    if (*place == number_) live_number_ = place;
  }

  base::OwnedFd owned_;
  py::Ref<> file_;
  py::Ref<> closed_file_;
  const int* live_number_ = nullptr;  // inside file_
  int number_ = -1;
  int last_number_ = -1;
};

}  // namespace veloop::io
