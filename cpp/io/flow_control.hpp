#pragma once
// The water marks of a transport's write buffer, and whether its protocol was told to pause. Pausing and
// resuming happen on edges only, as in asyncio.transports._FlowControlMixin.
#include <Python.h>

#include <cstddef>
#include <limits>
#include <utility>

#include "py/ref.hpp"

namespace veloop::io {

// What set_write_buffer_limits() was given.
struct WriteLimits {
  std::size_t high = 0;
  std::size_t low = 0;
  py::Ref<> given;  // (low, high), if they are no plain numbers: infinity, for instance
};

class FlowControl {
 public:
  static constexpr std::size_t kDefaultHigh = 64 * 1024;
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  [[nodiscard]] std::size_t high() const noexcept { return high_; }
  [[nodiscard]] std::size_t low() const noexcept { return low_; }
  [[nodiscard]] PyObject* given_limits() const noexcept { return given_.get(); }
  void set_limits(WriteLimits limits) noexcept {
    high_ = limits.high;
    low_ = limits.low;
    given_ = std::move(limits.given);
  }
  template <class V>
  int visit_refs(V&& visit) {
    return visit(given_);
  }

  [[nodiscard]] bool paused() const noexcept { return paused_; }
  // True on the edge: the buffer grew above the high mark and the protocol must be told.
  [[nodiscard]] bool must_pause(std::size_t size) noexcept {
    if (size <= high_ || paused_) return false;
    return paused_ = true;
  }
  // True on the edge: the buffer fell to the low mark and the protocol must be told.
  [[nodiscard]] bool must_resume(std::size_t size) noexcept {
    if (!paused_ || size > low_) return false;
    paused_ = false;
    return true;
  }

 private:
  std::size_t high_ = kDefaultHigh;
  std::size_t low_ = kDefaultHigh / 4;
  bool paused_ = false;
  py::Ref<> given_;
};

}  // namespace veloop::io
