#include "net/getaddrinfo.hpp"

#include <arpa/inet.h>
#include <netdb.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "core/loop.hpp"
#include "net/address.hpp"
#include "net/literals.hpp"
#include "py/call.hpp"
#include "py/coroutine.hpp"
#include "py/error.hpp"
#include "py/inspect.hpp"
#include "py/method.hpp"
#include "py/type.hpp"

namespace veloop::net {
namespace {

constexpr int kHarmlessFlags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
constexpr Py_ssize_t kLongestPort = 5;
constexpr long kHighestPort = 65535;

// The arguments of a call that can be answered here. All pointers are borrowed.
struct Question {
  PyObject* host = nullptr;
  PyObject* port = nullptr;
  int family = 0;
  int type = 0;
  int proto = 0;
  int flags = 0;
  Address address;       // of the host
  bool has_port = true;  // false: the port is None

  // Declines, without an error, what must be left to asyncio.
  [[nodiscard]] bool try_parse(const py::Names& names, PyObject* const* args, Py_ssize_t count,
                               PyObject* keywords) noexcept;
  // Questions with the same key are answered with the same families, types and protocols.
  [[nodiscard]] py::Ref<> key() const noexcept {
    const long bits = (address.family() == AF_INET6 ? 1L : 0L) | (has_port ? 2L : 0L) |
                      (family != 0 ? 4L : 0L) | (static_cast<long>(type) << 3) |
                      (static_cast<long>(proto) << 7);
    return py::steal(PyLong_FromLongLong((static_cast<long long>(flags) << 16) | bits));
  }

 private:
  [[nodiscard]] bool try_parse_host() noexcept;
  [[nodiscard]] bool try_parse_port() noexcept;
};

// A value of an argument that the socket module reads as a C int.
bool try_small_int(PyObject* object, long highest, int& value) noexcept {
  long number = 0;
  if (!try_number(object, highest, number)) return false;
  value = static_cast<int>(number);
  return true;
}

bool Question::try_parse(const py::Names& names, PyObject* const* args, Py_ssize_t count,
                         PyObject* keywords) noexcept {
  const Py_ssize_t keyword_count = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
  if (count > 2) return false;
  if (count > 0) host = args[0];
  if (count > 1) port = args[1];
  for (Py_ssize_t i = 0; i < keyword_count; ++i) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, i);  // interned, as names in calls are
    PyObject* value = args[count + i];
    bool ok = false;
    if (keyword == names.family.get()) {
      ok = try_small_int(value, AF_INET6, family);
    } else if (keyword == names.type.get()) {
      ok = try_small_int(value, 15, type);
    } else if (keyword == names.proto.get()) {
      ok = try_small_int(value, 255, proto);
    } else if (keyword == names.flags.get()) {
      ok = try_small_int(value, kHarmlessFlags, flags) && (flags & ~kHarmlessFlags) == 0;
    } else if (keyword == names.host.get() && host == nullptr) {
      host = value;
      ok = true;
    } else if (keyword == names.port.get() && port == nullptr) {
      port = value;
      ok = true;
    }
    if (!ok) return false;
  }
  return host != nullptr && port != nullptr && try_parse_host() && try_parse_port();
}

bool Question::try_parse_host() noexcept {
  if (!try_host(host, address)) return false;
  if (address.family() == AF_INET6) {
    const in6_addr* host6 = &address.v6.sin6_addr;
    // What an interface or the other family could have a say in is left to the C library.
    if (IN6_IS_ADDR_LINKLOCAL(host6) || IN6_IS_ADDR_MULTICAST(host6) || IN6_IS_ADDR_V4MAPPED(host6))
      return false;
  }
  return family == AF_UNSPEC || family == address.family();
}

bool Question::try_parse_port() noexcept {
  int number = 0;
  if (port == Py_None) {
    has_port = false;
  } else if (PyLong_CheckExact(port)) {
    if (!try_small_int(port, kHighestPort, number)) return false;
  } else {
    const std::string_view text = ascii_text(port, kLongestPort);
    if (text.empty() || text[0] == '0') return false;
    for (const char digit : text) {
      if (digit < '0' || digit > '9') return false;
      number = number * 10 + (digit - '0');
    }
    if (number > kHighestPort) return false;
  }
  // The port lies at the same place in both.
  address.v4.sin_port = htons(static_cast<std::uint16_t>(number));
  return true;
}

