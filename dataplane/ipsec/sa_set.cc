// SaDatabase, second half: what is read and changed in a live set. Installing and removing are in
// sa_database.cc.
#include <cstring>

#include "dataplane/ipsec/sa_database.h"
#include "dataplane/ipsec/sa_record.h"

namespace gmesp::ipsec {

using shm::SaRole;
using shm::Status;

namespace {

constexpr uint64_t kMsPerSecond = 1000;

void copy_to(uint8_t (&bytes)[16], const Address& address) {
  std::memcpy(bytes, address.bytes.data(), sizeof bytes);
}

shm::SaCounters counters_of(const SaProgress& progress) {
  shm::SaCounters counters{};
  counters.packets = progress.packets.load(std::memory_order_relaxed);
  counters.bytes = progress.bytes.load(std::memory_order_relaxed);
  counters.sequence = progress.sequence.load(std::memory_order_relaxed);
  counters.icv_failures = progress.icv_failures.load(std::memory_order_relaxed);
  counters.replays = progress.replays.load(std::memory_order_relaxed);
  counters.other_drops = progress.other_drops.load(std::memory_order_relaxed);
  return counters;
}

}  // namespace

Status SaDatabase::set_not_after(uint64_t set_id, uint64_t not_after_ms) {
  if (live_state(set_id) == nullptr) return Status::kNotFound;
  const SaIndex first = static_cast<SetIndex>(set_id) * kSasPerSet;
  if (not_after_ms < hot(first).identity.not_after_ms.load(std::memory_order_relaxed))
    return Status::kLifetimeShrinks;
  for (SaIndex sa = first; sa < first + kSasPerSet; ++sa)
    hot(sa).identity.not_after_ms.store(not_after_ms, std::memory_order_relaxed);
  return Status::kOk;
}

Status SaDatabase::set_peer_port(uint64_t set_id, uint16_t port) {
  if (live_state(set_id) == nullptr) return Status::kNotFound;
  const SaIndex first = static_cast<SetIndex>(set_id) * kSasPerSet;
  if (hot(first).identity.mode != shm::Mode::kUdpEncapsulatedTunnel) return Status::kBadMode;
  if (port == 0) return Status::kBadArgument;
  for (SaIndex sa = first; sa < first + kSasPerSet; ++sa)
    hot(sa).identity.outer_ue_port.store(port, std::memory_order_relaxed);
  note_peer_port(set_id);
  return Status::kOk;
}

void SaDatabase::note_peer_port(uint64_t set_id) {
  if (live_state(set_id) != nullptr) peers_.update_port(static_cast<SetIndex>(set_id));
}

void SaDatabase::set_path_mtu(uint64_t set_id, uint16_t mtu_bytes, uint64_t expires_ms) {
  SetState* state = live_state(set_id);
  if (state == nullptr) return;
  const auto set = static_cast<SetIndex>(set_id);
  for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs}) {
    std::atomic<uint16_t>& path_mtu = hot(sa_of(set, role)).identity.path_mtu;
    const uint16_t current = path_mtu.load(std::memory_order_relaxed);
    if (current != 0 && current < mtu_bytes) return;
    path_mtu.store(mtu_bytes, std::memory_order_relaxed);
  }
  state->path_mtu_expires_ms.store(expires_ms, std::memory_order_relaxed);
}

void SaDatabase::clear_path_mtu(uint64_t set_id, uint64_t now_ms) {
  SetState* state = live_state(set_id);
  if (state == nullptr || state->path_mtu_expires_ms.load(std::memory_order_relaxed) > now_ms)
    return;
  const auto set = static_cast<SetIndex>(set_id);
  for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs})
    hot(sa_of(set, role)).identity.path_mtu.store(0, std::memory_order_relaxed);
  state->path_mtu_expires_ms.store(0, std::memory_order_relaxed);
}

SaIndex SaDatabase::find_outbound_by_spi(uint32_t spi, const Address& outer_ue) const {
  return peers_.find_by_spi(spi, outer_ue);
}

SaIndex SaDatabase::find_outbound_by_peer_port(const Address& outer_ue, uint16_t port) const {
  return peers_.find_by_port(outer_ue, port);
}

