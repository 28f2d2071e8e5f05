#pragma once
// What arrives for one of asyncio's own stream readers goes into its buffer without running Python: what
// StreamReaderProtocol.data_received() and StreamReader.feed_data() would do, as long as nobody has replaced
// any of it.
#include <Python.h>

#include <cstddef>

#include "py/state.hpp"

namespace veloop::io {

enum class Fed : unsigned char {
  kYes,
  kNo,      // nothing was done, and no error is set: data_received() has to be called
  kFailed,  // as data_received() would have: its error is set
};

// Finds asyncio's classes, for the first transport of a state. What is not as it is known is never fed.
void load_streams(py::State& state) noexcept;

// Whether the protocol is asyncio's own: feed_reader() is worth a try.
[[nodiscard]] inline bool is_stream_protocol(const py::State& state, PyObject* protocol) noexcept {
  return Py_TYPE(protocol) == state.streams.protocol_type.get();
}

// For a protocol of which that holds; `count` is not 0.
[[nodiscard]] Fed feed_reader(py::State& state, PyObject* protocol, const char* data,
                              std::size_t count) noexcept;

}  // namespace veloop::io