// ---- the answer ---------------------------------------------------------------------------------------

// (host, port) or (host, port, 0, 0), as the socket module makes it.
py::Ref<> address_tuple(const Question& question) noexcept {
  // A literal that inet_pton() takes for IPv4 is written as inet_ntop() would write it.
  if (question.address.family() == AF_INET && PyLong_CheckExact(question.port)) {
    return py::steal(PyTuple_Pack(2, question.host, question.port));
  }
  return to_python(&question.address.base, question.address.length);
}

// The list for the kinds in `shape`, a tuple of (family, type, proto).
py::Ref<> answer_of(const Question& question, PyObject* shape) noexcept {
  const auto address = address_tuple(question);
  const auto no_name = py::steal(PyUnicode_FromString(""));
  const Py_ssize_t count = PyTuple_GET_SIZE(shape);
  auto list = py::steal(PyList_New(count));
  if (!address || !no_name || !list) return {};
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* kind = PyTuple_GET_ITEM(shape, i);
    PyObject* entry = PyTuple_New(5);
    if (entry == nullptr) return {};
    PyList_SET_ITEM(list.get(), i, entry);
    for (Py_ssize_t part = 0; part < 3; ++part) {
      PyTuple_SET_ITEM(entry, part, py::new_ref(PyTuple_GET_ITEM(kind, part)));
    }
    PyTuple_SET_ITEM(entry, 3, py::new_ref(no_name.get()));
    PyTuple_SET_ITEM(entry, 4, py::new_ref(address.get()));
  }
  return list;
}

// The (family, type, proto) of each entry; None if answer_of() would not make the same list of it.
py::Ref<> shape_of(const Question& question, PyObject* list) noexcept {
  if (!PyList_CheckExact(list)) return py::none();
  const Py_ssize_t count = PyList_GET_SIZE(list);
  auto shape = py::steal(PyTuple_New(count));
  if (!shape) return {};
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* entry = PyList_GET_ITEM(list, i);
    if (!PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != 5) return py::none();
    PyObject* kind = PyTuple_GetSlice(entry, 0, 3);
    if (kind == nullptr) return {};
    PyTuple_SET_ITEM(shape.get(), i, kind);
  }
  const auto ours = answer_of(question, shape.get());
  if (!ours) return {};
  const int same = PyObject_RichCompareBool(ours.get(), list, Py_EQ);
  if (same < 0) return {};
  return same == 1 ? std::move(shape) : py::none();
}

// Asks the C library, which does not block for a literal, and remembers the kinds it listed.
py::Ref<> ask_library(const Question& question, py::Lookups& lookups, PyObject* key) noexcept {
  auto list =
      py::steal(PyObject_CallFunction(lookups.getaddrinfo.get(), "OOiiii", question.host, question.port,
                                      question.family, question.type, question.proto, question.flags));
  if (!list) return {};
  const auto shape = shape_of(question, list.get());
  if (!shape || (shape.get() != Py_None && PyDict_SetItem(lookups.shapes.get(), key, shape.get()) < 0))
    return {};
  return list;
}

// What socket.getaddrinfo() returns. Null, with its error set, on failure.
py::Ref<> look_up(const Question& question, py::Lookups& lookups) noexcept {
  const auto key = question.key();
  if (!key) return {};
  PyObject* shape = PyDict_GetItemWithError(lookups.shapes.get(), key.get());
  if (shape == nullptr)
    return PyErr_Occurred() != nullptr ? py::Ref<>() : ask_library(question, lookups, key.get());
  if (PySys_Audit("socket.getaddrinfo", "OOiii", question.host, question.port, question.family, question.type,
                  question.proto) < 0) {
    return {};
  }
  return answer_of(question, shape);
}

// ---- the coroutine ------------------------------------------------------------------------------------

// Returns at its first step what is known already.
class Lookup {
 public:
  static constexpr const char* kTypeName = "veloop._native.Lookup";

  const char* name() const noexcept { return "getaddrinfo"; }
  const char* qualified_name() const noexcept { return "BaseEventLoop.getaddrinfo"; }
  void set_answer(py::Ref<> answer) noexcept { answer_ = std::move(answer); }

