// Which indices of an array are not in use; allocates only when constructed.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

namespace gmesp::ipsec {

class FreeList {
 public:
  /// All indices below `count` are free; the lowest is taken first.
  explicit FreeList(uint32_t count) : free_(count) { std::iota(free_.rbegin(), free_.rend(), 0); }

  bool is_empty() const { return free_.empty(); }
  uint32_t size() const { return static_cast<uint32_t>(free_.size()); }

  /// Not from an empty list.
  uint32_t take() {
    const uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  /// Takes out all free indices for which `is_taken(index)`.
  template <class Predicate>
  void take_if(Predicate&& is_taken) {
    std::erase_if(free_, is_taken);
  }
  /// `index` was taken; so the list never outgrows what it had at first.
  void give_back(uint32_t index) { free_.push_back(index); }

 private:
  std::vector<uint32_t> free_;
};

}  // namespace gmesp::ipsec
