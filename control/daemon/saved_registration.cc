#include "control/daemon/saved_registration.h"

#include <array>
#include <cstring>

#include "control/link/message.h"

namespace gmesp::control {
namespace {

using link::Field;
using link::MessageReader;
using link::MessageWriter;
using link::Tag;

constexpr uint32_t kRecordBytesMax = 8192;

/// A set, flat. Its size tells releases apart.
struct SavedSet {
  uint64_t number, data_plane_id, not_after_ms, drop_at_ms;
  uint8_t ik_fingerprint[16], ck_fingerprint[16];
  uint8_t ue[16], local[16];
  uint32_t spi_uc, spi_us, spi_pc, spi_ps;
  uint16_t port_uc, port_us, port_pc, port_ps;
  uint16_t peer_port;
  uint8_t mode, integrity, cipher, state, has_hints;
  uint8_t reserved[1];
};
static_assert(sizeof(SavedSet) == 128);

struct SavedContext {
  uint64_t latest, old;
  uint8_t has_switched;
  uint8_t reserved[7];
};

SavedSet saved(const sa::SaSet& set) {
  SavedSet flat{};
  flat.number = set.number;
  flat.data_plane_id = set.data_plane_id;
  flat.not_after_ms = set.not_after_ms;
  flat.drop_at_ms = set.drop_at_ms;
  std::memcpy(flat.ik_fingerprint, set.ik_fingerprint.data(), 16);
  std::memcpy(flat.ck_fingerprint, set.ck_fingerprint.data(), 16);
  std::memcpy(flat.ue, set.ue.data(), 16);
  std::memcpy(flat.local, set.local.data(), 16);
  flat.spi_uc = set.spi_uc;
  flat.spi_us = set.spi_us;
  flat.spi_pc = set.spi_pc;
  flat.spi_ps = set.spi_ps;
  flat.port_uc = set.port_uc;
  flat.port_us = set.port_us;
  flat.port_pc = set.port_pc;
  flat.port_ps = set.port_ps;
  flat.peer_port = set.peer_port;
  flat.mode = static_cast<uint8_t>(set.mode);
  flat.integrity = static_cast<uint8_t>(set.algorithms.integrity);
  flat.cipher = static_cast<uint8_t>(set.algorithms.cipher);
  flat.state = static_cast<uint8_t>(set.state);
  flat.has_hints = set.has_hints ? 1 : 0;
  return flat;
}

bool restored(const Field& field, sa::SaSet& set) {
  SavedSet flat;
  if (field.length != sizeof flat) return false;
  std::memcpy(&flat, field.data, sizeof flat);
  const bool is_good = flat.number != sa::kClear && (flat.mode == 1 || flat.mode == 2) &&
                       (flat.integrity == 1 || flat.integrity == 2) && flat.cipher >= 1 &&
                       flat.cipher <= 3 &&
                       (flat.state == static_cast<uint8_t>(sa::SetState::kLive) ||
                        flat.state == static_cast<uint8_t>(sa::SetState::kLingering));
  if (!is_good) return false;
  set.number = flat.number;
  set.context = nullptr;
  set.data_plane_id = flat.data_plane_id;
  set.not_after_ms = flat.not_after_ms;
  set.drop_at_ms = flat.drop_at_ms;
  std::memcpy(set.ik_fingerprint.data(), flat.ik_fingerprint, 16);
  std::memcpy(set.ck_fingerprint.data(), flat.ck_fingerprint, 16);
  std::memcpy(set.ue.data(), flat.ue, 16);
  std::memcpy(set.local.data(), flat.local, 16);
  set.spi_uc = flat.spi_uc;
  set.spi_us = flat.spi_us;
  set.spi_pc = flat.spi_pc;
  set.spi_ps = flat.spi_ps;
  set.port_uc = flat.port_uc;
  set.port_us = flat.port_us;
  set.port_pc = flat.port_pc;
  set.port_ps = flat.port_ps;
  set.peer_port = flat.peer_port;
  set.mode = static_cast<sa::Mode>(flat.mode);
  set.algorithms = {static_cast<sa::Integrity>(flat.integrity),
                    static_cast<sa::Cipher>(flat.cipher)};
  set.state = static_cast<sa::SetState>(flat.state);
  set.has_hints = flat.has_hints != 0;
  return true;
}

std::string text_of(const Field& field) {
  return {reinterpret_cast<const char*>(field.data), field.length};
}

}  // namespace

std::string save_registration(const sa::Context& context) {
  std::array<uint8_t, kRecordBytesMax> bytes;
  MessageWriter writer(bytes.data(), kRecordBytesMax, link::Kind::kNextRegistration, 0);
  const auto put_text = [&](Tag tag, const std::string& text) {
    writer.bytes(tag, text.data(), static_cast<uint32_t>(text.size()));
  };
  SavedContext flat{};
  flat.latest = context.latest;
  flat.old = context.old;
  flat.has_switched = context.has_switched ? 1 : 0;
  writer.bytes(Tag::kSavedContext, &flat, sizeof flat);
  put_text(Tag::kImpi, context.impi);
  if (!context.registration_key.empty()) put_text(Tag::kRegistrationKey, context.registration_key);
  for (const sa::SaSet* set : context.sets) {
    if (set->state != sa::SetState::kLive && set->state != sa::SetState::kLingering) continue;
    const SavedSet one = saved(*set);
    writer.bytes(Tag::kSavedSet, &one, sizeof one);
  }
  for (const std::string& impu : context.impus) put_text(Tag::kImpu, impu);
  return {reinterpret_cast<const char*>(bytes.data()), writer.finish()};
}

bool read_registration(std::string_view bytes, sa::Context& context, std::vector<sa::SaSet>& sets) {
  MessageReader reader;
  if (!reader.open(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())) return false;
  Field field;
  while (reader.next(field)) {
    switch (field.tag) {
      case Tag::kSavedContext: {
        SavedContext flat;
        if (field.length != sizeof flat) return false;
        std::memcpy(&flat, field.data, sizeof flat);
        context.latest = flat.latest;
        context.old = flat.old;
        context.has_switched = flat.has_switched != 0;
        break;
      }
      case Tag::kImpi:
        context.impi = text_of(field);
        break;
      case Tag::kRegistrationKey:
        context.registration_key = text_of(field);
        break;
      case Tag::kImpu:
        context.impus.push_back(text_of(field));
        break;
      case Tag::kSavedSet:
        if (!restored(field, sets.emplace_back())) return false;
        break;
      default:
        break;
    }
  }
  return !reader.is_broken() && !context.impi.empty() && !sets.empty();
}

}  // namespace gmesp::control
