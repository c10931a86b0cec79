#include "dataplane/screen/rule_limiter.h"

#include <algorithm>

namespace gmesp::screen {

RuleLimiter::RuleLimiter() : buckets_(kBuckets) {}

bool RuleLimiter::take(uint64_t source, uint32_t rule, uint32_t per_second, uint64_t now_ms) {
  constexpr uint64_t kSecondUs = 1'000'000;
  constexpr uint64_t kOddMultiplier = 0x9e3779b97f4a7c15;
  const uint64_t key = (source + rule + 1) * kOddMultiplier;
  const uint64_t now_us = now_ms * 1000;
  auto& entries = buckets_[(key >> 32) % kBuckets].entries;
  Entry* entry = std::ranges::find(entries, key, &Entry::key);
  if (entry == std::end(entries)) {
    entry = std::ranges::min_element(entries, {}, &Entry::paid_until_us);
    *entry = {key, 0};
  }
  const uint64_t paid_until_us = std::max(entry->paid_until_us, now_us) + kSecondUs / per_second;
  if (paid_until_us > now_us + kSecondUs) return false;
  entry->paid_until_us = paid_until_us;
  return true;
}

}  // namespace gmesp::screen
