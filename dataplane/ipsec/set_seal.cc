#include "dataplane/ipsec/set_seal.h"

#include <bit>
#include <cstring>

namespace gmesp::ipsec {
namespace {

/// Each step is a bijection of what was before and of the word, so that no single change is lost.
class Seal {
 public:
  void add(uint64_t word) {
    constexpr int kTurn = 29;
    constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
    value_ = std::rotl(value_ ^ word, kTurn) * kOdd;
  }
  void add(const Address& address) {
    add(address.high());
    add(address.low());
  }
  /// Byte by byte as it stands: a damaged enumerator or bool must not be read as one.
  template <class Field>
  void add_bytes(const Field& field) {
    uint64_t word = 0;
    static_assert(sizeof field <= sizeof word);
    std::memcpy(&word, &field, sizeof field);
    add(word);
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

void add_identity(Seal& seal, const SaIdentity& identity) {
  seal.add(identity.ue);
  seal.add(identity.local);
  seal.add(identity.spi);
  seal.add(uint64_t{identity.ue_port} << 16 | identity.local_port);
  seal.add_bytes(identity.suite);
  seal.add_bytes(identity.mode);
  seal.add_bytes(identity.outer_is_inner);
}

/// Of whole words.
template <class Keys>
void add_keys(Seal& seal, const Keys& keys) {
  static_assert(sizeof keys % sizeof(uint64_t) == 0);
  const auto* bytes = reinterpret_cast<const uint8_t*>(&keys);
  for (size_t at = 0; at < sizeof keys; at += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, bytes + at, sizeof word);
    seal.add(word);
  }
}

}  // namespace

uint64_t seal_of(const SaMemory& memory, SetIndex set) {
  const SetState& state = memory.set_state(set);
  Seal seal;
  seal.add(set_id_of(state.generation, set));
  seal.add(state.installed_ms);
  seal.add(state.cookie);
  seal.add(state.outer_ue);
  seal.add(state.outer_local);
  for (SaIndex sa = set * kSasPerSet; sa < (set + 1) * kSasPerSet; ++sa)
    add_identity(seal, memory.hot(sa).identity);
  add_keys(seal, memory.keys(set));
  if (const RawIntegrityKey* raw = memory.raw_integrity_key(set)) add_keys(seal, *raw);
  return seal.value();
}

}  // namespace gmesp::ipsec
