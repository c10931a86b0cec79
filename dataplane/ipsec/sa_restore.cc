// SaDatabase, third part: the sets that a dead process left in SA memory (R-D-A2, R-C-03).
//
// What is believed: a set that was whole (commit mark), whose four SAs agree with one another and
// with the seal, and that install() would take now. Everything else is wiped: each slot that is not
// restored, so that a half-written set leaves no key.
//
// Numbers: stores of a killed process are not lost, so the memory is the last truth to within one
// packet per worker. Outbound, a number is stored before it is used; it jumps ahead all the same,
// so that no doubt about the memory can make one be used twice. Inbound, an SA's highest number is
// stored before its packet is delivered, but after the bits of the window: a process killed in
// between leaves a window whose bits belong to another highest number, and could take a replay. So
// the bits are not believed: everything up to the highest number is refused from then on. What that
// costs is packets that were overtaken during the restart, and their senders repeat them.
//
// Learned port_Uenc is kept: the set can send nothing without it. Path MTUs, owners and reported
// ports are learned again.
#include <algorithm>
#include <cstring>

#include "dataplane/ipsec/replay_window.h"
#include "dataplane/ipsec/sa_database.h"
#include "dataplane/ipsec/sa_record.h"
#include "dataplane/ipsec/set_seal.h"

namespace gmesp::ipsec {

using shm::SaRole;
using shm::Status;

namespace {

/// A bool of SA memory that may hold any byte.
bool is_flag(const bool& field, bool value) {
  uint8_t byte;
  std::memcpy(&byte, &field, sizeof byte);
  return byte == static_cast<uint8_t>(value);
}

/// What write_set() makes of the record for this SA, outer addresses and port_Uenc aside.
bool agrees(const SaIdentity& identity, const shm::SaSetRecord& record, SaRole role) {
  const SaEnds ends = ends_of(record, role);
  return identity.ue == address_of(record.ue_address) &&
         identity.local == address_of(record.local_address) && identity.spi == ends.spi &&
         identity.ue_port == ends.ue_port && identity.local_port == ends.local_port &&
         identity.suite == suite_of(record) && static_cast<uint8_t>(identity.mode) == record.mode &&
         identity.not_after_ms.load(std::memory_order_relaxed) == record.not_after_ms;
}

bool is_empty(const crypto::SaKeys& keys) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&keys);
  return std::all_of(bytes, bytes + sizeof keys, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

void SaDatabase::restore_sets(uint64_t now_ms) {
  for (SetIndex set = 0; set < capacity_sets(); ++set)
    if (!restore_set(set, now_ms)) wipe_set(set);
  free_.take_if([this](SetIndex set) { return is_live(set); });
}

/// False if the slot must be wiped.
bool SaDatabase::restore_set(SetIndex set, uint64_t now_ms) {
  const uint32_t commit = memory_.set_state(set).commit.load(std::memory_order_relaxed);
  if (commit == static_cast<uint32_t>(Commit::kFree)) {
    if (!is_empty(memory_.keys(set))) ++restoration_.unfinished;
    return false;
  }
  if (commit == static_cast<uint32_t>(Commit::kRetired)) {
    ++restoration_.unfinished;
    return false;
  }
  shm::SetView view;
  fill_view(set, view);
  shm::SaSetRecord& record = view.record;
  if (commit != static_cast<uint32_t>(Commit::kLive) || !is_whole(set, record)) {
    note_loss(restoration_.damaged, set, "its fields contradict one another");
    return false;
  }
  if (record.not_after_ms <= now_ms) {
    ++restoration_.expired;
    return false;
  }
  // The keys stand there ready-made; their sizes follow from the suite.
  record.integrity_key_bytes =
      static_cast<uint8_t>(crypto::info(suite_of(record).integrity).key_bytes);
  record.cipher_key_bytes = static_cast<uint8_t>(crypto::info(suite_of(record).cipher).key_bytes);
  std::string detail;
  Status status = check_record(record, protected_ports_, now_ms, detail);
  if (status == Status::kOk) status = check_unique(record, detail);
  if (status == Status::kOk) status = check_room(record, detail);
  if (status != Status::kOk) {
    note_loss(restoration_.refused, set, detail);
    return false;
  }
  if (!continue_numbers(set)) {
    note_loss(restoration_.exhausted, set, "an outbound sequence number is near its end");
    return false;
  }
  forget_path(set);
  publish(set);
  ++restoration_.restored;
  return true;
}

/// `record` is what fill_view() read from the SAs to port_uc and port_us.
bool SaDatabase::is_whole(SetIndex set, const shm::SaSetRecord& record) const {
  const SetState& state = memory_.set_state(set);
  if (state.generation == 0 || state.seal != seal_of(memory_, set)) return false;
  for (const SaRole role : kRoles) {
    const SaHot& hot = memory_.hot(sa_of(set, role));
    const SaIdentity& identity = hot.identity;
    if (!agrees(identity, record, role)) return false;
    const bool same = state.outer_ue == identity.ue && state.outer_local == identity.local;
    if (!is_flag(identity.outer_is_inner, same)) return false;
    const bool has_port = identity.outer_ue_port.load(std::memory_order_relaxed) != 0;
    if (has_port && !is_tunnel(record)) return false;
    // Each packet had a number of its own.
    if (hot.progress.packets.load(std::memory_order_relaxed) >
        hot.progress.sequence.load(std::memory_order_relaxed))
      return false;
  }
  return true;
}

/// False if an outbound number has no room for its jump.
bool SaDatabase::continue_numbers(SetIndex set) {
  for (const SaRole role : kRoles) {
    const SaIndex sa = sa_of(set, role);
    std::atomic<uint32_t>& sequence = hot(sa).progress.sequence;
    const uint32_t last = sequence.load(std::memory_order_relaxed);
    if (is_inbound(role)) {
      ReplayWindow(last, window(sa), window_packets()).mark_all_seen();
      continue;
    }
    if (last > UINT32_MAX - kSequenceJump) return false;
    sequence.store(last + kSequenceJump, std::memory_order_relaxed);
  }
  return true;
}

/// Workers are others now. A process killed while it noted port_Uenc leaves fields that differ:
/// then the port is learned once more.
void SaDatabase::forget_path(SetIndex set) {
  const SaIndex first = set * kSasPerSet;
  uint16_t port = hot(first).identity.outer_ue_port.load(std::memory_order_relaxed);
  for (SaIndex sa = first; sa < first + kSasPerSet; ++sa)
    if (hot(sa).identity.outer_ue_port.load(std::memory_order_relaxed) != port) port = 0;
  for (SaIndex sa = first; sa < first + kSasPerSet; ++sa) {
    SaIdentity& identity = hot(sa).identity;
    identity.outer_ue_port.store(port, std::memory_order_relaxed);
    identity.owner.store(kNoOwner, std::memory_order_relaxed);
    identity.path_mtu.store(0, std::memory_order_relaxed);
    identity.reported_ue_port.store(0, std::memory_order_relaxed);
  }
  memory_.set_state(set).path_mtu_expires_ms.store(0, std::memory_order_relaxed);
}

void SaDatabase::note_loss(uint32_t& count, SetIndex set, const std::string& why) {
  ++count;
  if (restoration_.details.size() < Restoration::kDetailsMax)
    restoration_.details.push_back("set " + std::to_string(id_of(set)) + ": " + why);
}

}  // namespace gmesp::ipsec
