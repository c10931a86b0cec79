// Finds outbound SAs by what a too-big message quotes of their packets: (SPI, UE address), or
// behind a NAT (UE address, port_Uenc).
//
// Unlike the keys of the look-up tables these may repeat without limit, so they stand in chains.
// Threading: the control thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/ipsec/hash_chains.h"
#include "dataplane/ipsec/keyed_hash.h"
#include "dataplane/ipsec/sa_memory.h"

namespace gmesp::ipsec {

class PeerIndex {
 public:
  /// `memory` outlives the index.
  explicit PeerIndex(const SaMemory& memory);

  /// Of a set whose SA memory is written; port_Uenc too if it is known.
  void insert(SetIndex set);
  /// Before the SA memory of the set is wiped.
  void erase(SetIndex set);
  /// After port_Uenc of the set changed.
  void update_port(SetIndex set);

  /// kNoSa if none fits or more than one.
  SaIndex find_by_spi(uint32_t spi, const Address& outer_ue) const;
  SaIndex find_by_port(const Address& outer_ue, uint16_t port) const;

  uint64_t bytes() const;

 private:
  uint64_t spi_hash(uint32_t spi, const Address& outer_ue) const;
  uint64_t port_hash(uint16_t port, const Address& outer_ue) const;
  void erase_port(SetIndex set);

  const SaMemory& memory_;
  KeyedHash hash_;
  HashChains by_spi_;            ///< 2 * set, and 1 more for the SA to port_us
  HashChains by_port_;           ///< set
  std::vector<uint16_t> ports_;  ///< under which each set stands in by_port_; 0: it does not
};

}  // namespace gmesp::ipsec
