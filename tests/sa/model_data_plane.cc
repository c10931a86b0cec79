#include "model_data_plane.h"

#include <algorithm>

namespace gmesp::sa::model {
namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw Violation(what);
}

size_t cipher_key_bytes(Cipher cipher) {
  return cipher == Cipher::kNull ? 0 : cipher == Cipher::kAesCbc ? 16 : 24;
}

}  // namespace

bool DataPlane::install(const NewSet& fresh) {
  const SaSet& set = *fresh.set;
  require(set.number > highest_, "a set number was used twice");
  highest_ = set.number;
  last_made_ = set;
  has_made_ = true;
  require(
      fresh.integrity_key_bytes == (set.algorithms.integrity == Integrity::kHmacMd5_96 ? 16 : 20),
      "an integrity key of the wrong size");
  require(fresh.cipher_key_bytes == cipher_key_bytes(set.algorithms.cipher),
          "a cipher key of the wrong size");
  promised_.emplace(set.number, set);
  if (is_down) return false;
  const auto bytes = [](const auto& key, size_t count) {
    return std::vector<uint8_t>(key.begin(), key.begin() + static_cast<ptrdiff_t>(count));
  };
  commands_.push_back(
      {true,
       {set, set.context->impi, bytes(fresh.integrity_key, fresh.integrity_key_bytes),
        bytes(fresh.cipher_key, fresh.cipher_key_bytes)}});
  return true;
}

void DataPlane::remove(const SaSet& set, GoneBecause) {
  require(promised_.erase(set.number) == 1, "a set was removed that is not there");
  commands_.push_back({false, {set, "", {}, {}}});
}

/// 7.4.1a note: the lifetime of an SA is never decreased.
void DataPlane::set_not_after(const SaSet& set) {
  const auto known = promised_.find(set.number);
  require(known != promised_.end(), "a lifetime came for a set that is not there");
  require(set.not_after_ms >= known->second.not_after_ms, "a lifetime shrank");
  known->second.not_after_ms = set.not_after_ms;
}

void DataPlane::answer(uint64_t request, const Verdict& verdict) {
  require(answers_.emplace(request, verdict).second, "a request was answered twice");
}

void DataPlane::changed(const Context& context) {
  Saved saved{context, {}};
  for (const SaSet* set : context.sets) {
    require(is_promised(set->number), "a context was saved with a set that is gone");
    if (set->state == SetState::kLive || set->state == SetState::kLingering)
      saved.sets.emplace(set->number, *set);
  }
  if (context.sink_record == 0) context.sink_record = ++records_;
  if (saved.sets.empty())
    saved_.erase(context.sink_record);
  else
    saved_.insert_or_assign(context.sink_record, std::move(saved));
}

KeyFingerprint DataPlane::fingerprint(std::span<const uint8_t> key) {
  KeyFingerprint print;
  require(key.size() == print.size(), "a key of the wrong size");
  std::transform(key.begin(), key.end(), print.begin(),
                 [](uint8_t byte) { return static_cast<uint8_t>(byte ^ 0x5a); });
  return print;
}

/// Against everything that is held at this moment, in the order of the commands.
void DataPlane::check_fits(const HeldSet& fresh) const {
  const SaSet& own = fresh.set;
  int stored = 1;
  for (const HeldSet& other : held_) {
    const SaSet& set = other.set;
    if (set.ue == own.ue) {
      require(set.port_uc != own.port_uc || set.port_ps != own.port_ps,
              "two SAs from port_uc to port_ps at once");
      require(set.port_us != own.port_us || set.port_pc != own.port_pc,
              "two SAs from port_us to port_pc at once");
      require(set.port_uc != own.port_us || set.port_ps != own.port_pc,
              "SA-a of one set is SA-c of another");
      require(set.port_us != own.port_uc || set.port_pc != own.port_ps,
              "SA-c of one set is SA-a of another");
    }
    for (const uint32_t spi : {own.spi_pc, own.spi_ps})
      require(spi != set.spi_pc && spi != set.spi_ps, "two inbound SAs with one SPI");
    if (other.impi != fresh.impi) continue;
    if (other.set.context == fresh.set.context) ++stored;
    require(!std::equal(other.integrity_key.begin(), other.integrity_key.begin() + 16,
                        fresh.integrity_key.begin()),
            "a set was installed with the IK of a set that lives");
    require(fresh.cipher_key.empty() || other.cipher_key != fresh.cipher_key,
            "a set was installed with the CK of a set that lives");
  }
  require(stored <= 3, "more than six SAs per direction of one user");
}

SetNumber DataPlane::carry_out(bool refuses_installation) {
  const Command command = std::move(commands_.front());
  commands_.pop_front();
  if (!command.installs) {
    lose(command.set.set.number);
    return kClear;
  }
  if (!refuses_installation) {
    check_fits(command.set);
    held_.push_back(command.set);
  }
  return command.set.set.number;
}

void DataPlane::lose(SetNumber number) {
  std::erase_if(held_, [&](const HeldSet& held) { return held.set.number == number; });
}

bool DataPlane::holds(SetNumber number) const {
  return std::any_of(held_.begin(), held_.end(),
                     [&](const HeldSet& held) { return held.set.number == number; });
}

}  // namespace gmesp::sa::model
