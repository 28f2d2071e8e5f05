#include "io/server_clients.hpp"

#include <utility>

#include "py/call.hpp"
#include "py/inspect.hpp"

namespace veloop::io {
namespace {

bool ask(PyObject* server, PyObject* method, [[maybe_unused]] PyObject* transport) noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  return static_cast<bool>(py::call_method(server, method, transport));  // for close_clients()
#else
  return static_cast<bool>(py::call_method(server, method));
#endif
}

#if PY_VERSION_HEX >= 0x030D0000

// The set inside server._clients; null, without an error, if it is not as we know it.
py::Ref<> set_of_clients(const py::State& state, PyObject* clients) noexcept {
  if (Py_TYPE(clients) != reinterpret_cast<PyTypeObject*>(state.library.weak_set.get())) return {};
  // Python 3.13: what went while somebody iterated is still to be taken out.
  const auto pending = py::find_attr(clients, state.names._pending_removals.get());
  if (pending && (!PyList_CheckExact(pending.get()) || PyList_GET_SIZE(pending.get()) > 0)) return {};
  auto set = py::find_attr(clients, state.names.data.get());
  return set && PySet_CheckExact(set.get()) ? std::move(set) : py::Ref<>();
}

#endif

}  // namespace

bool attach_to_server(const py::State& state, PyObject* server, PyObject* transport) noexcept {
  const py::Names& names = state.names;
#if PY_VERSION_HEX >= 0x030D0000
  if (py::has_method(server, names._attach.get(), state.library.server_attach)) {
    const auto sockets = py::find_attr(server, names._sockets.get());
    const auto clients = py::find_attr(server, names._clients.get());
    const auto set = clients ? set_of_clients(state, clients.get()) : py::Ref<>();
    const auto remove = set ? py::find_attr(clients.get(), names._remove.get()) : py::Ref<>();
    if (remove && sockets && sockets.get() != Py_None) {
      const auto reference = py::steal(PyWeakref_NewRef(transport, remove.get()));
      return reference && PySet_Add(set.get(), reference.get()) == 0;
    }
  }
#endif
  return ask(server, names._attach.get(), transport);
}

bool detach_from_server(const py::State& state, PyObject* server, PyObject* transport) noexcept {
  const py::Names& names = state.names;
#if PY_VERSION_HEX >= 0x030D0000
  if (py::has_method(server, names._detach.get(), state.library.server_detach)) {
    const auto clients = py::find_attr(server, names._clients.get());
    const auto set = clients ? set_of_clients(state, clients.get()) : py::Ref<>();
    if (set) {
      const auto reference = py::steal(PyWeakref_NewRef(transport, nullptr));
      if (!reference || PySet_Discard(set.get(), reference.get()) < 0) return false;
      if (PySet_GET_SIZE(set.get()) > 0) return true;
      const auto sockets = py::get_attr(server, names._sockets.get());
      if (!sockets) return false;
      return sockets.get() != Py_None || py::call_method(server, names._wakeup.get());
    }
  }
#endif
  return ask(server, names._detach.get(), transport);
}

}  // namespace veloop::io
