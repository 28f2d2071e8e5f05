#include "io/write_queue.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/sockets.hpp"

namespace veloop::io {

bool WriteQueue::append(PyObject* object, const char* data, std::size_t length) {
  forget_sent();
  py::Ref<> holder;
  if (object != nullptr) {
    holder = py::share(object);
  } else {
    holder = py::steal(PyBytes_FromStringAndSize(data, static_cast<Py_ssize_t>(length)));
    if (!holder) return false;
    data = PyBytes_AS_STRING(holder.get());
  }
  chunks_.push_back(Chunk{std::move(holder), data, length});
  size_ += length;
  return true;
}

WriteQueue::Sent WriteQueue::send(int fd, bool is_socket) noexcept {
  constexpr std::size_t kMostPieces = 64;  // far below IOV_MAX; more pieces do not send faster
  constexpr std::size_t kWorthJoining = 2048;
  std::array<iovec, kMostPieces> pieces;
  std::size_t count = 0;
  std::size_t offered = 0;
  for (std::size_t i = first_; i < chunks_.size() && count < kMostPieces; ++i) {
    pieces[count++] = {const_cast<char*>(chunks_[i].data), chunks_[i].length};
    offered += chunks_[i].length;
  }
  // Head and body of a small response: copying them costs the kernel less than a list of pieces.
  std::array<char, kWorthJoining> joined;
  if (is_socket && count > 1 && offered <= joined.size()) {
    char* end = joined.data();
    for (std::size_t i = 0; i < count; ++i)
      end = std::copy_n(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len, end);
    pieces[0] = {joined.data(), offered};
    count = 1;
  }
  ssize_t sent = 0;
  do {  // An interrupted call is made again: whoever aborts next would discard what is left.
    if (!is_socket) {
      sent = ::writev(fd, pieces.data(), static_cast<int>(count));
    } else if (count == 1) {
      sent = ::send(fd, pieces[0].iov_base, pieces[0].iov_len, base::kSendFlags);
    } else {
      msghdr message = {};
      message.msg_iov = pieces.data();
      message.msg_iovlen = count;
      sent = ::sendmsg(fd, &message, base::kSendFlags);
    }
  } while (sent < 0 && errno == EINTR);
  if (sent > 0) consume(static_cast<std::size_t>(sent));
  return {sent, sent >= 0 && static_cast<std::size_t>(sent) < offered};
}

std::size_t WriteQueue::peek(char* into, std::size_t size) const noexcept {
  std::size_t count = 0;
  for (std::size_t i = first_; i < chunks_.size() && count < size; ++i) {
    const std::size_t part = std::min(chunks_[i].length, size - count);
    std::copy_n(chunks_[i].data, part, into + count);
    count += part;
  }
  return count;
}

void WriteQueue::consume(std::size_t count) noexcept {
  size_ -= count;
  while (count > 0) {
    Chunk& chunk = chunks_[first_];
    if (count < chunk.length) {
      chunk.data += count;
      chunk.length -= count;
      return;
    }
    count -= chunk.length;
    chunk.object.reset();
    ++first_;
  }
  if (size_ == 0) clear();
}

// A queue that is never empty must not keep the places of what it has sent. At most half of them: each is
// moved once for one that was sent, however long the queue lives.
void WriteQueue::forget_sent() noexcept {
  constexpr std::size_t kWorthwhile = 64;
  if (first_ < kWorthwhile || first_ < chunks_.size() / 2) return;
  chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
  if (chunks_.size() < chunks_.capacity() / 4) chunks_.shrink_to_fit();
}

void WriteQueue::clear() noexcept {
  constexpr std::size_t kKeepCapacity = 16;  // an idle connection keeps next to nothing
  std::vector<Chunk> sent;
  sent.swap(chunks_);
  first_ = 0;
  size_ = 0;
  if (sent.capacity() <= kKeepCapacity) {
    sent.clear();
    chunks_.swap(sent);
  }
}

}  // namespace veloop::io
