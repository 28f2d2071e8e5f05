#pragma once
// A min-heap whose entries know their place, so that any of them can be removed in O(log n).
//
// Keys are stored beside the pointers: comparing does not touch the entries' memory. Equal keys leave in
// the order in which they came (`sequence`). An entry is anything with a `std::size_t heap_index` member;
// kNotInHeap marks one that is in no heap. The heap owns nothing.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace veloop::base {

inline constexpr std::size_t kNotInHeap = static_cast<std::size_t>(-1);

template <class Key, class Entry>
class BinaryHeap {
 public:
  [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] const Key& top_key() const noexcept { return nodes_.front().key; }
  [[nodiscard]] Entry* top() const noexcept { return nodes_.front().entry; }
  [[nodiscard]] Entry* at(std::size_t index) const noexcept { return nodes_[index].entry; }

  void push(Key key, Entry* entry) {
    nodes_.push_back(Node{key, next_sequence_++, entry});
    sift_up(nodes_.size() - 1);
  }

  Entry* pop() noexcept {
    Entry* entry = top();
    remove(*entry);
    return entry;
  }

  // How many keys are not above `limit`: they are the top of the tree.
  [[nodiscard]] std::size_t count_until(const Key& limit, std::size_t from = 0) const noexcept {
    if (from >= nodes_.size() || limit < nodes_[from].key) return 0;
    return 1 + count_until(limit, 2 * from + 1) + count_until(limit, 2 * from + 2);
  }

  // Takes out the entries that count_until(limit) counted, in order. `sink` must not touch the heap.
  template <class Sink>
  void pop_until(const Key& limit, std::size_t count, Sink&& sink) noexcept {
    // One sort is cheaper than that many times down the tree, which misses the cache at each level.
    if (count >= kWorthSorting && count >= nodes_.size() / kWorthSorting) {
      const auto due_end =
          std::partition(nodes_.begin(), nodes_.end(), [&](const Node& node) { return !(limit < node.key); });
      std::sort(nodes_.begin(), due_end);
      for (auto node = nodes_.begin(); node != due_end; ++node) {
        node->entry->heap_index = kNotInHeap;
        sink(node->entry);
      }
      nodes_.erase(nodes_.begin(), due_end);
      rebuild();
      return;
    }
    for (; count > 0; --count)
      sink(pop());
  }

  void remove(Entry& entry) noexcept {
    const std::size_t hole = entry.heap_index;
    entry.heap_index = kNotInHeap;
    const Node last = nodes_.back();
    nodes_.pop_back();
    if (hole < nodes_.size()) {
      nodes_[hole] = last;
      last.entry->heap_index = hole;
      if (hole > 0 && nodes_[hole] < nodes_[parent(hole)]) {
        sift_up(hole);
      } else {
        sift_down(hole);
      }
    }
    release_spare();
  }

 private:
  static constexpr std::size_t kKeepCapacity = 1024;
  static constexpr std::size_t kWorthSorting = 16;  // this many, and one in so many

  struct Node {
    Key key;
    std::uint64_t sequence;
    Entry* entry;
    bool operator<(const Node& other) const noexcept {
      return key < other.key || (!(other.key < key) && sequence < other.sequence);
    }
  };

  static std::size_t parent(std::size_t index) noexcept { return (index - 1) / 2; }

  void place(std::size_t index, const Node& node) noexcept {
    nodes_[index] = node;
    node.entry->heap_index = index;
  }

  void sift_up(std::size_t index) noexcept {
    const Node node = nodes_[index];
    while (index > 0 && node < nodes_[parent(index)]) {
      place(index, nodes_[parent(index)]);
      index = parent(index);
    }
    place(index, node);
  }

  void sift_down(std::size_t index) noexcept {
    const Node node = nodes_[index];
    const std::size_t count = nodes_.size();
    for (std::size_t child = 2 * index + 1; child < count; child = 2 * index + 1) {
      if (child + 1 < count && nodes_[child + 1] < nodes_[child]) ++child;
      if (!(nodes_[child] < node)) break;
      place(index, nodes_[child]);
      index = child;
    }
    place(index, node);
  }

  void rebuild() noexcept {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      nodes_[i].entry->heap_index = i;
    for (std::size_t i = nodes_.size() / 2; i > 0; --i)
      sift_down(i - 1);
    release_spare();
  }

  // A burst of timers gives its memory back, but not at each step.
  void release_spare() noexcept {
    if (nodes_.capacity() > kKeepCapacity && nodes_.size() < nodes_.capacity() / 4) nodes_.shrink_to_fit();
  }

  std::vector<Node> nodes_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace veloop::base
