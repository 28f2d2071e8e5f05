#pragma once
// ReadPipeTransport: the reading end of a pipe (or a socket, or a terminal), as
// asyncio.ReadTransport.
//
// As in asyncio the end of the pipe closes the transport whatever eof_received() answers, and an
// exception in data_received() is reported and ends nothing.
#include <Python.h>

#include <vector>

#include "io/pipe.hpp"
#include "py/ref.hpp"

namespace veloop::io {

class ReadPipeTransport final : public PipeTransport {
 public:
  static void finalize(PyObject* self);
  static PyObject* repr(PyObject* self);

  // Null, with an error set, on failure.
  static py::Ref<> make(core::Loop& loop, PyObject* pipe, PyObject* protocol, PyObject* waiter,
                        PyObject* extra) noexcept;

  [[nodiscard]] bool close() noexcept { return !begin_close() || lose(nullptr); }

 protected:
  [[nodiscard]] bool on_readable() noexcept override;
  [[nodiscard]] bool on_writable() noexcept override { return true; }
  void discard_writes() noexcept override {}

 private:
  [[nodiscard]] bool on_eof() noexcept;
  [[nodiscard]] bool on_read_error(int error_number) noexcept;
};

// The loop's hook `_make_read_pipe_transport`, for the Loop type.
const std::vector<PyMethodDef>& read_pipe_methods();

// Makes the ReadPipeTransport type. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_read_pipe_type(PyObject* module) noexcept;

}  // namespace veloop::io
