#pragma once
// A min-heap whose entries know their place, so that any of them can be removed in O(log n).
//
// Keys are stored beside the pointers: comparing does not touch the entries' memory. Equal keys leave in
// the order in which they came (`sequence`). An entry is anything with a `std::size_t heap_index` member;
// kNotInHeap marks one that is in no heap. The heap owns nothing.
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
    // A burst of timers gives its memory back, but not at each step.
    if (nodes_.capacity() > kKeepCapacity && nodes_.size() < nodes_.capacity() / 4) nodes_.shrink_to_fit();
  }

 private:
  static constexpr std::size_t kKeepCapacity = 1024;

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

  std::vector<Node> nodes_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace veloop::base
