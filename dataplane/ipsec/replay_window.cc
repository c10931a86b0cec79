#include "dataplane/ipsec/replay_window.h"

#include <algorithm>

namespace gmesp::ipsec {

ReplayVerdict ReplayWindow::check(uint32_t sequence) const {
  if (sequence == 0) return ReplayVerdict::kZero;
  if (sequence > highest_) return ReplayVerdict::kFresh;
  if (highest_ - sequence >= window_packets_) return ReplayVerdict::kOld;
  return (word(sequence / 64) & bit(sequence)) != 0 ? ReplayVerdict::kSeen : ReplayVerdict::kFresh;
}

ReplayVerdict ReplayWindow::accept(uint32_t sequence) {
  const ReplayVerdict verdict = check(sequence);
  if (verdict != ReplayVerdict::kFresh) return verdict;
  if (sequence > highest_) {
    // Words that the window enters hold numbers of the last lap.
    const uint32_t block = sequence / 64;
    const uint32_t entered = std::min(block - highest_ / 64, window_words(window_packets_));
    for (uint32_t i = 0; i < entered; ++i) word(block - i) = 0;
    highest_ = sequence;
  }
  word(sequence / 64) |= bit(sequence);
  return ReplayVerdict::kFresh;
}

void ReplayWindow::mark_all_seen() {
  std::fill_n(words_, window_words(window_packets_), ~uint64_t{0});
  // Numbers above the highest share its word. The other words are cleared when they are entered.
  word(highest_ / 64) = ~uint64_t{0} >> (63 - highest_ % 64);
}

}  // namespace gmesp::ipsec
