// Which UE the next packet is of: all alike often, or by Zipf's law, the nth in popularity 1/n as
// often as the first. The popular ones lie anywhere among the others.
//
// Threading: one thread. Memory: eight bytes a UE for Zipf.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace gmesp::bench {

enum class DrawKind : uint8_t { kRandom, kZipf };

class UeDraw {
 public:
  UeDraw(DrawKind kind, uint32_t ues, uint64_t seed) : ues_(ues), random_(seed) {
    if (kind == DrawKind::kRandom) return;
    std::vector<double> weights(ues);
    for (uint32_t rank = 0; rank < ues; ++rank) weights[rank] = 1.0 / (rank + 1);
    std::shuffle(weights.begin(), weights.end(), random_);
    by_weight_ = std::discrete_distribution<uint32_t>(weights.begin(), weights.end());
    is_weighted_ = true;
  }

  /// Below the number of UEs.
  uint32_t ue() {
    return is_weighted_ ? by_weight_(random_) : static_cast<uint32_t>(random_() % ues_);
  }
  /// One of two.
  bool coin() { return (random_() >> 63) != 0; }

 private:
  const uint32_t ues_;
  std::mt19937_64 random_;
  std::discrete_distribution<uint32_t> by_weight_;
  bool is_weighted_ = false;
};

}  // namespace gmesp::bench