  py::Step start(PyObject*) noexcept { return py::Step::returns(std::move(answer_)); }
  py::Step resume(py::Ref<>) noexcept { return py::Step::raises(); }  // It never waits.
  void abandon() noexcept {}

  template <class V>
  int visit_refs(V&& visit) {
    return visit(answer_);
  }

 private:
  py::Ref<> answer_;
};

using LookupCoroutine = py::Coroutine<Lookup>;

// Whether nobody replaced socket.getaddrinfo, as tests and resolvers do.
bool is_library_untouched(const py::State& state) noexcept {
  if (!state.lookups.getaddrinfo) return false;
  const auto current = py::find_attr(state.lookups.socket_module.get(), state.names.getaddrinfo.get());
  return current.get() == state.lookups.getaddrinfo.get();
}

PyObject* getaddrinfo(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  return py::guard([&]() -> PyObject* {
    core::Loop& loop = core::loop_of(self);
    py::State& state = loop.state();
    Question question;
    if (!loop.debug() && !loop.closed() && question.try_parse(state.names, args, count, keywords) &&
        is_library_untouched(state)) {
      if (auto answer = look_up(question, state.lookups)) {
        PyObject* coroutine = py::new_object<LookupCoroutine>(state.types.lookup.get());
        if (coroutine != nullptr) LookupCoroutine::of(coroutine).body.set_answer(std::move(answer));
        return coroutine;
      }
      PyErr_Clear();  // asyncio's own will fail in the same way, when it is awaited.
    }
    const auto inherited = py::call(reinterpret_cast<PyObject*>(&PySuper_Type), state.types.loop.raw(), self);
    const auto method =
        inherited ? py::get_attr(inherited.get(), state.names.getaddrinfo.get()) : py::Ref<>();
    return method ? py::vectorcall(method.get(), args, static_cast<std::size_t>(count), keywords).release()
                  : nullptr;
  });
}

// _literal_address(host, port): what asyncio's _ensure_resolved() would find for the two without asking
// anybody, (host, port) or (host, port, 0, 0). None if it would ask, or if somebody replaced it or one of the
// steps that follow it in create_connection().
PyObject* literal_address(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  long port = 0;
  Address address;
  if (count != 2 || !PyLong_CheckExact(args[1]) || !try_number(args[1], kHighestPort, port) ||
      !try_host(args[0], address) || core::loop_of(self).has_custom_connecting()) {
    Py_RETURN_NONE;
  }
  if (address.family() == AF_INET) return PyTuple_Pack(2, args[0], args[1]);
  return Py_BuildValue("(OOii)", args[0], args[1], 0, 0);
}

}  // namespace

const std::vector<PyMethodDef>& lookup_methods() {
  static const std::vector<PyMethodDef> methods = {
      {"getaddrinfo", py::as_method(getaddrinfo), METH_FASTCALL | METH_KEYWORDS,
       "getaddrinfo($self, host, port, *, family=0, type=0, proto=0, flags=0)\n--\n\n"
       "Look up `host` and `port`; a coroutine that returns what socket.getaddrinfo() returns.\n\n"
       "An IPv4 or IPv6 literal with a numeric port is answered at once; everything else is looked up in the\n"
       "default executor. Raises socket.gaierror if the look-up fails."},
      {"_literal_address", py::as_method(literal_address), METH_FASTCALL, nullptr},
  };
  return methods;
}

py::Ref<PyTypeObject> make_lookup_type(PyObject* module, py::State& state) noexcept {
  py::Lookups& lookups = state.lookups;
  lookups.shapes = py::steal(PyDict_New());
  lookups.socket_module = py::steal(PyImport_ImportModule("socket"));
  if (!lookups.shapes || !lookups.socket_module) return {};
  auto function = py::get_attr(lookups.socket_module.get(), state.names.getaddrinfo.get());
  const auto home = function ? py::get_attr(function.get(), "__module__") : py::Ref<>();
  if (!home) {
    PyErr_Clear();
  } else if (PyUnicode_Check(home.get()) && PyUnicode_CompareWithASCIIString(home.get(), "socket") == 0) {
    lookups.getaddrinfo = std::move(function);  // Else it was replaced before we came: never answer for it.
  }
  return py::make_coroutine_type<Lookup>(module);
}

}  // namespace veloop::net
