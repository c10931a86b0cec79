// Hash chains over the indices of an array: the links stand here, not in what is chained.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace gmesp::ipsec {

inline constexpr uint32_t kEndOfChain = UINT32_MAX;

/// Holds indices below `count`; at twice as many chains, the mean chain is shorter than one.
class HashChains {
 public:
  explicit HashChains(uint32_t count)
      : heads_(std::bit_ceil(2 * count), kEndOfChain), next_(count, kEndOfChain) {}

  uint32_t first(uint64_t hash) const { return heads_[hash & (heads_.size() - 1)]; }
  uint32_t next(uint32_t index) const { return next_[index]; }

  void insert(uint64_t hash, uint32_t index) {
    uint32_t& head = heads_[hash & (heads_.size() - 1)];
    next_[index] = head;
    head = index;
  }
  /// `index` was inserted under `hash`.
  void erase(uint64_t hash, uint32_t index) {
    uint32_t* link = &heads_[hash & (heads_.size() - 1)];
    while (*link != index) link = &next_[*link];
    *link = next_[index];
  }

 private:
  std::vector<uint32_t> heads_;
  std::vector<uint32_t> next_;
};

}  // namespace gmesp::ipsec
