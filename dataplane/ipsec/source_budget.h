// How many unfinished datagrams each source has, so that one source cannot take all slots
// (R-2406-12). A UE owns its whole IPv6 /64 (RFC 6459 5.2) and could else be 2^64 sources.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/free_list.h"
#include "dataplane/ipsec/hash_chains.h"
#include "dataplane/ipsec/keyed_hash.h"

namespace gmesp::ipsec {

class SourceBudget {
 public:
  static constexpr uint32_t kNothingLeft = UINT32_MAX;

  /// As many sources as there are slots: each has one at least. `per_source_max` is not 0.
  SourceBudget(uint32_t sources_max, uint32_t per_source_max)
      : per_source_max_(per_source_max),
        sources_(sources_max),
        chains_(sources_max),
        free_(sources_max) {}

  /// Takes one datagram of `address`; the entry to give back, or kNothingLeft if its share is used
  /// up.
  uint32_t take(const Address& address) {
    const Source source = {address.high(), address.is_ipv4() ? address.low() : 0};
    const uint64_t hash = hash_(source);
    uint32_t entry = chains_.first(hash);
    while (entry != kEndOfChain && sources_[entry].source != source) entry = chains_.next(entry);
    if (entry == kEndOfChain) {
      entry = free_.take();
      sources_[entry] = {source, hash, 0};
      chains_.insert(hash, entry);
    }
    if (sources_[entry].datagrams == per_source_max_) return kNothingLeft;
    ++sources_[entry].datagrams;
    return entry;
  }

  void give_back(uint32_t entry) {
    if (--sources_[entry].datagrams != 0) return;
    chains_.erase(sources_[entry].hash, entry);
    free_.give_back(entry);
  }

 private:
  using Source = std::array<uint64_t, 2>;
  struct Entry {
    Source source;
    uint64_t hash;
    uint32_t datagrams;
  };

  KeyedHash hash_;
  uint32_t per_source_max_;
  std::vector<Entry> sources_;
  HashChains chains_;
  FreeList free_;
};

}  // namespace gmesp::ipsec
