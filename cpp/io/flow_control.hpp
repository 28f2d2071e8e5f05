#pragma once
// The water marks of a transport's write buffer, and whether its protocol was told to pause. Pausing and
// resuming happen on edges only, as in asyncio.transports._FlowControlMixin.
#include <cstddef>
#include <limits>

namespace veloop::io {

class FlowControl {
 public:
  static constexpr std::size_t kDefaultHigh = 64 * 1024;
  static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

  [[nodiscard]] std::size_t high() const noexcept { return high_; }
  [[nodiscard]] std::size_t low() const noexcept { return low_; }
  void set_limits(std::size_t high, std::size_t low) noexcept {
    high_ = high;
    low_ = low;
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
};

}  // namespace veloop::io
