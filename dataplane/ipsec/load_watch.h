// Whether a receive queue fills faster than it is emptied, told by how full the bursts are.
//
// It must be known before the queue is full, since what a full queue refuses is nobody's choice.
// And shedding makes a worker faster, so that a queue under a flood runs empty again and again:
// were that taken for the end, each new beginning would fill the queue. So the end is that for a
// while no row of full bursts was seen.
//
// Threading: one worker. Errors: none.
#pragma once

#include <cstdint>

namespace gmesp::ipsec {

class LoadWatch {
 public:
  static constexpr uint64_t kEndMs = 10;

  /// `polls` in a row with full bursts mean overload; 0: nothing does.
  explicit LoadWatch(uint32_t polls) : polls_(polls) {}

  /// True while the queue is overloaded.
  bool on_poll(bool is_burst_full, uint64_t now_ms) {
    if (!is_burst_full)
      full_ = 0;
    else if (polls_ != 0 && ++full_ >= polls_)
      until_ms_ = now_ms + kEndMs;
    return now_ms < until_ms_;
  }

 private:
  const uint32_t polls_;
  uint32_t full_ = 0;  ///< polls in a row
  uint64_t until_ms_ = 0;
};

}  // namespace gmesp::ipsec
