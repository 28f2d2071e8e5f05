#pragma once
// A first-in, first-out queue in one growing power-of-two ring of trivially copyable values.
//
// It owns nothing: whoever pushes a pointer decides what it means. Pushing while somebody pops is fine
// (the ready queue does nothing else); indices only grow, so size() is their difference.
#include <cstddef>
#include <cstdlib>
#include <new>
#include <type_traits>

namespace veloop::base {

template <class T>
class RingQueue {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  RingQueue() = default;
  RingQueue(const RingQueue&) = delete;
  RingQueue& operator=(const RingQueue&) = delete;
  ~RingQueue() { std::free(slots_); }

  [[nodiscard]] bool empty() const noexcept { return head_ == tail_; }
  [[nodiscard]] std::size_t size() const noexcept { return tail_ - head_; }
  [[nodiscard]] T operator[](std::size_t index) const noexcept { return slots_[(head_ + index) & mask_]; }

  // Throws std::bad_alloc when the ring cannot grow.
  void push(T value) {
    if (size() == capacity_) grow();
    slots_[tail_++ & mask_] = value;
  }

  // Makes room for `count` more: pushing them does not throw. Throws std::bad_alloc.
  void reserve(std::size_t count) {
    while (capacity_ < size() + count)
      grow();
  }

  // The queue must not be empty.
  T pop() noexcept { return slots_[head_++ & mask_]; }

  // Gives the memory of a burst back. For an occasion that is rarer than push() and pop().
  void release_spare() noexcept {
    if (capacity_ <= kKeepCapacity || size() >= capacity_ / 4) return;
    std::size_t capacity = kKeepCapacity;
    while (capacity < 2 * size())
      capacity *= 2;
    (void)move_to(capacity);  // Without memory for the smaller ring it stays as it is.
  }

 private:
  static constexpr std::size_t kFirstCapacity = 64;
  static constexpr std::size_t kKeepCapacity = 1024;

  void grow() {
    if (!move_to(capacity_ == 0 ? kFirstCapacity : capacity_ * 2)) throw std::bad_alloc();
  }

  [[nodiscard]] bool move_to(std::size_t capacity) noexcept {
    auto* slots = static_cast<T*>(std::malloc(capacity * sizeof(T)));
    if (slots == nullptr) return false;
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i)
      slots[i] = (*this)[i];
    std::free(slots_);
    slots_ = slots;
    capacity_ = capacity;
    mask_ = capacity - 1;
    head_ = 0;
    tail_ = count;
    return true;
  }

  T* slots_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t mask_ = 0;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

}  // namespace veloop::base
