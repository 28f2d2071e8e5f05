#pragma once
// WritePipeTransport: the writing end of a pipe (or a socket, or a character device), as
// asyncio.WriteTransport with flow control.
//
// What is written is tried at once; the rest waits. A pipe or socket is also watched for reading,
// which is how a writer learns that nobody reads any more.
#include <Python.h>

#include <cstddef>
#include <vector>

#include "io/flow_control.hpp"
#include "io/pipe.hpp"
#include "io/write_queue.hpp"
#include "py/ref.hpp"

namespace veloop::io {

class WritePipeTransport final : public PipeTransport {
 public:
  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = PipeTransport::visit_refs(visit)) return stop;
    return flow_.visit_refs(visit);
  }
  static void finalize(PyObject* self);
  static PyObject* repr(PyObject* self);

  // Null, with an error set, on failure.
  static py::Ref<> make(core::Loop& loop, PyObject* pipe, PyObject* protocol, PyObject* waiter,
                        PyObject* extra) noexcept;

  // Each returns false with an error set.
  [[nodiscard]] bool write(PyObject* data) noexcept;
  [[nodiscard]] bool close() noexcept;
  [[nodiscard]] bool abort() noexcept { return end(nullptr); }

  [[nodiscard]] std::size_t write_buffer_size() const noexcept { return queue_.size(); }
  [[nodiscard]] FlowControl& flow_control() noexcept { return flow_; }
  [[nodiscard]] bool set_write_buffer_limits(WriteLimits limits) noexcept;

 protected:
  [[nodiscard]] bool wants_first_read() const noexcept override { return watches_reader_ && !is_lost(); }
  [[nodiscard]] bool on_readable() noexcept override;
  [[nodiscard]] bool on_writable() noexcept override;
  void discard_writes() noexcept override;

 private:
  [[nodiscard]] bool write_or_keep(PyObject* bytes, const char* data, std::size_t length) noexcept;
  [[nodiscard]] bool write_failed() noexcept;
  [[nodiscard]] bool end(PyObject* exception) noexcept;
  [[nodiscard]] bool maybe_pause() noexcept;
  [[nodiscard]] bool maybe_resume() noexcept;

  WriteQueue queue_;
  FlowControl flow_;
  bool watches_reader_ = false;
};

// The loop's hook `_make_write_pipe_transport`, for the Loop type.
const std::vector<PyMethodDef>& write_pipe_methods();

// Makes the WritePipeTransport type. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_write_pipe_type(PyObject* module) noexcept;

}  // namespace veloop::io
