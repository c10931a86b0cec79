// How much each source may send: a table of fixed size, however many sources there are.
//
// A source that is not in the table may send a second's worth at once, then its rate. When more are
// active than there is room for, the one that has been quiet longest in its bucket is forgotten: a
// flood from ever new addresses is not held by its sources, which is what a limit for all together
// is for. An IPv6 source is its /64, which a UE owns as a whole (RFC 6459 5.2).
//
// Threading: one worker. Memory: taken at construction. Errors: none.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/keyed_hash.h"

namespace gmesp::ipsec {

class SourceLimiter {
 public:
  static constexpr uint32_t kBuckets = 4096;
  static constexpr uint32_t kBucketEntries = 4;

  /// `per_second` 0: no limit, and no memory.
  explicit SourceLimiter(uint64_t per_second)
      : cost_us_(per_second == 0 ? 0 : std::max<uint64_t>(1, kSecondUs / per_second)),
        buckets_(per_second == 0 ? 0 : kBuckets) {}

  bool is_on() const { return cost_us_ != 0; }

  /// True if the packet is within the rate. `now_ms` does not go back.
  bool take(const Address& source, uint64_t now_ms) {
    if (!is_on()) return true;
    return pay(entry_of(source), (now_ms + 1) * 1000);
  }
  /// True if nothing is left for the source; takes nothing.
  bool is_used_up(const Address& source, uint64_t now_ms) const {
    // As a rule nobody's is, and then the table is not even looked into.
    if (!is_on() || !is_beyond(paid_longest_us_, (now_ms + 1) * 1000)) return false;
    const uint64_t key = key_of(source);
    for (const Entry& entry : buckets_[key / 2 % kBuckets])
      if (entry.key == key) return is_beyond(entry.paid_until_us, (now_ms + 1) * 1000);
    return false;
  }

 private:
  static constexpr uint64_t kSecondUs = 1'000'000;
  struct Entry {
    uint64_t key = 0;
    uint64_t paid_until_us = 0;  ///< the time at which nothing of the second's worth is used
  };
  using Bucket = std::array<Entry, kBucketEntries>;
  static_assert(sizeof(Bucket) == 64);

  uint64_t key_of(const Address& source) const {
    return hash_(std::array<uint64_t, 2>{source.high(), source.is_ipv4() ? source.low() : 0}) | 1;
  }

  Entry& entry_of(const Address& source) {
    const uint64_t key = key_of(source);
    Bucket& bucket = buckets_[key / 2 % kBuckets];
    Entry* quietest = bucket.data();
    for (Entry& entry : bucket) {
      if (entry.key == key) return entry;
      if (entry.paid_until_us < quietest->paid_until_us) quietest = &entry;
    }
    *quietest = {key, 0};
    return *quietest;
  }

  bool is_beyond(uint64_t paid_until_us, uint64_t now_us) const {
    return std::max(paid_until_us, now_us) + cost_us_ > now_us + std::max(kSecondUs, cost_us_);
  }

  bool pay(Entry& entry, uint64_t now_us) {
    if (is_beyond(entry.paid_until_us, now_us)) return false;
    entry.paid_until_us = std::max(entry.paid_until_us, now_us) + cost_us_;
    paid_longest_us_ = std::max(paid_longest_us_, entry.paid_until_us);
    return true;
  }

  KeyedHash hash_;
  uint64_t cost_us_;  ///< of one packet
  uint64_t paid_longest_us_ = 0;  ///< the latest paid_until_us of all there were
  std::vector<Bucket> buckets_;
};

}  // namespace gmesp::ipsec
