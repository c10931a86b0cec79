// An endless mix of everything that a P-CSCF's link carries, all of it well-formed: ESP of every
// suite, mode and family, clear SIP, ICMP, ARP, fragments of all of these, from both sides.
#pragma once

#include <random>
#include <utility>
#include <vector>

#include "lab.h"

namespace gmesp::test {

struct Fed {
  ipsec::Side from;
  Bytes frame;
};

class Traffic {
 public:
  explicit Traffic(uint64_t seed) : random_(seed), ues_(all_kinds()), sent_(ues_.size() * 4) {}

  const std::vector<Registration>& ues() const { return ues_; }
  /// A packet, or the fragments of one.
  std::vector<Fed> next();
  /// Clear IP packets that next() protected since the last call.
  std::vector<Bytes> take_protected() { return std::exchange(protected_, {}); }

 private:
  std::vector<Fed> uplink();
  std::vector<Fed> uplink_fragments();
  std::vector<Fed> uplink_inner_fragments();
  std::vector<Fed> downlink();
  std::vector<Fed> clear_from_network();
  std::vector<Fed> clear_from_host();
  std::vector<Fed> icmp();
  std::vector<Fed> small_things();
  Datagram datagram(const Registration& ue, shm::SaRole role, size_t bytes);
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  const Registration& any_ue() { return ues_[below(static_cast<uint32_t>(ues_.size()))]; }
  uint32_t next_sequence(const Registration& ue, shm::SaRole role);

  std::mt19937_64 random_;
  const std::vector<Registration> ues_;
  std::vector<uint32_t> sent_;  ///< sequence numbers used so far, by UE and role
  uint32_t marks_ = 0;
  uint32_t identification_ = 0;
  std::vector<Bytes> protected_;
};

}  // namespace gmesp::test
