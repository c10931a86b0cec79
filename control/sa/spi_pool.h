// SPIs for inbound SAs of the P-CSCF: unique, 256 at least, and not used again before they rested.
//
// Threading: none. Errors: allocate() is false when the range is used up, and nothing is taken.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <unordered_set>

namespace gmesp::sa {

class SpiPool {
 public:
  /// `seed` decides where in the range it begins: a new process should not repeat the last one's.
  SpiPool(uint32_t spi_min, uint32_t spi_max, uint64_t rest_ms, uint64_t seed);

  /// So many will be taken, without a pause for a table that grows.
  void expect(size_t spis) { taken_.reserve(spis); }

  /// Takes two SPIs that are neither in use nor resting nor among `forbidden` (7.1: those of the
  /// UE).
  bool allocate(std::span<const uint32_t> forbidden, uint64_t now_ms, uint32_t& first,
                uint32_t& second);
  /// Marks an SPI that lives already (found after a restart). False if it is taken.
  bool reserve(uint32_t spi) { return taken_.insert(spi).second; }
  bool is_taken(uint32_t spi) const { return taken_.contains(spi); }
  /// From now on it rests.
  void release(uint32_t spi, uint64_t now_ms) { resting_.push_back({now_ms + rest_ms_, spi}); }

  /// Lets go of the SPIs that have rested.
  void wake(uint64_t now_ms);

  /// In use and resting.
  size_t taken() const { return taken_.size(); }
  size_t resting() const { return resting_.size(); }

 private:
  struct Resting {
    uint64_t until_ms;
    uint32_t spi;
  };
  bool next(std::span<const uint32_t> forbidden, uint32_t& spi);

  const uint32_t spi_min_;
  const uint32_t spi_max_;
  const uint64_t rest_ms_;
  uint32_t cursor_;
  std::unordered_set<uint32_t> taken_;
  std::deque<Resting> resting_;  ///< in order of time
};

}  // namespace gmesp::sa
