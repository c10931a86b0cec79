// What UEs propose and what operators decide, drawn from so few values that they collide.
#include <algorithm>
#include <cstdio>

#include "model_world.h"

namespace gmesp::sa::model {
namespace {

constexpr std::array<uint16_t, 12> kUePorts = {4000, 4001, 4002, 4003, 4004, 4005,
                                               4006, 4007, 4008, 4009, 6100, 5090};
constexpr std::array<AlgorithmPair, 6> kPairs = {{
    {Integrity::kHmacSha1_96, Cipher::kAesCbc},
    {Integrity::kHmacMd5_96, Cipher::kAesCbc},
    {Integrity::kHmacSha1_96, Cipher::kDesEde3Cbc},
    {Integrity::kHmacMd5_96, Cipher::kDesEde3Cbc},
    {Integrity::kHmacSha1_96, Cipher::kNull},
    {Integrity::kHmacMd5_96, Cipher::kNull},
}};

}  // namespace

std::string write_client(const Proposal& proposal) {
  std::string text;
  for (const AlgorithmPair& pair : proposal.pairs)
    for (const bool is_tunnel : {false, true}) {
      if (!(is_tunnel ? proposal.offers_tunnel : proposal.offers_transport)) continue;
      char entry[256];
      std::snprintf(entry, sizeof entry,
                    "ipsec-3gpp;alg=%s;ealg=%s;mod=%s;spi-c=%010u;spi-s=%010u;port-c=%u;port-s=%u",
                    token(pair.integrity).data(), token(pair.cipher).data(),
                    is_tunnel ? "UDP-enc-tun" : "trans", proposal.spi_c, proposal.spi_s,
                    proposal.port_c, proposal.port_s);
      if (!text.empty()) text += ", ";
      text += entry;
    }
  return text;
}

/// A port that no set has at this address, if one is left.
uint16_t World::free_port(const Address& source, uint16_t other, Dice& dice) const {
  std::vector<uint16_t> free;
  for (const uint16_t port : kUePorts) {
    bool is_free = port != other;
    for (const Set& set : model_.sets())
      if (set.ue == source && (set.port_uc == port || set.port_us == port)) is_free = false;
    if (is_free) free.push_back(port);
  }
  return free.empty() ? dice.one_of(kUePorts) : dice.one_of(free);
}

Proposal World::propose(const Address& source, const Set* protecting, Dice& dice) const {
  constexpr uint32_t kSpis = 4000;
  Proposal proposal;
  proposal.spi_c = 256 + dice.below(dice.one_in(4) ? 24 : kSpis);
  proposal.spi_s = proposal.spi_c + 1 + dice.below(5);
  if (dice.one_in(6)) {
    proposal.port_c = dice.one_of(kUePorts);
    do proposal.port_s = dice.one_of(kUePorts);
    while (proposal.port_s == proposal.port_c);
  } else {
    const bool keeps_port = protecting != nullptr && !dice.one_in(12);
    proposal.port_s = keeps_port ? protecting->port_us : free_port(source, 0, dice);
    proposal.port_c = free_port(source, proposal.port_s, dice);
    if (proposal.port_c == proposal.port_s) proposal.port_c = 4100;
  }
  const uint32_t wanted = dice.one_in(3) ? 1 + dice.below(63) : 63;
  for (size_t i = 0; i < kPairs.size(); ++i)
    if (wanted >> i & 1) proposal.pairs.push_back(kPairs[i]);
  std::rotate(proposal.pairs.begin(), proposal.pairs.begin() + dice.below(proposal.pairs.size()),
              proposal.pairs.end());
  proposal.offers_tunnel = !dice.one_in(4);
  proposal.offers_transport = !proposal.offers_tunnel || !dice.one_in(6);
  return proposal;
}

Policy World::make_policy(Dice dice) {
  Policy policy;
  if (dice.one_in(4)) std::swap(policy.integrity[0], policy.integrity[1]);
  if (dice.one_in(4)) std::swap(policy.ciphers[0], policy.ciphers[1]);
  policy.confidentiality = static_cast<Confidentiality>(dice.below(3));
  policy.ports_pc = {{6100, static_cast<uint16_t>(6103 + dice.below(8))}};
  if (dice.one_in(3)) policy.ports_pc.push_back({6200, 6201});
  policy.unprotected_ports = {5060, 5061, 5090};
  policy.spi_min = 256;
  if (dice.one_in(3)) policy.spi_max = 256 + 8 + dice.below(24);
  if (dice.one_in(2)) policy.rest_ms = dice.one_of(std::array<uint64_t, 3>{1, 1'000, 600'000});
  if (dice.one_in(3)) policy.linger_ms = 10'000;
  if (dice.one_in(3)) policy.drop_ms = 400'000;
  if (dice.one_in(3)) policy.temporary_lifetime_ms = 20'000;
  policy.allows_nat_traversal = !dice.one_in(5);
  policy.answers_missing_nat_capability = dice.one_in(2);
  policy.rejects_clear = dice.one_in(2);
  policy.verifies_bytewise = dice.one_in(2);
  policy.many_registrations = dice.one_in(3);
  if (dice.one_in(3)) policy.procedures_max = 2 + dice.below(4);
  policy.procedures_per_context_max = 2 + dice.below(4);
  return policy;
}

}  // namespace gmesp::sa::model
