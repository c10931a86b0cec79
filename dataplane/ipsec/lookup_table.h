// A hash table from keys that stand elsewhere (in the SAs) to SA indices: one writer, readers that
// neither lock nor retry.
//
// Shape: buckets of one cache line with eight entries of {fingerprint, index}. A key has two
// buckets. It goes into the first unless that is nearly full and the second is emptier, and never
// moves, so a reader can miss nothing that stands still. The last entry of a bucket also counts
// the keys that were sent on to their second bucket, so that a look-up without success reads one
// line as a rule. At the load it is made for (three eighths), one key in seven stands in its second
// bucket after long turnover; in 3 * 10^7 simulated turnovers no key found fewer than two free
// entries (at half load one in 10^6 did).
//
// Threading: insert() and erase() by one thread; the others by any, at any time. The caller keeps
// what an index names alive while a reader may have found it (grace periods).
// Errors: insert() says if there was no room. Nothing is allocated after construction.
#pragma once

#include <emmintrin.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

#include "crypto/prefetch.h"
#include "dataplane/ipsec/sa.h"

namespace gmesp::ipsec {

class LookupTable {
 public:
  static constexpr uint32_t kBucketEntries = 8;
  /// Indices take 24 bits, for the SAs of four million sets.
  static constexpr SaIndex kIndexMax = (1u << 24) - 2;

  /// For up to `keys_max` keys. Throws std::bad_alloc.
  explicit LookupTable(uint32_t keys_max);

  /// The free entries in both buckets of `hash`.
  uint32_t room(uint64_t hash) const;
  /// False, and nothing is changed, if both buckets are full. The same key may be inserted twice.
  bool insert(uint64_t hash, SaIndex sa);
  /// Takes out one entry that insert(hash, sa) put in; false if there is none.
  bool erase(uint64_t hash, SaIndex sa);

  void prefetch_bucket(uint64_t hash) const { crypto::prefetch(&first_bucket(hash)); }

  /// The first index whose fingerprint fits and for which `is_match(index)` is true; else kNoSa.
  template <class Match>
  SaIndex find(uint64_t hash, Match&& is_match) const {
    const Bucket& first = first_bucket(hash);
    const SaIndex found = find_in(first, hash, is_match);
    if (found != kNoSa || sent_on(first) == 0) return found;
    return find_in(second_bucket(hash), hash, is_match);
  }
  /// The index that find() will most probably return.
  SaIndex candidate(uint64_t hash) const {
    return find(hash, [](SaIndex) { return true; });
  }

  uint64_t bytes() const { return (bucket_mask_ + 1) * sizeof(Bucket); }

 private:
  // An entry: fingerprint (32 bits), keys sent on (8 bits, last entry of a bucket only), index + 1
  // (24 bits; 0: free).
  static constexpr uint32_t kSentOnShift = 24;
  static constexpr uint32_t kSentOnMax = 255;
  static constexpr uint32_t kIndexMask = (1u << kSentOnShift) - 1;
  static constexpr uint32_t kLast = kBucketEntries - 1;
  static constexpr uint32_t kKeysPerBucketMax = 3;
  /// Up to this many entries a key goes into its first bucket without a look at the second. Tried
  /// out: at 6 both buckets run full now and then, at 4 twice as many keys are sent on.
  static constexpr uint32_t kFirstBucketEntries = 5;

  struct alignas(64) Bucket {
    std::array<std::atomic<uint64_t>, kBucketEntries> entries;
  };
  static_assert(sizeof(Bucket) == 64);

  static uint32_t fingerprint(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }
  static uint32_t fingerprint_of(uint64_t entry) { return static_cast<uint32_t>(entry >> 32); }
  static bool is_free(uint64_t entry) { return (entry & kIndexMask) == 0; }
  static SaIndex index_of(uint64_t entry) {
    return static_cast<SaIndex>(entry & kIndexMask) - 1;  // free: 0 - 1 is kNoSa
  }
  static uint32_t sent_on(const Bucket& bucket) {
    return bucket.entries[kLast].load(std::memory_order_acquire) >> kSentOnShift & kSentOnMax;
  }

  template <class Match>
  static SaIndex find_in(const Bucket& bucket, uint64_t hash, Match&& is_match) {
    for (uint32_t fitting = fitting_entries(bucket, fingerprint(hash)); fitting != 0;
         fitting &= fitting - 1) {
      const auto at = static_cast<uint32_t>(std::countr_zero(fitting));
      const SaIndex sa = index_of(bucket.entries[at].load(std::memory_order_acquire));
      if (sa != kNoSa && is_match(sa)) return sa;
    }
    return kNoSa;
  }
  /// A bit for each. All are looked at: where in its bucket a key stands cannot be foreseen, and a
  /// branch on it would cost more.
  static uint32_t fitting_entries(const Bucket& bucket, uint32_t wanted) {
#if defined(__SANITIZE_THREAD__)
    uint32_t fitting = 0;
    for (uint32_t at = 0; at < kBucketEntries; ++at) {
      const uint64_t entry = bucket.entries[at].load(std::memory_order_acquire);
      fitting |= static_cast<uint32_t>(fingerprint_of(entry) == wanted) << at;
    }
    return fitting;
#else
    // Two entries in a load, neither torn: aligned words of 8 bytes are whole in wider loads, too.
    // What fits is loaded again, in order, before anything is believed of it.
    const auto* halves = reinterpret_cast<const float*>(bucket.entries.data());
    const __m128i wanted4 = _mm_set1_epi32(static_cast<int>(wanted));
    const auto four_fit = [&](const float* at) {
      constexpr int kHighHalves = 0b11011101;
      const __m128 four = _mm_shuffle_ps(_mm_load_ps(at), _mm_load_ps(at + 4), kHighHalves);
      return _mm_cmpeq_epi32(_mm_castps_si128(four), wanted4);
    };
    const __m128i eight = _mm_packs_epi32(four_fit(halves), four_fit(halves + 8));
    return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(eight, _mm_setzero_si128())));
#endif
  }

  uint64_t first_number(uint64_t hash) const {
    return hash & bucket_mask_;
  }
  /// From bits of the hash that the first number leaves out, and never the same bucket.
  uint64_t second_number(uint64_t hash) const {
    const uint64_t number = (hash * 0x9e3779b97f4a7c15) >> 32 & bucket_mask_;
    return number == first_number(hash) ? number ^ 1 : number;
  }
  const Bucket& first_bucket(uint64_t hash) const {
    return buckets_[first_number(hash)];
  }
  const Bucket& second_bucket(uint64_t hash) const {
    return buckets_[second_number(hash)];
  }

  static uint32_t used(const Bucket& bucket);
  static bool put(Bucket& bucket, uint64_t hash, SaIndex sa);
  static bool take(Bucket& bucket, uint64_t hash, SaIndex sa);
  static void add_sent_on(Bucket& bucket, int32_t change);

  struct Unmap {
    size_t bytes;
    void operator()(Bucket* buckets) const;
  };
  uint64_t bucket_mask_;
  std::unique_ptr<Bucket[], Unmap> buckets_;
};

}  // namespace gmesp::ipsec
