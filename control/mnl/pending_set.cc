#include "control/mnl/pending_set.h"

#include <errno.h>
#include <string.h>

namespace gmesp::mnl {
namespace {

bool is_equal(const uint8_t (&one)[GMESP_ADDRESS_BYTES], const uint8_t* other) {
  return memcmp(one, other, sizeof one) == 0;
}

bool is_equal(const Flow& one, const Flow& other) {
  return is_equal(one.source, other.source) && is_equal(one.destination, other.destination) &&
         one.source_port == other.source_port && one.destination_port == other.destination_port;
}

Flow reversed(const Flow& flow) {
  Flow back = flow;
  memcpy(back.source, flow.destination, sizeof back.source);
  memcpy(back.destination, flow.source, sizeof back.destination);
  back.source_port = flow.destination_port;
  back.destination_port = flow.source_port;
  return back;
}

/// As `flow` if it comes from the UE, turned round if it goes there.
bool turn_inbound(const gmesp_sa_set& set, const Flow& flow, Flow& inbound) {
  const bool goes_out = is_equal(flow.source, set.local_address);
  inbound = goes_out ? reversed(flow) : flow;
  return is_equal(inbound.source, set.ue_address) &&
         is_equal(inbound.destination, set.local_address);
}

/// Keys are compared without a branch on their bytes.
bool is_equal(const Protection& one, const Protection& other) {
  static_assert(sizeof one == 4 + sizeof one.integrity_key + sizeof one.cipher_key, "no padding");
  const auto* left = reinterpret_cast<const volatile uint8_t*>(&one);
  const auto* right = reinterpret_cast<const volatile uint8_t*>(&other);
  uint8_t difference = 0;
  for (size_t i = 0; i < sizeof one; ++i) difference |= left[i] ^ right[i];
  return difference == 0;
}

}  // namespace

bool is_flow_of(const gmesp_sa_set& set, const Flow& flow) {
  Flow in;
  if (!turn_inbound(set, flow, in)) return false;
  return (in.source_port == set.port_uc && in.destination_port == set.port_ps) ||
         (in.source_port == set.port_us && in.destination_port == set.port_pc);
}

bool is_between_ports_of(const gmesp_sa_set& set, const Flow& flow) {
  Flow in;
  if (!turn_inbound(set, flow, in)) return false;
  return (in.source_port == set.port_uc || in.source_port == set.port_us) &&
         (in.destination_port == set.port_pc || in.destination_port == set.port_ps);
}

bool is_sa_of(const gmesp_sa_set& set, const uint8_t destination[GMESP_ADDRESS_BYTES],
              uint32_t spi) {
  if (is_equal(set.local_address, destination)) return spi == set.spi_pc || spi == set.spi_ps;
  return is_equal(set.ue_address, destination) && (spi == set.spi_uc || spi == set.spi_us);
}

bool PendingSet::can_take(const Request& new_sa) const {
  if (is_empty()) return true;
  const Flow& first = parts_[0].flow;
  const bool is_same_way = is_equal(first.source, new_sa.flow.source) &&
                           is_equal(first.destination, new_sa.flow.destination);
  const bool is_way_back = is_equal(first.source, new_sa.flow.destination) &&
                           is_equal(first.destination, new_sa.flow.source);
  return (is_same_way || is_way_back) && sas_ < GMESP_SAS_PER_SET && !find(new_sa.flow) &&
         user_ == new_sa.user;
}

bool PendingSet::take_sa(const Request& new_sa, uint64_t now_ms, Problem& problem) {
  if (is_empty()) {
    user_ = new_sa.user;
    began_ms_ = now_ms;
    protection_ = new_sa.protection;
  } else if (!is_equal(protection_, new_sa.protection)) {
    return problem.set(EINVAL,
                       "SA %#x has other algorithms or keys than SA %#x; the SAs of a set "
                       "share them (TS 33.203 7.1)",
                       new_sa.spi, parts_[0].spi);
  }
  parts_[sas_++] = {new_sa.flow, new_sa.spi, false, Direction::kIn};
  return true;
}

bool PendingSet::take_policy(const Request& new_policy, Problem& problem) {
  for (unsigned i = 0; i < sas_; ++i) {
    if (!is_equal(parts_[i].flow, new_policy.flow)) continue;
    parts_[i].has_policy = true;
    parts_[i].direction = new_policy.direction;
    return true;
  }
  return problem.set(EINVAL, "a policy for ports %u to %u, for which no SA came before",
                     new_policy.flow.source_port, new_policy.flow.destination_port);
}

unsigned PendingSet::policies() const {
  unsigned count = 0;
  for (unsigned i = 0; i < sas_; ++i) count += parts_[i].has_policy ? 1 : 0;
  return count;
}

bool PendingSet::is_complete() const {
  return policies() == GMESP_SAS_PER_SET;
}

const PendingSet::Part* PendingSet::find(const Flow& flow) const {
  for (unsigned i = 0; i < sas_; ++i)
    if (is_equal(parts_[i].flow, flow)) return &parts_[i];
  return nullptr;
}

const PendingSet::Part* PendingSet::inbound(unsigned nth) const {
  for (const Part& part : parts_)
    if (part.direction == Direction::kIn && nth-- == 0) return &part;
  return nullptr;
}

bool PendingSet::build(gmesp_sa_set& set, Problem& problem) const {
  // A proxy begins with the SA that SM7 will use, from the UE's client to the P-CSCF's server port.
  const Part* a = inbound(0);
  const Part* c = inbound(1);
  const Part* b = a != nullptr ? find(reversed(a->flow)) : nullptr;
  const Part* d = c != nullptr ? find(reversed(c->flow)) : nullptr;
  if (b == nullptr || d == nullptr || b->direction != Direction::kOut ||
      d->direction != Direction::kOut || !is_equal(a->flow.source, c->flow.source))
    return problem.set(EINVAL,
                       "the four SAs are not two port pairs, each in and out "
                       "(TS 33.203 7.1)");
  GMESP_INIT(&set);
  set.mode = GMESP_MODE_TRANSPORT;
  set.integrity = protection_.integrity;
  set.cipher = protection_.cipher;
  set.integrity_key_bytes = protection_.integrity_key_bytes;
  set.cipher_key_bytes = protection_.cipher_key_bytes;
  memcpy(set.integrity_key, protection_.integrity_key, sizeof set.integrity_key);
  memcpy(set.cipher_key, protection_.cipher_key, sizeof set.cipher_key);
  memcpy(set.ue_address, a->flow.source, sizeof set.ue_address);
  memcpy(set.local_address, a->flow.destination, sizeof set.local_address);
  set.port_uc = a->flow.source_port;
  set.port_ps = a->flow.destination_port;
  set.port_us = c->flow.source_port;
  set.port_pc = c->flow.destination_port;
  set.spi_ps = a->spi;
  set.spi_uc = b->spi;
  set.spi_pc = c->spi;
  set.spi_us = d->spi;
  return true;
}

void PendingSet::wipe() {
  explicit_bzero(this, sizeof *this);
}

}  // namespace gmesp::mnl
