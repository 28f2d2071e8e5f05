#pragma once
// What ReadPipeTransport and WritePipeTransport have in common: a pipe, socket or character device
// that a Python object owns, and that gets non-blocking.
#include <Python.h>

#include "base/owned_fd.hpp"
#include "core/loop_type.hpp"
#include "io/transport_base.hpp"
#include "py/ref.hpp"
#include "py/type.hpp"

namespace veloop::io {

struct PipeKind {
  bool is_fifo = false;
  bool is_socket = false;
  bool is_character = false;
};

// The number of `pipe`, and what it is. -1 on failure: with the ValueError `refusal` for other
// kinds of files.
int examine_pipe(core::Loop& loop, PyObject* pipe, PipeKind& kind, const char* refusal) noexcept;

class PipeTransport : public TransportBase {
 public:
  [[nodiscard]] bool provide_extra(PyObject*) noexcept override { return extra() != nullptr; }
  [[nodiscard]] bool call_connection_lost(PyObject* exception) noexcept override;

  // What repr() shows of the state, and of watching for `direction`.
  [[nodiscard]] const char* state_name() const noexcept;
  [[nodiscard]] const char* watching_name(unsigned direction) const noexcept;
  // Leaves the pipe to whoever has it, neither watched nor closed: `transport._pipe = None`, which
  // is how programs keep their stdout.
  void let_go() noexcept;

 protected:
  ~PipeTransport() = default;

  // Takes the pipe `fd` in use; connection_made() is scheduled. False, with an error set, on
  // failure.
  [[nodiscard]] bool start_with(core::Loop& loop, PyObject* self, int fd, PyObject* pipe, PyObject* protocol,
                                PyObject* waiter, PyObject* extra) noexcept;

  [[nodiscard]] int number_to_watch() const noexcept override {
    return duplicate_ ? duplicate_.get() : TransportBase::number_to_watch();
  }
  // As in asyncio the transport stays open, and deaf: a device such as /dev/null cannot be watched.
  [[nodiscard]] bool on_watch_failed(int error_number) noexcept override;
  // Debug mode: the other end is closed.
  [[nodiscard]] bool log_closed_by_peer() noexcept;

 private:
  // Two transports, or a transport and a reader, may share a descriptor (a terminal's): each
  // watches its own.
  base::OwnedFd duplicate_;
};

// The setter of `_pipe`.
template <class T>
int set_pipe(PyObject* self, PyObject* value, void*) {
  if (value != Py_None) {
    PyErr_SetString(PyExc_AttributeError, "_pipe can only be set to None");
    return -1;
  }
  py::state_of<T>(self)->let_go();
  return 0;
}

// The loop's hooks `_make_read_pipe_transport` and `_make_write_pipe_transport`:
// (pipe, protocol, waiter=None, extra=None).
template <class T>
PyObject* make_pipe_transport(PyObject* self, PyObject* args, PyObject* keywords) {
  static const char* const kNames[] = {"pipe", "protocol", "waiter", "extra", nullptr};
  PyObject *file = nullptr, *protocol = nullptr, *waiter = Py_None, *extra = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|OO", const_cast<char**>(kNames), &file, &protocol,
                                   &waiter, &extra)) {
    return nullptr;
  }
  core::Loop& loop = core::loop_of(self);
  return T::make(loop, file, protocol, waiter, extra).release();
}

}  // namespace veloop::io
