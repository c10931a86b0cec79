#include "dataplane/ipsec/sa_database.h"

#include <new>
#include <stdexcept>

#include "dataplane/ipsec/sa_record.h"
#include "dataplane/ipsec/set_seal.h"

namespace gmesp::ipsec {

using shm::SaRole;
using shm::Status;

namespace {

static_assert(SaDatabaseOptions::kCapacitySetsMax * kSasPerSet <= LookupTable::kIndexMax);

SaMemoryOptions memory_options(const SaDatabaseOptions& options) {
  using Options = SaDatabaseOptions;
  if (options.capacity_sets < 1 || options.capacity_sets > Options::kCapacitySetsMax)
    throw std::runtime_error("capacity_sets is " + std::to_string(options.capacity_sets) +
                             ", allowed are 1 to " + std::to_string(Options::kCapacitySetsMax));
  if (options.window_packets < Options::kWindowPacketsMin ||
      options.window_packets > Options::kWindowPacketsMax ||
      options.window_packets % Options::kWindowPacketsStep != 0)
    throw std::runtime_error("window_packets is " + std::to_string(options.window_packets) +
                             ", allowed are the multiples of " +
                             std::to_string(Options::kWindowPacketsStep) + " from " +
                             std::to_string(Options::kWindowPacketsMin) + " to " +
                             std::to_string(Options::kWindowPacketsMax));
  return {options.memory_path, options.capacity_sets, options.window_packets, options.restore,
          options.keep_raw_keys};
}

std::string id_text(uint64_t set_id) {
  return "set " + std::to_string(set_id);
}

}  // namespace

SaDatabase::SaDatabase(const SaDatabaseOptions& options)
    : memory_(memory_options(options)),
      inbound_(2 * options.capacity_sets),
      outbound_(2 * options.capacity_sets),
      peers_(memory_),
      free_(options.capacity_sets),
      protected_ports_(options.protected_ports) {
  if (memory_.is_adopted()) restore_sets(options.now_ms);
}

SetState* SaDatabase::live_state(uint64_t set_id) const {
  const auto set = static_cast<SetIndex>(set_id);
  if (set >= capacity_sets() || !is_live(set) || id_of(set) != set_id) return nullptr;
  return &memory_.set_state(set);
}

uint64_t SaDatabase::hash_of(SaIndex sa) const {
  const SaIdentity& identity = memory_.hot(sa).identity;
  if (is_inbound(role_of(sa))) return inbound_hash(identity.spi, outer_local(sa));
  return outbound_hash(identity.local, identity.local_port, identity.ue, identity.ue_port);
}

Status SaDatabase::install(const shm::SaSetRecord& record, uint64_t now_ms, uint64_t& set_id,
                           std::string& detail) {
  Status status = check_record(record, protected_ports_, now_ms, detail);
  if (status != Status::kOk) return status;
  if (is_withdrawn(suite_of(record))) {
    detail = std::string(crypto::name(suite_of(record))) + " is withdrawn";
    return Status::kAlgorithmWithdrawn;
  }
  status = check_unique(record, detail);
  if (status == Status::kOk) status = check_room(record, detail);
  if (status != Status::kOk) return status;

  const SetIndex set = free_.take();
  const crypto::KeyError error =
      crypto::expand(suite_of(record), {record.integrity_key, record.integrity_key_bytes},
                     {record.cipher_key, record.cipher_key_bytes}, memory_.keys(set));
  if (error != crypto::KeyError::kOk) {
    free_.give_back(set);
    detail = crypto::text(error);
    // The sizes were checked before.
    return Status::kWeakDesKey;
  }
  write_set(set, record, now_ms);
  publish(set);
  set_id = id_of(set);
  return Status::kOk;
}

/// (SPI, destination) names an inbound SA, (addresses, ports) an outbound one, for all sets
/// together. The inbound selectors are the mirrored outbound ones.
Status SaDatabase::check_unique(const shm::SaSetRecord& record, std::string& detail) const {
  const Address outer_local = outer_local_of(record);
  for (const auto& [name, spi] : {std::pair{"spi_ps", record.spi_ps}, {"spi_pc", record.spi_pc}}) {
    const SaIndex sa = find_inbound(inbound_hash(spi, outer_local), spi, outer_local);
    if (sa == kNoSa) continue;
    detail = std::string(name) + " is " + std::to_string(spi) + " at " + text(outer_local) +
             ", which " + id_text(id_of(set_of(sa))) + " uses";
    return Status::kSpiInUse;
  }
  const Address ue = address_of(record.ue_address);
  const Address local = address_of(record.local_address);
  for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs}) {
    const SaEnds ends = ends_of(record, role);
    const SaIndex sa = find_outbound(outbound_hash(local, ends.local_port, ue, ends.ue_port), local,
                                     ends.local_port, ue, ends.ue_port);
    if (sa == kNoSa) continue;
    detail = "local port " + std::to_string(ends.local_port) + " with UE " + text(ue) + " port " +
             std::to_string(ends.ue_port) + " is what " + id_text(id_of(set_of(sa))) + " uses";
    return Status::kSelectorInUse;
  }
  return Status::kOk;
}

