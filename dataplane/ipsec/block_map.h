// One bit for each 8-byte block of a datagram's payload, in words that belong to somebody else.
#pragma once

#include <cstdint>

namespace gmesp::ipsec {

/// Ranges are [from, to); the caller keeps them within the words.
struct BlockMap {
  uint64_t* words;

  bool get(uint32_t block) const { return words[block / 64] >> (block % 64) & 1; }
  void set(uint32_t block) { words[block / 64] |= uint64_t{1} << (block % 64); }

  void set_all(uint32_t from, uint32_t to) {
    for (uint32_t word = from / 64; word * 64 < to; ++word) words[word] |= mask(word, from, to);
  }
  bool any(uint32_t from, uint32_t to) const {
    for (uint32_t word = from / 64; word * 64 < to; ++word)
      if ((words[word] & mask(word, from, to)) != 0) return true;
    return false;
  }
  bool all(uint32_t from, uint32_t to) const {
    for (uint32_t word = from / 64; word * 64 < to; ++word)
      if (const uint64_t wanted = mask(word, from, to); (words[word] & wanted) != wanted)
        return false;
    return true;
  }

 private:
  /// The bits of `word` that lie in [from, to).
  static uint64_t mask(uint32_t word, uint32_t from, uint32_t to) {
    const uint32_t base = word * 64;
    const uint64_t above = from > base ? ~uint64_t{0} << (from - base) : ~uint64_t{0};
    const uint64_t below = to < base + 64 ? ~(~uint64_t{0} << (to - base)) : ~uint64_t{0};
    return above & below;
  }
};

}  // namespace gmesp::ipsec
