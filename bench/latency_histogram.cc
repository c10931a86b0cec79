#include "latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gmesp::bench {
namespace {

/// Buckets of one power of two; values below twice this have one each.
constexpr uint32_t kPerOctave = 32;
constexpr uint32_t kExactBits = 6;
constexpr uint32_t kBuckets = (64 - kExactBits + 2) * kPerOctave;
static_assert(1u << kExactBits == 2 * kPerOctave);

uint32_t shift_of(uint64_t value) {
  const auto bits = static_cast<uint32_t>(std::bit_width(value));
  return bits > kExactBits ? bits - kExactBits : 0;
}

uint32_t bucket_of(uint64_t value) {
  const uint32_t shift = shift_of(value);
  return shift * kPerOctave + static_cast<uint32_t>(value >> shift);
}

uint64_t last_value_of(uint32_t bucket) {
  if (bucket < 2 * kPerOctave) return bucket;
  const uint32_t shift = bucket / kPerOctave - 1;
  const uint64_t first = uint64_t{bucket - shift * kPerOctave} << shift;
  return first + (uint64_t{1} << shift) - 1;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(kBuckets, 0) {}

void LatencyHistogram::add(uint64_t value) {
  ++buckets_[bucket_of(value)];
  ++count_;
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

uint64_t LatencyHistogram::quantile(double share) const {
  if (count_ == 0) return 0;
  const double clamped = std::clamp(share, 0.0, 1.0);
  const auto rank = std::max<uint64_t>(
      1, static_cast<uint64_t>(std::ceil(clamped * static_cast<double>(count_))));
  uint64_t seen = 0;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank) return std::min(last_value_of(bucket), max_);
  }
  return max_;
}

}  // namespace gmesp::bench
