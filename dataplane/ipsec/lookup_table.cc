#include "dataplane/ipsec/lookup_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>

namespace gmesp::ipsec {

LookupTable::LookupTable(uint32_t keys_max)
    : bucket_mask_(std::bit_ceil(std::max(2u, keys_max / kKeysPerBucketMax + 1)) - 1) {
  // Zero bytes are free entries. Huge pages, since each look-up of many SAs is a TLB miss else.
  void* memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  madvise(memory, bytes(), MADV_HUGEPAGE);
  buckets_ = {static_cast<Bucket*>(memory), Unmap{bytes()}};
}

void LookupTable::Unmap::operator()(Bucket* buckets) const {
  munmap(buckets, bytes);
}

uint32_t LookupTable::room(uint64_t hash) const {
  return 2 * kBucketEntries - used(first_bucket(hash)) - used(second_bucket(hash));
}

bool LookupTable::insert(uint64_t hash, SaIndex sa) {
  Bucket& first = buckets_[first_number(hash)];
  Bucket& second = buckets_[second_number(hash)];
  const uint32_t used_first = used(first);
  if (used_first < kFirstBucketEntries || used_first <= used(second)) return put(first, hash, sa);
  if (sent_on(first) == kSentOnMax) return put(first, hash, sa);
  if (!put(second, hash, sa)) return false;
  add_sent_on(first, 1);
  return true;
}

bool LookupTable::erase(uint64_t hash, SaIndex sa) {
  Bucket& first = buckets_[first_number(hash)];
  if (take(first, hash, sa)) return true;
  if (!take(buckets_[second_number(hash)], hash, sa)) return false;
  add_sent_on(first, -1);
  return true;
}

uint32_t LookupTable::used(const Bucket& bucket) {
  return static_cast<uint32_t>(std::count_if(
      bucket.entries.begin(), bucket.entries.end(),
      [](const auto& slot) { return !is_free(slot.load(std::memory_order_relaxed)); }));
}

/// Entries are whole at any moment: each is stored as one word. The count in the last entry stays.
bool LookupTable::put(Bucket& bucket, uint64_t hash, SaIndex sa) {
  for (std::atomic<uint64_t>& slot : bucket.entries) {
    const uint64_t entry = slot.load(std::memory_order_relaxed);
    if (!is_free(entry)) continue;
    const uint64_t count = entry & (uint64_t{kSentOnMax} << kSentOnShift);
    slot.store(uint64_t{fingerprint(hash)} << 32 | count | (sa + 1), std::memory_order_release);
    return true;
  }
  return false;
}

bool LookupTable::take(Bucket& bucket, uint64_t hash, SaIndex sa) {
  for (std::atomic<uint64_t>& slot : bucket.entries) {
    const uint64_t entry = slot.load(std::memory_order_relaxed);
    if (fingerprint_of(entry) != fingerprint(hash) || index_of(entry) != sa) continue;
    slot.store(entry & (uint64_t{kSentOnMax} << kSentOnShift), std::memory_order_release);
    return true;
  }
  return false;
}

void LookupTable::add_sent_on(Bucket& bucket, int32_t change) {
  std::atomic<uint64_t>& slot = bucket.entries[kLast];
  const uint64_t entry = slot.load(std::memory_order_relaxed);
  const int64_t step = int64_t{change} * (int64_t{1} << kSentOnShift);
  slot.store(entry + static_cast<uint64_t>(step), std::memory_order_release);
}

}  // namespace gmesp::ipsec
