#include "control/sa/spi_pool.h"

#include <algorithm>

namespace gmesp::sa {

SpiPool::SpiPool(uint32_t spi_min, uint32_t spi_max, uint64_t rest_ms, uint64_t seed)
    : spi_min_(spi_min),
      spi_max_(spi_max),
      rest_ms_(rest_ms),
      cursor_(static_cast<uint32_t>(spi_min + seed % (uint64_t{spi_max} - spi_min + 1))) {}

bool SpiPool::allocate(std::span<const uint32_t> forbidden, uint64_t now_ms, uint32_t& first,
                       uint32_t& second) {
  wake(now_ms);
  if (!next(forbidden, first)) return false;
  if (next(forbidden, second)) return true;
  taken_.erase(first);
  return false;
}

void SpiPool::wake(uint64_t now_ms) {
  while (!resting_.empty() && resting_.front().until_ms <= now_ms) {
    taken_.erase(resting_.front().spi);
    resting_.pop_front();
  }
}

/// Walks on from the last one. The walk is short as long as the range is much larger than what
/// lives; in a narrow range it may visit all of it.
bool SpiPool::next(std::span<const uint32_t> forbidden, uint32_t& spi) {
  const uint64_t range = uint64_t{spi_max_} - spi_min_ + 1;
  if (taken_.size() >= range) return false;
  for (uint64_t step = 0; step < range; ++step) {
    const uint32_t candidate = cursor_;
    cursor_ = cursor_ == spi_max_ ? spi_min_ : cursor_ + 1;
    if (std::find(forbidden.begin(), forbidden.end(), candidate) != forbidden.end()) continue;
    if (!taken_.insert(candidate).second) continue;
    spi = candidate;
    return true;
  }
  return false;
}

}  // namespace gmesp::sa
