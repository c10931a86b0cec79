// How often each latency was seen: quantiles of any number of samples in fixed memory.
//
// A bucket is at most 1/32 of its value wide, so a quantile is at most 3 % too high. Values are
// ticks of whatever clock the caller reads. Threading: one thread at a time. No allocation after
// construction.
#pragma once

#include <cstdint>
#include <vector>

namespace gmesp::bench {

class LatencyHistogram {
 public:
  LatencyHistogram();

  void add(uint64_t value);

  uint64_t count() const { return count_; }
  /// Exact; 0 if there are none.
  uint64_t min() const { return count_ != 0 ? min_ : 0; }
  uint64_t max() const { return max_; }
  /// A value that at least `share` (0 to 1) of the samples do not exceed; 0 if there are none.
  uint64_t quantile(double share) const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t min_ = UINT64_MAX;
  uint64_t max_ = 0;
};

}  // namespace gmesp::bench
