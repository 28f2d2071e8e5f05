#include "io/stream_reader.hpp"

#include <cstring>
#include <utility>

#include "py/call.hpp"
#include "py/error.hpp"
#include "py/inspect.hpp"

namespace veloop::io {
namespace {

// ---- whether all is as asyncio made it ------------------------------------------------------------------

// A function of asyncio.streams itself, not what somebody has put in its place before we were imported.
bool is_of_asyncio(PyObject* function, PyObject* module, const char* qualified_name) noexcept {
  if (!PyFunction_Check(function) || PyFunction_GetGlobals(function) != PyModule_GetDict(module))
    return false;
  const auto name = py::get_attr(PyFunction_GetCode(function), "co_qualname");
  return name && PyUnicode_CompareWithASCIIString(name.get(), qualified_name) == 0;
}

py::Ref<> known_function(PyObject* module, PyObject* type, PyObject* name,
                         const char* qualified_name) noexcept {
  py::Ref<> function = py::get_attr(type, name);
  if (!function || !is_of_asyncio(function.get(), module, qualified_name)) return {};
  return function;
}

py::Ref<> known_property(PyObject* module, PyObject* type, PyObject* name,
                         const char* qualified_name) noexcept {
  py::Ref<> property = py::get_attr(type, name);
  if (!property || Py_TYPE(property.get()) != &PyProperty_Type) return {};
  const auto getter = py::get_attr(property.get(), "fget");
  if (!getter || !is_of_asyncio(getter.get(), module, qualified_name)) return {};
  return property;
}

bool has_plain_attributes(const PyTypeObject* type) noexcept {
  return type->tp_getattro == PyObject_GenericGetAttr && type->tp_setattro == PyObject_GenericSetAttr;
}

bool look_at_classes(const py::State& state) noexcept {
  const py::ErrorStash stash;
  const py::Streams& streams = state.streams;
  const auto is_known = [](PyTypeObject* type, PyObject* name, const py::Ref<>& known) {
    const auto current = py::find_attr(reinterpret_cast<PyObject*>(type), name);
    return current && current.get() == known.get();
  };
  PyTypeObject* protocol = streams.protocol_type.get();
  PyTypeObject* reader = streams.reader_type.get();
  return has_plain_attributes(protocol) && has_plain_attributes(reader) &&
         is_known(protocol, state.names.data_received.get(), streams.data_received) &&
         is_known(protocol, state.names._stream_reader.get(), streams.stream_reader) &&
         is_known(reader, state.names.feed_data.get(), streams.feed_data) &&
         is_known(reader, state.names._wakeup_waiter.get(), streams.wakeup_waiter);
}

// Costs two comparisons while nobody changes the classes.
bool are_classes_unchanged(py::State& state) noexcept {
  py::Streams& streams = state.streams;
  PyTypeObject* protocol = streams.protocol_type.get();
  PyTypeObject* reader = streams.reader_type.get();
  if (!streams.protocol_version.is_of(protocol) || !streams.reader_version.is_of(reader)) {
    streams.unchanged = look_at_classes(state);
    streams.protocol_version.note(protocol);
    streams.reader_version.note(reader);
  }
  return streams.unchanged;
}

// ---- the reader -----------------------------------------------------------------------------------------

py::Ref<> target_of(PyObject* weak_reference) noexcept {
  if (!PyWeakref_CheckRefExact(weak_reference)) return {};
#if PY_VERSION_HEX >= 0x030D0000
  PyObject* target = nullptr;
  if (PyWeakref_GetRef(weak_reference, &target) < 0) return {};
  return py::steal(target);
#else
  PyObject* target = PyWeakref_GetObject(weak_reference);
  return target == Py_None ? py::Ref<>() : py::share(target);
#endif
}

py::Ref<> find_reader(const py::State& state, PyObject* protocol) noexcept {
  const py::Streams& streams = state.streams;
  if (!py::has_method(protocol, state.names.data_received.get(), streams.data_received)) return {};
  const auto weak_reference = py::get_attr(protocol, state.names._stream_reader_wr.get());
  py::Ref<> reader = weak_reference ? target_of(weak_reference.get()) : py::Ref<>();
  if (!reader || Py_TYPE(reader.get()) != streams.reader_type.get() ||
      !py::has_method(reader.get(), state.names.feed_data.get(), streams.feed_data)) {
    return {};
  }
  return reader;
}

// Whether a buffer of `size` bytes does not stop the transport.
bool is_within_limit(const py::State& state, PyObject* reader, Py_ssize_t size) noexcept {
  const auto object = py::get_attr(reader, state.names._limit.get());
  if (!object || !PyLong_CheckExact(object.get())) return false;
  const Py_ssize_t limit = PyLong_AsSsize_t(object.get());  // -1, with an error set, if it is enormous
  return size / 2 < limit || (size / 2 == limit && size % 2 == 0);
}

// Not ended, and nobody waits in another way than by a future of asyncio's. `waiter` may be None.
bool is_plain(const py::State& state, PyObject* reader, py::Ref<>& waiter) noexcept {
  const auto eof = py::get_attr(reader, state.names._eof.get());
  if (eof.get() != Py_False) return false;
  waiter = py::get_attr(reader, state.names._waiter.get());
  if (!waiter || waiter.get() == Py_None) return static_cast<bool>(waiter);
  return reinterpret_cast<PyObject*>(Py_TYPE(waiter.get())) == state.library.future.get() &&
         py::has_method(reader, state.names._wakeup_waiter.get(), state.streams.wakeup_waiter);
}

Fed feed(const py::State& state, PyObject* protocol, const char* data, Py_ssize_t count) noexcept {
  const auto reader = find_reader(state, protocol);
  if (!reader) return Fed::kNo;
  py::Ref<> waiter;
  if (!is_plain(state, reader.get(), waiter)) return Fed::kNo;
  const auto buffer = py::get_attr(reader.get(), state.names._buffer.get());
  if (!buffer || !PyByteArray_CheckExact(buffer.get())) return Fed::kNo;
  const Py_ssize_t before = PyByteArray_GET_SIZE(buffer.get());
  if (!is_within_limit(state, reader.get(), before + count)) return Fed::kNo;
  // Fails while somebody looks at the buffer's memory.
  if (PyByteArray_Resize(buffer.get(), before + count) < 0) return Fed::kNo;
  std::memcpy(PyByteArray_AS_STRING(buffer.get()) + before, data, static_cast<std::size_t>(count));
  if (waiter.get() == Py_None) return Fed::kYes;
  const bool woken = static_cast<bool>(py::call_method(waiter.get(), state.names.set_result.get(), Py_None));
  if (!woken && PyErr_ExceptionMatches(state.streams.invalid_state.get())) {
    // Cancelled, most likely, and its task has not run yet.
    PyErr_Clear();
    return PyByteArray_Resize(buffer.get(), before) == 0 ? Fed::kNo : Fed::kFailed;
  }
  const py::ErrorStash stash;
  if (PyObject_SetAttr(reader.get(), state.names._waiter.get(), Py_None) < 0) return Fed::kFailed;
  return woken ? Fed::kYes : Fed::kFailed;
}

}  // namespace

void load_streams(py::State& state) noexcept {
  py::Streams& streams = state.streams;
  if (streams.loaded) return;
  streams.loaded = true;
  const py::ErrorStash stash;
  const auto module = py::steal(PyImport_ImportModule("asyncio.streams"));
  const auto protocol = module ? py::get_attr(module.get(), "StreamReaderProtocol") : py::Ref<>();
  const auto reader = protocol ? py::get_attr(module.get(), "StreamReader") : py::Ref<>();
  const auto exceptions = reader ? py::steal(PyImport_ImportModule("asyncio.exceptions")) : py::Ref<>();
  if (exceptions && PyType_Check(protocol.get()) && PyType_Check(reader.get())) {
    const py::Names& names = state.names;
    streams.invalid_state = py::get_attr(exceptions.get(), "InvalidStateError");
    streams.data_received = known_function(module.get(), protocol.get(), names.data_received.get(),
                                           "StreamReaderProtocol.data_received");
    streams.stream_reader = known_property(module.get(), protocol.get(), names._stream_reader.get(),
                                           "StreamReaderProtocol._stream_reader");
    streams.feed_data =
        known_function(module.get(), reader.get(), names.feed_data.get(), "StreamReader.feed_data");
    streams.wakeup_waiter =
        known_function(module.get(), reader.get(), names._wakeup_waiter.get(), "StreamReader._wakeup_waiter");
    streams.reader_type = py::Ref<PyTypeObject>::share(reinterpret_cast<PyTypeObject*>(reader.get()));
    if (streams.invalid_state && streams.data_received && streams.stream_reader && streams.feed_data &&
        streams.wakeup_waiter) {
      streams.protocol_type = py::Ref<PyTypeObject>::share(reinterpret_cast<PyTypeObject*>(protocol.get()));
    }
  }
  PyErr_Clear();
}

Fed feed_reader(py::State& state, PyObject* protocol, const char* data, std::size_t count) noexcept {
  if (!are_classes_unchanged(state)) return Fed::kNo;
  const Fed fed = feed(state, protocol, data, static_cast<Py_ssize_t>(count));
  // Whatever was not as expected is for asyncio to complain about.
  if (fed == Fed::kNo) PyErr_Clear();
  return fed;
}

}  // namespace veloop::io
