#pragma once
// loop.getaddrinfo() for hosts that are addresses already: answered at once and without a thread.
//
// Only what is surely answered alike everywhere is taken: a plain IPv4 or IPv6 literal, a numeric port, and
// flags that do not matter for them. Which families, types and protocols the answer lists is the C library's
// affair: it is asked once per kind of question, and the answer is remembered. Everything else, and debug
// mode, is asyncio's own getaddrinfo().
#include <Python.h>

#include <vector>

#include "py/ref.hpp"
#include "py/state.hpp"

namespace veloop::net {

// getaddrinfo(), for the Loop type.
const std::vector<PyMethodDef>& lookup_methods();

// Makes the type of the coroutine that getaddrinfo() returns, and what it needs in `state`. Null, with an
// error set, on failure.
py::Ref<PyTypeObject> make_lookup_type(PyObject* module, py::State& state) noexcept;

}  // namespace veloop::net
