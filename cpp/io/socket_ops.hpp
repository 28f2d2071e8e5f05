#pragma once
// loop.sock_recv(), sock_sendall(), sock_connect() and their relatives, as native coroutines: try the call,
// and if it would block wait for the descriptor among the loop's readers and writers, like asyncio.
//
// While one waits, the loop's table holds its handle, the handle the coroutine, the coroutine the future it
// yielded. The registration ends as soon as the call succeeds, fails, is cancelled or closed, so that the
// descriptor's number may be used again at once.
#include <Python.h>

#include <vector>

#include "py/ref.hpp"

namespace veloop::io {

// The sock_* methods, for the Loop type.
const std::vector<PyMethodDef>& socket_methods();

// Makes the type of the coroutines. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_socket_op_type(PyObject* module) noexcept;

}  // namespace veloop::io
