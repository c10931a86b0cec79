// How often a source may match a rule: a table of fixed size, of one worker.
//
// A source that is not in the table may send a second's worth at once. When more sources are active
// than the table has room for, the one that has been quiet longest in its bucket is forgotten.
//
// Threading: one thread. Memory: taken at construction. Errors: none.
#pragma once

#include <cstdint>
#include <vector>

namespace gmesp::screen {

class RuleLimiter {
 public:
  static constexpr uint32_t kBuckets = 2048;
  static constexpr uint32_t kBucketEntries = 4;

  RuleLimiter();

  /// True if the message is within `per_second`, which must not be 0. `source` is a hash that
  /// others cannot foretell; `now_ms` does not go back.
  bool take(uint64_t source, uint32_t rule, uint32_t per_second, uint64_t now_ms);

 private:
  struct Entry {
    uint64_t key;
    uint64_t paid_until_us;  ///< the time at which nothing of the second's worth is used
  };
  struct alignas(64) Bucket {
    Entry entries[kBucketEntries];
  };
  static_assert(sizeof(Bucket) == 64);

  std::vector<Bucket> buckets_;
};

}  // namespace gmesp::screen
