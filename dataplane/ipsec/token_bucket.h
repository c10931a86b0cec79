// A token bucket without a timer: refilled by the clock that the caller passes in.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gmesp::ipsec {

class TokenBucket {
 public:
  static constexpr uint64_t kRateMax = 1'000'000'000'000;

  /// `per_second` 0: nothing passes. `burst`: the most that may pass at once. Both are cut to
  /// kRateMax, so that no product below overflows.
  TokenBucket(uint64_t per_second, uint64_t burst)
      : per_second_(std::min(per_second, kRateMax)),
        burst_millitokens_(per_second == 0 ? 0 : std::min(burst, kRateMax) * 1000),
        millitokens_(burst_millitokens_) {}

  bool take(uint64_t now_ms) {
    if (now_ms > last_ms_) {
      const uint64_t elapsed_ms = std::min(now_ms - last_ms_, kElapsedMsMax);
      millitokens_ = std::min(burst_millitokens_, millitokens_ + elapsed_ms * per_second_);
      last_ms_ = now_ms;
    }
    if (millitokens_ < 1000) return false;
    millitokens_ -= 1000;
    return true;
  }

 private:
  /// Longer pauses refill no more than an hour's worth.
  static constexpr uint64_t kElapsedMsMax = 3'600'000;

  uint64_t per_second_;
  uint64_t burst_millitokens_;
  uint64_t millitokens_;
  uint64_t last_ms_ = 0;
};

}  // namespace gmesp::ipsec