uint64_t SaDatabase::live_set_id(SetIndex set, uint64_t& cookie) const {
  if (set >= capacity_sets() || !is_live(set)) return 0;
  cookie = memory_.set_state(set).cookie;
  return id_of(set);
}

Status SaDatabase::view(uint64_t set_id, shm::SetView& view) const {
  if (live_state(set_id) == nullptr) return Status::kNotFound;
  fill_view(static_cast<SetIndex>(set_id), view);
  return Status::kOk;
}

Status SaDatabase::keys_of(uint64_t set_id, shm::SaSetRecord& record) const {
  if (!memory_.keeps_raw_keys()) return Status::kKeyExportOff;
  if (live_state(set_id) == nullptr) return Status::kNotFound;
  const auto set = static_cast<SetIndex>(set_id);
  shm::SetView view;
  fill_view(set, view);
  record = view.record;
  const crypto::Suite suite = suite_of(record);
  record.integrity_key_bytes = static_cast<uint8_t>(crypto::info(suite.integrity).key_bytes);
  record.cipher_key_bytes = static_cast<uint8_t>(crypto::info(suite.cipher).key_bytes);
  std::copy_n(memory_.raw_integrity_key(set)->bytes.begin(), record.integrity_key_bytes,
              record.integrity_key);
  std::copy_n(memory_.keys(set).cipher_key.begin(), record.cipher_key_bytes, record.cipher_key);
  return Status::kOk;
}

Status SaDatabase::next(uint64_t from, shm::SetView& view, uint64_t& next) const {
  for (uint64_t at = from; at < capacity_sets(); ++at) {
    const auto set = static_cast<SetIndex>(at);
    if (!is_live(set)) continue;
    fill_view(set, view);
    next = at + 1;
    return Status::kOk;
  }
  return Status::kEnd;
}

void SaDatabase::fill_view(SetIndex set, shm::SetView& view) const {
  const SetState& state = memory_.set_state(set);
  const SaIdentity& to_uc = hot(sa_of(set, SaRole::kOutPsUc)).identity;
  const SaIdentity& to_us = hot(sa_of(set, SaRole::kOutPcUs)).identity;
  view = {};
  view.set_id = id_of(set);
  view.installed_ms = state.installed_ms;
  view.path_mtu = to_us.path_mtu.load(std::memory_order_relaxed);
  shm::SaSetRecord& record = view.record;
  record.size = sizeof record;
  record.version = shm::kRecordVersion;
  record.mode = static_cast<uint8_t>(to_uc.mode);
  record.integrity = static_cast<uint8_t>(to_uc.suite.integrity);
  record.cipher = static_cast<uint8_t>(to_uc.suite.cipher);
  record.port_uc = to_uc.ue_port;
  record.port_us = to_us.ue_port;
  record.port_pc = to_us.local_port;
  record.port_ps = to_uc.local_port;
  record.spi_uc = to_uc.spi;
  record.spi_us = to_us.spi;
  record.spi_pc = hot(sa_of(set, SaRole::kInUsPc)).identity.spi;
  record.spi_ps = hot(sa_of(set, SaRole::kInUcPs)).identity.spi;
  copy_to(record.ue_address, to_uc.ue);
  copy_to(record.local_address, to_uc.local);
  copy_to(record.outer_ue_address, state.outer_ue);
  copy_to(record.outer_local_address, state.outer_local);
  record.outer_ue_port = to_uc.outer_ue_port.load(std::memory_order_relaxed);
  record.not_after_ms = to_uc.not_after_ms.load(std::memory_order_relaxed);
  record.cookie = state.cookie;
  for (SaIndex i = 0; i < kSasPerSet; ++i) {
    const SaIndex sa = set * kSasPerSet + i;
    const SaProgress& progress = hot(sa).progress;
    view.sa[i] = counters_of(progress);
    if (!is_inbound(role_of(sa))) continue;
    const uint64_t last_ms = progress.last_use_s.load(std::memory_order_relaxed) * kMsPerSecond;
    view.last_inbound_ms = std::max(view.last_inbound_ms, last_ms);
  }
}

}  // namespace gmesp::ipsec
