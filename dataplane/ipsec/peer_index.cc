#include "dataplane/ipsec/peer_index.h"

#include <bit>

namespace gmesp::ipsec {
namespace {

/// The outbound SAs of a set stand under 2 * set (to port_uc) and 2 * set + 1 (to port_us).
constexpr SaIndex outbound_sa(uint32_t entry) {
  return sa_of(entry / 2, entry % 2 == 0 ? shm::SaRole::kOutPsUc : shm::SaRole::kOutPcUs);
}

constexpr uint64_t chain_bytes(uint64_t count) {
  return (std::bit_ceil(2 * count) + count) * sizeof(uint32_t);
}

}  // namespace

PeerIndex::PeerIndex(const SaMemory& memory)
    : memory_(memory),
      by_spi_(2 * memory.capacity_sets()),
      by_port_(memory.capacity_sets()),
      ports_(memory.capacity_sets(), 0) {}

uint64_t PeerIndex::bytes() const {
  const uint64_t sets = memory_.capacity_sets();
  return chain_bytes(2 * sets) + chain_bytes(sets) + sets * sizeof(uint16_t);
}

uint64_t PeerIndex::spi_hash(uint32_t spi, const Address& outer_ue) const {
  return hash_(std::array<uint64_t, 3>{outer_ue.high(), outer_ue.low(), spi});
}

uint64_t PeerIndex::port_hash(uint16_t port, const Address& outer_ue) const {
  return hash_(std::array<uint64_t, 3>{outer_ue.high(), outer_ue.low(), port});
}

void PeerIndex::insert(SetIndex set) {
  const Address& outer_ue = memory_.set_state(set).outer_ue;
  for (const uint32_t entry : {2 * set, 2 * set + 1})
    by_spi_.insert(spi_hash(memory_.hot(outbound_sa(entry)).identity.spi, outer_ue), entry);
  update_port(set);
}

void PeerIndex::erase(SetIndex set) {
  const Address& outer_ue = memory_.set_state(set).outer_ue;
  for (const uint32_t entry : {2 * set, 2 * set + 1})
    by_spi_.erase(spi_hash(memory_.hot(outbound_sa(entry)).identity.spi, outer_ue), entry);
  erase_port(set);
}

void PeerIndex::erase_port(SetIndex set) {
  if (ports_[set] == 0) return;
  by_port_.erase(port_hash(ports_[set], memory_.set_state(set).outer_ue), set);
  ports_[set] = 0;
}

void PeerIndex::update_port(SetIndex set) {
  const uint16_t port =
      memory_.hot(outbound_sa(2 * set)).identity.outer_ue_port.load(std::memory_order_relaxed);
  if (port == ports_[set]) return;
  erase_port(set);
  if (port == 0) return;
  by_port_.insert(port_hash(port, memory_.set_state(set).outer_ue), set);
  ports_[set] = port;
}

SaIndex PeerIndex::find_by_spi(uint32_t spi, const Address& outer_ue) const {
  SaIndex found = kNoSa;
  for (uint32_t entry = by_spi_.first(spi_hash(spi, outer_ue)); entry != kEndOfChain;
       entry = by_spi_.next(entry)) {
    const SaIndex sa = outbound_sa(entry);
    if (memory_.hot(sa).identity.spi != spi) continue;
    if (!(memory_.set_state(set_of(sa)).outer_ue == outer_ue)) continue;
    if (found != kNoSa) return kNoSa;
    found = sa;
  }
  return found;
}

SaIndex PeerIndex::find_by_port(const Address& outer_ue, uint16_t port) const {
  SaIndex found = kNoSa;
  for (uint32_t set = by_port_.first(port_hash(port, outer_ue)); set != kEndOfChain;
       set = by_port_.next(set)) {
    if (ports_[set] != port || !(memory_.set_state(set).outer_ue == outer_ue)) continue;
    if (found != kNoSa) return kNoSa;
    found = outbound_sa(2 * set + 1);
  }
  return found;
}

}  // namespace gmesp::ipsec
