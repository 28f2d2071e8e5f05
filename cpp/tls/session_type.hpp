#pragma once
// The Python type of Session, and the loop's hook that makes one.
#include <Python.h>

#include <vector>

#include "py/ref.hpp"

namespace veloop::tls {

// `_tls_session`, for the Loop type.
const std::vector<PyMethodDef>& session_methods();

// Makes the type. Null, with an error set, on failure.
py::Ref<PyTypeObject> make_session_type(PyObject* module) noexcept;

}  // namespace veloop::tls
