#pragma once
// What one module object shares: interned names, objects of asyncio, and the native types.
//
// There are no mutable globals: the module owns one State through a capsule, and so does each Loop, since
// the interpreter empties modules before the last loops are gone; each native object knows its Loop.
#include <Python.h>

#include <cstddef>

#include "py/free_list.hpp"
#include "py/inspect.hpp"
#include "py/os_error.hpp"
#include "py/ref.hpp"

namespace veloop::py {

// Attribute and keyword names, spelled once.
// clang-format off
#define VELOOP_NAMES(X)                                                                               \
  X(accept) X(_accept_failed) X(_accepted) X(_attach) X(buffer_updated) X(call_at)                    \
  X(_call_connection_lost) X(callback) X(_callback_failed) X(_cancelled) X(cancelled)                 \
  X(_check_callback) X(_check_ssl_socket) X(_check_thread) X(close) X(connect) X(connection_lost) X(fd)     \
  X(connection_made) X(context) X(create_future) X(create_task) X(eager_start) X(name) X(Task) X(_current_handle) X(data_received)                  \
  X(datagram_received) X(delay) X(_detach) X(done) X(_ensure_fd_no_transport) X(_ensure_resolved)     \
  X(eof_received) X(error_received) X(family) X(fileno) X(flags) X(get_buffer) X(getaddrinfo)         \
  X(getpeername) X(getsockname) X(gettimeout) X(host) X(loop) X(pause_writing) X(peername) X(pipe)    \
  X(port) X(proto) X(_protocol_failed) X(recv) X(recv_into) X(recvfrom) X(recvfrom_into)              \
  X(_report_slow) X(resume_writing) X(_run) X(send) X(sendto) X(set_exception) X(set_result)          \
  X(setblocking) X(slow_callback_duration) X(socket) X(sockname) X(_task_failed) X(time) X(_transport_failed) X(type) \
  X(_buffer) X(_eof) X(feed_data) X(_limit) X(_stream_reader) X(_stream_reader_wr) X(_waiter) X(_wakeup_waiter) \
  X(when) X(_clients) X(_connect_sock) X(_create_connection_transport) X(data) X(_pending_removals) X(_remove) X(_sockets) X(_wakeup) \
  X(_call_eof_received) X(_control_app_writing) X(_control_ssl_reading) X(_input_arrived) X(_start_shutdown) X(_write_appdata)
// clang-format on

struct Names {
#define VELOOP_DECLARE(name) Ref<> name;
  VELOOP_NAMES(VELOOP_DECLARE)
#undef VELOOP_DECLARE
};

// Objects of the standard library that hot code needs.
struct Library {
  Ref<> future;             // asyncio.Future
  Ref<> handle;             // asyncio.Handle
  Ref<> handle_run;         // asyncio.Handle._run, as it was when we were imported
  Ref<> buffered_protocol;  // asyncio.BufferedProtocol
  Ref<> transport_socket;   // asyncio.trsock.TransportSocket
  Ref<> socket;             // socket.socket
  Ref<> socket_base;        // _socket.socket, whose layout is known
  Ref<> extract_stack;      // asyncio.format_helpers.extract_stack
  Ref<> logger;             // asyncio.log.logger
  Ref<> main_thread;        // threading.main_thread
  Ref<> set_wakeup_fd;      // signal.set_wakeup_fd
  Ref<> tasks;              // asyncio.tasks
  Ref<> loop;               // asyncio.SelectorEventLoop
  Ref<> loop_create_task;   // its create_task, as it was when we were imported
  Ref<> server_attach;      // asyncio.Server._attach and _detach, as they were when we were imported
  Ref<> server_detach;
  // Steps of asyncio's create_connection(), as they were when we were imported.
  Ref<> ensure_resolved;
  Ref<> connect_sock;
  Ref<> create_connection_transport;
  Ref<> weak_set;  // weakref.WeakSet
};

struct Types {
  Ref<PyTypeObject> loop;
  Ref<PyTypeObject> handle;
  Ref<PyTypeObject> timer_handle;
  Ref<PyTypeObject> stream;
  Ref<PyTypeObject> datagram;
  Ref<PyTypeObject> read_pipe;
  Ref<PyTypeObject> write_pipe;
  Ref<PyTypeObject> listener;
  Ref<PyTypeObject> socket_op;
  Ref<PyTypeObject> lookup;
  Ref<PyTypeObject> tls_session;
};

// What net/getaddrinfo.cpp keeps.
struct Lookups {
  Ref<> socket_module;
  Ref<> getaddrinfo;  // socket.getaddrinfo as it was when we were imported
  Ref<> shapes;       // dict: kind of question -> tuple of (family, type, proto)
};

// What io/stream_reader.cpp knows of asyncio.streams. Without a protocol_type it is not as it is known.
struct Streams {
  Ref<PyTypeObject> protocol_type;  // StreamReaderProtocol
  Ref<PyTypeObject> reader_type;    // StreamReader
  Ref<> data_received;              // asyncio's own functions
  Ref<> stream_reader;              // a property
  Ref<> feed_data;
  Ref<> wakeup_waiter;
  Ref<> invalid_state;  // InvalidStateError
  TypeVersion protocol_version;
  TypeVersion reader_version;
  bool unchanged = false;
  bool loaded = false;
};

// Handles that are being destroyed, each from within the one before it, and those that wait until it is done
// (linked by their scratch slot).
struct DyingHandles {
  unsigned depth = 0;
  PyObject* waiting = nullptr;
};

struct State {
  Names names;
  Library library;
  Types types;
  Lookups lookups;
  Streams streams;
  FreeList free_handles;  // most live for one turn of the loop (see core/callback.cpp)
  DyingHandles dying_handles;
  ErrorWords error_words;
  Ref<> empty_context;   // null if context_values() does not hold for this Python
  Ref<> no_arguments;    // ()
  Ref<> loop_keyword;    // ("loop",), to make tasks with
  Ref<> fileno_keyword;  // ("fileno",), to make sockets with

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Fills names and library. False, with an error set, on failure.
  [[nodiscard]] bool load() noexcept;
};

// The capsule in a module's `_state` attribute, which owns its State. Null, with an error set, on failure.
Ref<> state_owner_of(PyObject* module) noexcept;

// The State that a capsule owns. Null, with an error set, on failure.
State* state_owned_by(PyObject* capsule) noexcept;

// Gives `module` a State of its own. Null, with an error set, on failure.
State* attach_state(PyObject* module) noexcept;

}  // namespace veloop::py
