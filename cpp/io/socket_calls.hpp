#pragma once
// One try of a socket call, without waiting: recv(), send(), accept(), connect() and their relatives.
//
// A plain socket.socket is served by system calls on its descriptor; the number is asked for each time, so
// that a socket closed meanwhile fails with EBADF. Anything else (subclasses, stand-ins), and a plain socket
// that is not non-blocking, is called through its Python methods, as asyncio does.
#include <Python.h>

#include <cstddef>
#include <optional>
#include <utility>

#include "net/address.hpp"
#include "py/buffer.hpp"
#include "py/ref.hpp"
#include "py/state.hpp"

namespace veloop::io {

// How a try ended.
struct Attempt {
  enum class Kind : unsigned char { kDone, kBlocked, kFailed };
  Kind kind = Kind::kFailed;
  py::Ref<> value;  // the result, when done

  // Null means that an error is set, as everywhere.
  static Attempt done(py::Ref<> result) noexcept {
    const Kind kind = result ? Kind::kDone : Kind::kFailed;
    return {kind, std::move(result)};
  }
  static Attempt blocked() noexcept { return {Kind::kBlocked, {}}; }
  static Attempt failed() noexcept { return {}; }
  // From the error that is set: BlockingIOError and InterruptedError mean "not yet".
  static Attempt from_error() noexcept;
};

class SocketCall {
 public:
  enum class Kind : unsigned char {
    kRecv,
    kRecvInto,
    kRecvFrom,
    kRecvFromInto,
    kSendAll,
    kSendTo,
    kConnect,
    kAccept
  };

  void set_up(const py::State& state, Kind kind, PyObject* socket, PyObject* first,
              PyObject* second) noexcept;

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] PyObject* socket() const noexcept { return socket_.get(); }
  [[nodiscard]] PyObject* address() const noexcept { return first_.get(); }  // kConnect
  // Exactly a socket.socket, so that its descriptor may be used.
  [[nodiscard]] bool is_plain() const noexcept { return plain_; }

  // Blocked means that the kernel has nothing left for the caller: its next word will be news.
  [[nodiscard]] bool drains() const noexcept { return plain_ && !by_method_; }

  // sock_recvfrom_into(): no size means that of the buffer. False, with an error set, if it has none.
  [[nodiscard]] bool complete_arguments() noexcept;

  // The first try, and one after the descriptor became ready.
  [[nodiscard]] Attempt try_first(const py::State& state) noexcept;
  [[nodiscard]] Attempt try_again(const py::State& state) noexcept;

  // Where to connect to: the object that messages show, and its native form if there is one.
  void set_address(py::Ref<> object, const net::Address* native) noexcept;

  // Lets go of the caller's memory.
  void release_buffer() noexcept { view_.reset(); }

  template <class V>
  int visit_refs(V&& visit) {
    if (int stop = visit(socket_)) return stop;
    if (int stop = visit(first_)) return stop;
    return visit(second_);
  }

 private:
  [[nodiscard]] int fd(const py::State& state) const noexcept;
  [[nodiscard]] Attempt fall_back(const py::State& state) noexcept;

  [[nodiscard]] Attempt recv(const py::State& state) noexcept;
  [[nodiscard]] Attempt recv_into(const py::State& state) noexcept;
  [[nodiscard]] Attempt send(const py::State& state) noexcept;
  [[nodiscard]] Attempt accept(const py::State& state) noexcept;
  [[nodiscard]] Attempt connect(const py::State& state) noexcept;
  [[nodiscard]] Attempt connect_outcome(const py::State& state) noexcept;
  [[nodiscard]] Attempt call_method(const py::State& state, bool again) noexcept;
  [[nodiscard]] Attempt send_by_method(const py::State& state, bool again) noexcept;
  [[nodiscard]] Attempt accept_by_method(const py::State& state) noexcept;

  py::Ref<> socket_;
  py::Ref<> first_;                     // size, buffer, data or address
  py::Ref<> second_;                    // nbytes or address
  std::optional<py::BufferView> view_;  // what is being sent
  std::optional<net::Address> native_address_;
  std::size_t sent_ = 0;
  Kind kind_ = Kind::kRecv;
  bool plain_ = false;
  bool by_method_ = false;  // the socket is not non-blocking: its own methods know what that means
};

// An int attribute (family, type, proto) of a plain socket, without the enum that socket.socket makes of it.
// -1, with an error set, on failure.
int plain_attribute(const py::State& state, PyObject* socket, PyObject* name) noexcept;

// gettimeout() != 0, as asyncio asks: 1 or 0; -1, with an error set, on failure.
int may_block(const py::State& state, PyObject* socket) noexcept;

}  // namespace veloop::io
