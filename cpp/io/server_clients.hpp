#pragma once
// asyncio.Server's count of its connections: `_attach()` and `_detach()`, which an accepted connection calls
// once each.
//
// From Python 3.13 on a server keeps its transports in a weakref.WeakSet, through seven Python frames for
// each connection. For a plain asyncio.Server the same is done to the set inside; whatever looks different
// (a server of another class, a replaced method, a set that was changed while somebody iterated over it) is
// called as usual.
#include <Python.h>

#include "py/ref.hpp"
#include "py/state.hpp"

namespace veloop::io {

// server._attach(transport), server._detach(transport); before Python 3.13 without the argument. False, with
// an error set, on failure.
[[nodiscard]] bool attach_to_server(const py::State& state, PyObject* server, PyObject* transport) noexcept;
[[nodiscard]] bool detach_from_server(const py::State& state, PyObject* server, PyObject* transport) noexcept;

}  // namespace veloop::io
