#pragma once
// Bytes that wait to be sent: exact `bytes` objects are held as they are, everything else is copied when it
// comes, so that nobody can change it afterwards. Sends as many pieces as fit in one call.
#include <Python.h>
#include <sys/types.h>

#include <cstddef>
#include <string_view>
#include <vector>

#include "py/ref.hpp"

namespace veloop::io {

class WriteQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  // Bytes not yet sent.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  // Appends `length` bytes at `data`. If `data` lies in `object`, an exact bytes object, that is kept;
  // otherwise (object null) the bytes are copied. False, with MemoryError set, on failure.
  [[nodiscard]] bool append(PyObject* object, const char* data, std::size_t length);

  // One system call: send(), sendmsg(), or writev() if not `is_socket`. The queue is not empty. Short: there
  // was no room for all that the call offered.
  struct Sent {
    ssize_t count = 0;  // or -1, with errno set
    bool is_short = false;
  };
  [[nodiscard]] Sent send(int fd, bool is_socket) noexcept;

  // For who sends in another way: the first piece, then how many bytes of the queue were sent.
  [[nodiscard]] std::string_view front() const noexcept {
    return {chunks_[first_].data, chunks_[first_].length};
  }
  void consume(std::size_t count) noexcept;
  // Copies up to `size` bytes from the front, over several pieces; returns how many.
  std::size_t peek(char* into, std::size_t size) const noexcept;

  void clear() noexcept;

 private:
  struct Chunk {
    py::Ref<> object;
    const char* data;
    std::size_t length;
  };

  void forget_sent() noexcept;

  std::vector<Chunk> chunks_;
  std::size_t first_ = 0;  // chunks before it are sent
  std::size_t size_ = 0;
};

}  // namespace veloop::io
