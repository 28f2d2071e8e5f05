#pragma once
// What the I/O layer keeps per loop: the readers and writers that users registered (add_reader(),
// add_writer(), and what asyncio builds on them), and which descriptor belongs to which transport.
//
// Foreign descriptors are only ever watched: never closed, their flags never changed. One that was closed
// behind our back is forgotten by the kernel, and its number can be used again at once.
#include <Python.h>

#include <array>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/owned_fd.hpp"
#include "core/callback.hpp"
#include "core/loop.hpp"
#include "py/ref.hpp"

namespace veloop::io {

// A native transport or listener, as far as others must know that it uses a descriptor.
class DescriptorUser {
 public:
  [[nodiscard]] virtual PyObject* user() const noexcept = 0;
  [[nodiscard]] virtual bool lets_go() const noexcept = 0;      // closing, or lent out for sendfile
  [[nodiscard]] virtual bool is_lent_out() const noexcept = 0;  // and still watched by its owner

 protected:
  ~DescriptorUser() = default;

 private:
  friend class Descriptors;
  bool held_ = false;
};

class ForeignFd final : public core::Watcher {
 public:
  ForeignFd(core::Loop& loop, int fd) noexcept : loop_(loop), fd_(fd) {}

  void on_events(unsigned events) noexcept override;
  void on_interest_lost(unsigned) noexcept override {}

  py::Ref<> reader;       // Handle
  py::Ref<> writer;       // Handle
  py::Ref<> file_object;  // what was registered, unless it was a number
  [[nodiscard]] py::Ref<>& slot(unsigned direction) noexcept {
    return direction == core::kReadable ? reader : writer;
  }

  // The transport that has lent the descriptor out goes on watching it: who borrows it watches a duplicate.
  void watch_duplicate() noexcept;
  [[nodiscard]] bool watches_duplicate() const noexcept { return static_cast<bool>(duplicate_); }
  [[nodiscard]] int number_to_watch() const noexcept { return duplicate_ ? duplicate_.get() : fd_; }

  // What the handles wait for; interest() may be more, when a registration lingers.
  [[nodiscard]] unsigned wanted() const noexcept {
    return (reader ? core::kReadable : 0U) | (writer ? core::kWritable : 0U);
  }

 private:
  core::Loop& loop_;
  int fd_;
  base::OwnedFd duplicate_;
};

class Descriptors final : public core::Extension {
 public:
  // One read buffer serves all connections of a loop: it stays in the processor's cache.
  static constexpr std::size_t kReadBufferSize = 256 * 1024;

  explicit Descriptors(core::Loop& loop) noexcept : loop_(loop) {}
  // The tables of `loop`, made at first use. May throw std::bad_alloc.
  static Descriptors& of(core::Loop& loop);

  int visit_refs(visitproc visit, void* arg) override;
  void clear() noexcept override;

  // Registers a handle as reader or writer (`direction` is one of core::Interest), cancelling the one that
  // was there. `file_object` is what was given for `fd`; null or a number if only that. False, with OSError
  // set, on failure.
  [[nodiscard]] bool set_handle(int fd, unsigned direction, core::Callback& handle, PyObject* file_object);
  // The same for one who waits to read, has just found nothing there, and will give the place back by leave()
  // when there was; or who waits to have connected, and for whom somebody will wait to read next. The
  // kernel's registration then lingers, so that the next wait costs one system call instead of two. It is
  // edge-triggered, so that what lingers for a file that is closed here, but open in another process, wakes
  // the loop once per arrival, and not for ever.
  [[nodiscard]] bool wait_for(int fd, unsigned direction, core::Callback& handle);
  // Gives up the place of `handle`, if it is still its own.
  void leave(int fd, unsigned direction, core::Callback& handle, bool may_linger) noexcept;
  // Cancels and forgets. True if there was one.
  bool remove_handle(int fd, unsigned direction) noexcept;
  [[nodiscard]] unsigned interest(int fd) const noexcept;
  // The number under which a file object was registered that no longer tells it; -1 if unknown.
  [[nodiscard]] int find_file_object(PyObject* file_object) const noexcept;

  void add_user(int fd, DescriptorUser& user);
  void remove_user(int fd, const DescriptorUser& user) noexcept;
  [[nodiscard]] DescriptorUser* user_of(int fd) const noexcept;

  // The loop keeps a user alive for as long as it watches its descriptor, as asyncio's selector does; one
  // that is not watched (a paused, forgotten transport) can be collected. May drop the last reference.
  void hold(DescriptorUser& user, bool wanted);

  [[nodiscard]] char* read_buffer();

 private:
  // The entry of `fd`, made if there is none.
  [[nodiscard]] ForeignFd& foreign_at(int fd);
  // Makes the poller watch it. False, with OSError set, on failure: the entry is gone then.
  [[nodiscard]] bool watch(ForeignFd& foreign, int fd, unsigned interest);

  core::Loop& loop_;
  std::unordered_map<int, std::unique_ptr<ForeignFd>> foreign_;
  std::vector<DescriptorUser*> users_;
  std::unordered_set<DescriptorUser*> held_;
  std::unique_ptr<char[]> read_buffer_;
};

// add_reader() and its kin, for the Loop type.
const std::vector<PyMethodDef>& descriptor_methods();

// The number of a descriptor given as int or as an object with fileno(), by the rules and with the errors
// of the selectors module; -1 on failure.
int descriptor_number(PyObject* file_object) noexcept;

// Whether no transport uses the descriptor; false, with asyncio's RuntimeError set, if one does.
bool check_unused(core::Loop& loop, PyObject* file_object, int fd) noexcept;

}  // namespace veloop::io
