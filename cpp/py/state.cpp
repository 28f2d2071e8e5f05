#include "py/state.hpp"

#include <new>

#include "py/call.hpp"
#include "py/context.hpp"

namespace veloop::py {
namespace {

constexpr const char* kCapsuleName = "veloop._native._state";

bool import_into(Ref<>& target, const char* module, const char* name) noexcept {
  const auto imported = steal(PyImport_ImportModule(module));
  if (!imported) return false;
  target = get_attr(imported.get(), name);
  return static_cast<bool>(target);
}

void destroy_state(PyObject* capsule) {
  delete static_cast<State*>(PyCapsule_GetPointer(capsule, kCapsuleName));
}

}  // namespace

bool State::load() noexcept {
#define VELOOP_INTERN(name) \
  if (!(names.name = steal(PyUnicode_InternFromString(#name)))) return false;
  VELOOP_NAMES(VELOOP_INTERN)
#undef VELOOP_INTERN
  if (can_see_context_values() && !(empty_context = steal(PyContext_New()))) return false;
  no_arguments = steal(PyTuple_New(0));
  loop_keyword = steal(PyTuple_Pack(1, names.loop.get()));
  fileno_keyword = steal(PyTuple_Pack(1, names.fileno.get()));
  if (!import_into(library.handle, "asyncio", "Handle")) return false;
  library.handle_run = get_attr(library.handle.get(), "_run");
  if (!import_into(library.loop, "asyncio", "SelectorEventLoop")) return false;
  PyObject* loop = library.loop.get();
  library.loop_create_task = get_attr(loop, names.create_task.get());
  library.ensure_resolved = get_attr(loop, names._ensure_resolved.get());
  library.connect_sock = get_attr(loop, names._connect_sock.get());
  library.create_connection_transport = get_attr(loop, names._create_connection_transport.get());
  if (!library.ensure_resolved || !library.connect_sock || !library.create_connection_transport) return false;
  Ref<> server;
  if (!import_into(server, "asyncio.base_events", "Server")) return false;
  library.server_attach = get_attr(server.get(), "_attach");
  library.server_detach = get_attr(server.get(), "_detach");
  library.tasks = steal(PyImport_ImportModule("asyncio.tasks"));
  return library.tasks && library.loop_create_task && no_arguments && loop_keyword && fileno_keyword &&
         library.handle_run && library.server_attach && library.server_detach &&
         import_into(library.weak_set, "weakref", "WeakSet") &&
         import_into(library.future, "asyncio", "Future") &&
         import_into(library.buffered_protocol, "asyncio", "BufferedProtocol") &&
         import_into(library.transport_socket, "asyncio.trsock", "TransportSocket") &&
         import_into(library.socket, "socket", "socket") &&
         import_into(library.socket_base, "_socket", "socket") &&
         import_into(library.extract_stack, "asyncio.format_helpers", "extract_stack") &&
         import_into(library.logger, "asyncio.log", "logger") &&
         import_into(library.main_thread, "threading", "main_thread") &&
         import_into(library.set_wakeup_fd, "signal", "set_wakeup_fd");
}

Ref<> state_owner_of(PyObject* module) noexcept { return get_attr(module, "_state"); }

State* state_owned_by(PyObject* capsule) noexcept {
  return static_cast<State*>(PyCapsule_GetPointer(capsule, kCapsuleName));
}

State* attach_state(PyObject* module) noexcept {
  auto* state = new (std::nothrow) State();
  if (state == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  const auto capsule = steal(PyCapsule_New(state, kCapsuleName, destroy_state));
  if (!capsule) {
    delete state;
    return nullptr;
  }
  // From here on the capsule owns the State.
  if (PyObject_SetAttrString(module, "_state", capsule.get()) < 0 || !state->load()) return nullptr;
  return state;
}

}  // namespace veloop::py