/// Two free entries for each key: then both keys of a table find theirs, even in the same buckets,
/// and publishing cannot fail half-way.
Status SaDatabase::check_room(const shm::SaSetRecord& record, std::string& detail) const {
  if (free_.is_empty()) {
    detail = "all " + std::to_string(capacity_sets()) + " sets of capacity_sets are taken";
    return Status::kTableFull;
  }
  const Address ue = address_of(record.ue_address);
  const Address local = address_of(record.local_address);
  for (const SaRole role : kRoles) {
    const SaEnds ends = ends_of(record, role);
    const uint32_t room =
        is_inbound(role) ? inbound_.room(inbound_hash(ends.spi, outer_local_of(record)))
                         : outbound_.room(outbound_hash(local, ends.local_port, ue, ends.ue_port));
    if (room >= 2) continue;
    detail = "the look-up buckets of SPI " + std::to_string(ends.spi) + " are full, with " +
             std::to_string(live_sets_) + " of " + std::to_string(capacity_sets()) + " sets taken";
    return Status::kTableFull;
  }
  return Status::kOk;
}

void SaDatabase::write_set(SetIndex set, const shm::SaSetRecord& record, uint64_t now_ms) {
  SetState& state = memory_.set_state(set);
  state.outer_ue = outer_ue_of(record);
  state.outer_local = outer_local_of(record);
  state.generation = memory_.next_generation();
  state.installed_ms = now_ms;
  state.cookie = record.cookie;
  for (const SaRole role : kRoles) {
    const SaEnds ends = ends_of(record, role);
    SaIdentity& identity = memory_.hot(sa_of(set, role)).identity;
    identity.ue = address_of(record.ue_address);
    identity.local = address_of(record.local_address);
    identity.not_after_ms.store(record.not_after_ms, std::memory_order_relaxed);
    identity.spi = ends.spi;
    identity.ue_port = ends.ue_port;
    identity.local_port = ends.local_port;
    identity.suite = suite_of(record);
    identity.mode = static_cast<shm::Mode>(record.mode);
    identity.owner.store(kNoOwner, std::memory_order_relaxed);
    identity.outer_ue_port.store(record.outer_ue_port, std::memory_order_relaxed);
    identity.outer_is_inner = state.outer_ue == identity.ue && state.outer_local == identity.local;
  }
  if (RawIntegrityKey* raw = memory_.raw_integrity_key(set))
    std::copy_n(record.integrity_key, record.integrity_key_bytes, raw->bytes.begin());
  state.seal = seal_of(memory_, set);
}

void SaDatabase::publish(SetIndex set) {
  memory_.set_state(set).commit.store(static_cast<uint32_t>(Commit::kLive),
                                      std::memory_order_release);
  for (const SaRole role : kRoles) {
    const SaIndex sa = sa_of(set, role);
    table_of(sa).insert(hash_of(sa), sa);
  }
  peers_.insert(set);
  ++live_sets_;
}

Status SaDatabase::unpublish(uint64_t set_id) {
  SetState* state = live_state(set_id);
  if (state == nullptr) return Status::kNotFound;
  const auto set = static_cast<SetIndex>(set_id);
  state->commit.store(static_cast<uint32_t>(Commit::kRetired), std::memory_order_release);
  for (const SaRole role : kRoles) {
    const SaIndex sa = sa_of(set, role);
    memory_.hot(sa).identity.not_after_ms.store(0, std::memory_order_release);
    table_of(sa).erase(hash_of(sa), sa);
  }
  peers_.erase(set);
  --live_sets_;
  return Status::kOk;
}

void SaDatabase::reclaim(SetIndex set) {
  if (set >= capacity_sets()) return;
  SetState& state = memory_.set_state(set);
  if (state.commit.load(std::memory_order_relaxed) != static_cast<uint32_t>(Commit::kRetired))
    return;
  wipe_set(set);
  free_.give_back(set);
}

void SaDatabase::wipe_set(SetIndex set) {
  crypto::wipe(memory_.keys(set));
  if (RawIntegrityKey* raw = memory_.raw_integrity_key(set)) crypto::wipe(raw->bytes);
  for (const SaRole role : kRoles) {
    const SaIndex sa = sa_of(set, role);
    if (is_inbound(role))
      std::fill_n(memory_.window(sa), window_words(window_packets()), uint64_t{0});
    new (&memory_.hot(sa)) SaHot{};
  }
  new (&memory_.set_state(set)) SetState{};
}

void SaDatabase::withdraw(uint8_t integrity, uint8_t cipher) {
  if (crypto::is_integrity(integrity)) withdrawn_integrity_ |= 1u << integrity;
  if (crypto::is_cipher(cipher)) withdrawn_cipher_ |= 1u << cipher;
}

void SaDatabase::restore(uint8_t integrity, uint8_t cipher) {
  if (crypto::is_integrity(integrity)) withdrawn_integrity_ &= ~(1u << integrity);
  if (crypto::is_cipher(cipher)) withdrawn_cipher_ &= ~(1u << cipher);
}

bool SaDatabase::is_withdrawn(crypto::Suite suite) const {
  return (withdrawn_integrity_ >> static_cast<uint32_t>(suite.integrity) & 1) != 0 ||
         (withdrawn_cipher_ >> static_cast<uint32_t>(suite.cipher) & 1) != 0;
}

}  // namespace gmesp::ipsec
