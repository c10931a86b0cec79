// What one worker writes while it scans: Hyperscan's scratch, counts, rates of sources.
//
// Threading: written by its worker; counts are read by one other thread.
#pragma once

#include <hs/hs.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/screen/rule_limiter.h"
#include "dataplane/screen/signature_set.h"

namespace gmesp::screen {

/// A count of one writer.
class Count {
 public:
  void add() { value_.store(get() + 1, std::memory_order_relaxed); }
  uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct alignas(64) SignatureSet::Lane {
  struct OfRule {
    Count matched, dropped;
  };
  struct FreeScratch {
    void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
  };

  /// No datagram is longer, and no message of a stream is looked at beyond it.
  static constexpr size_t kUnfoldedBytesMax = 65'536;

  explicit Lane(size_t rule_count)
      : unfolded(new char[kUnfoldedBytesMax]),
        counts(new OfRule[rule_count]),
        seen(rule_count, 0) {}

  std::unique_ptr<hs_scratch_t, FreeScratch> scratch;
  std::unique_ptr<char[]> unfolded;
  std::unique_ptr<OfRule[]> counts;
  Count scanned, matched, dropped, events, failed;
  /// The message, by its number, that a rule matched last: a rule counts once a message.
  std::vector<uint64_t> seen;
  uint64_t message = 0;
  RuleLimiter limiter;
};

}  // namespace gmesp::screen
