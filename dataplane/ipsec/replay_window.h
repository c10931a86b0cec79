// The anti-replay window of one inbound SA (RFC 2406 3.4.3, kept as in RFC 6479: a ring of words,
// no shifting).
//
// Exactly `window_packets` numbers are remembered: `highest` and those directly left of it. Numbers
// end at 2^32 - 1 (R-2406-06), so nothing here wraps.
// Use: check() before the ICV, accept() after it, which checks again (R-2406-04): a burst may hold
// the same packet twice. Threading: the SA's owner only.
#pragma once

#include <cstdint>

namespace gmesp::ipsec {

enum class ReplayVerdict : uint8_t { kFresh, kZero, kOld, kSeen };

/// Words of the ring: one is always in the making, the others remember the whole window.
constexpr uint32_t window_words(uint32_t window_packets) {
  return (window_packets + 63) / 64 + 1;
}

/// A view on an SA's highest sequence number (0: none yet) and bitmap of window_words() words, all
/// zero at first.
class ReplayWindow {
 public:
  ReplayWindow(uint32_t highest, uint64_t* words, uint32_t window_packets)
      : highest_(highest), words_(words), window_packets_(window_packets) {}

  ReplayVerdict check(uint32_t sequence) const;
  /// Checks again and marks; moves the window if `sequence` is ahead.
  ReplayVerdict accept(uint32_t sequence);
  /// From here on, highest() and everything below it is refused.
  void mark_all_seen();
  uint32_t highest() const { return highest_; }

 private:
  /// The word of the ring for 64 numbers that differ in their low bits only.
  uint64_t& word(uint32_t block) const { return words_[block % window_words(window_packets_)]; }
  static uint64_t bit(uint32_t sequence) { return uint64_t{1} << (sequence % 64); }

  uint32_t highest_;
  uint64_t* words_;
  uint32_t window_packets_;
};

}  // namespace gmesp::ipsec
