#pragma once
// The Python type _native.Loop: the face of core/loop.hpp. Python's EventLoop derives from it first and
// from asyncio's loop second, so that these methods answer and everything else is asyncio's.
#include <Python.h>

#include <vector>

#include "core/loop.hpp"
#include "py/ref.hpp"

namespace veloop::core {

// The scheduling methods. The module adds those of higher layers and makes one type of all.
const std::vector<PyMethodDef>& scheduling_methods();

// Makes the type. `methods` must live as long as the process and end with a null entry.
py::Ref<PyTypeObject> make_loop_type(PyObject* module, PyMethodDef* methods);

// Raises RuntimeError and returns false if the loop is closed.
[[nodiscard]] bool check_open(const Loop& loop) noexcept;

}  // namespace veloop::core
