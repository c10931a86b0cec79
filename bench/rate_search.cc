#include "rate_search.h"

#include <algorithm>

namespace gmesp::bench {
namespace {

/// A sender below this share of the rate that was asked for could not keep up.
constexpr double kKeptUp = 0.9;

enum class Outcome : uint8_t { kPassed, kLost, kSenderTooSlow };

}  // namespace

RateSearchResult find_loss_free_rate(const RateSearchOptions& options,
                                     const std::function<TrialCount(double)>& trial) {
  RateSearchResult result;
  bool was_sender_too_slow = false;
  const auto attempt = [&](double rate_per_s) {
    Outcome outcome = Outcome::kLost;
    for (uint32_t i = 0; i < options.attempts && outcome != Outcome::kPassed; ++i) {
      const TrialCount count = trial(rate_per_s);
      ++result.trials;
      if (count.sent == 0 || count.loss() > options.loss_max) continue;
      const bool kept_up = count.offered_per_s >= kKeptUp * rate_per_s;
      result.rate_per_s = std::max(result.rate_per_s, std::min(count.offered_per_s, rate_per_s));
      outcome = kept_up ? Outcome::kPassed : Outcome::kSenderTooSlow;
    }
    was_sender_too_slow = outcome == Outcome::kSenderTooSlow;
    return outcome == Outcome::kPassed;
  };

  double high = options.highest_per_s;
  if (attempt(high)) {
    result.is_limited_by_sender = true;  // of its own bound
    return result;
  }
  bool is_high_of_sender = was_sender_too_slow;
  double low = options.lowest_per_s;
  if (!attempt(low)) {
    result.is_limited_by_sender = was_sender_too_slow;
    return result;
  }
  while (high - low > options.resolution * high) {
    const double middle = (low + high) / 2;
    if (attempt(middle)) {
      low = middle;
    } else {
      high = middle;
      is_high_of_sender = was_sender_too_slow;
    }
  }
  result.is_limited_by_sender = is_high_of_sender;
  return result;
}

}  // namespace gmesp::bench
