#include "control/client/record.h"

#include <string.h>

namespace gmesp::client {
namespace {

static_assert(GMESP_SAS_PER_SET == shm::kSasPerSet);
static_assert(GMESP_INTEGRITY_KEY_BYTES_MAX == sizeof(shm::SaSetRecord::integrity_key));
static_assert(GMESP_CIPHER_KEY_BYTES_MAX == sizeof(shm::SaSetRecord::cipher_key));

bool is_zero(const void* bytes, size_t count) {
  const auto* at = static_cast<const uint8_t*>(bytes);
  uint8_t any = 0;
  for (size_t i = 0; i < count; ++i) any = static_cast<uint8_t>(any | at[i]);
  return any == 0;
}

/// Fields a newer caller knows and this library does not must be unused.
bool is_known(const gmesp_sa_set& set) {
  return set.size >= sizeof set &&
         is_zero(reinterpret_cast<const uint8_t*>(&set) + sizeof set, set.size - sizeof set);
}

/// The fields both sides have under one name.
template <class From, class To>
void copy_common(const From& from, To& to) {
  to.mode = from.mode;
  to.integrity = from.integrity;
  to.cipher = from.cipher;
  to.port_uc = from.port_uc;
  to.port_us = from.port_us;
  to.port_pc = from.port_pc;
  to.port_ps = from.port_ps;
  to.spi_uc = from.spi_uc;
  to.spi_us = from.spi_us;
  to.spi_pc = from.spi_pc;
  to.spi_ps = from.spi_ps;
  memcpy(to.ue_address, from.ue_address, sizeof to.ue_address);
  memcpy(to.local_address, from.local_address, sizeof to.local_address);
  memcpy(to.outer_ue_address, from.outer_ue_address, sizeof to.outer_ue_address);
  memcpy(to.outer_local_address, from.outer_local_address, sizeof to.outer_local_address);
  to.outer_ue_port = from.outer_ue_port;
  to.not_after_ms = from.not_after_ms;
  to.cookie = from.cookie;
}

}  // namespace

int to_record(gmesp_dp& dp, const gmesp_sa_set* set, shm::SaSetRecord& record) {
  if (set == nullptr) return GMESP_E_BAD_ARGUMENT;
  if (set->size < sizeof *set || !is_known(*set))
    return fail(dp, GMESP_E_STRUCT_SIZE, "struct gmesp_sa_set of %u bytes, this library knows %zu",
                set->size, sizeof *set);
  if (!is_zero(set->reserved, sizeof set->reserved) ||
      !is_zero(set->reserved2, sizeof set->reserved2) ||
      !is_zero(set->reserved3, sizeof set->reserved3))
    return fail(dp, GMESP_E_BAD_RECORD, "reserved bytes of struct gmesp_sa_set are not zero");
  if (set->integrity_key_bytes > sizeof record.integrity_key)
    return fail(dp, GMESP_E_INTEGRITY_KEY_SIZE, "integrity key of %u bytes, allowed are %zu",
                set->integrity_key_bytes, sizeof record.integrity_key);
  if (set->cipher_key_bytes > sizeof record.cipher_key)
    return fail(dp, GMESP_E_CIPHER_KEY_SIZE, "cipher key of %u bytes, allowed are %zu",
                set->cipher_key_bytes, sizeof record.cipher_key);
  memset(&record, 0, sizeof record);
  record.size = sizeof record;
  record.version = shm::kRecordVersion;
  copy_common(*set, record);
  record.integrity_key_bytes = set->integrity_key_bytes;
  record.cipher_key_bytes = set->cipher_key_bytes;
  memcpy(record.integrity_key, set->integrity_key, set->integrity_key_bytes);
  memcpy(record.cipher_key, set->cipher_key, set->cipher_key_bytes);
  return GMESP_OK;
}

bool to_set_with_keys(const shm::SaSetRecord& from, gmesp_sa_set& to) {
  if (from.size != sizeof from || from.version != shm::kRecordVersion ||
      from.integrity_key_bytes > sizeof to.integrity_key ||
      from.cipher_key_bytes > sizeof to.cipher_key)
    return false;
  GMESP_INIT(&to);
  copy_common(from, to);
  to.integrity_key_bytes = from.integrity_key_bytes;
  to.cipher_key_bytes = from.cipher_key_bytes;
  memcpy(to.integrity_key, from.integrity_key, from.integrity_key_bytes);
  memcpy(to.cipher_key, from.cipher_key, from.cipher_key_bytes);
  return true;
}

void to_view(const shm::SetView& from, gmesp_set_view& to) {
  GMESP_INIT(&to);
  GMESP_INIT(&to.set);
  to.set_id = from.set_id;
  to.installed_ms = from.installed_ms;
  to.last_inbound_ms = from.last_inbound_ms;
  to.path_mtu_bytes = from.path_mtu;
  copy_common(from.record, to.set);
  for (uint32_t role = 0; role < shm::kSasPerSet; ++role) {
    const shm::SaCounters& sa = from.sa[role];
    to.sa[role] = {sa.packets, sa.bytes, sa.sequence, sa.icv_failures, sa.replays, sa.other_drops};
  }
}

void to_event(const shm::Event& from, gmesp_event& to) {
  GMESP_INIT(&to);
  to.kind = from.kind;
  to.time_ms = from.time_ms;
  to.set_id = from.set_id;
  to.cookie = from.cookie;
  to.value = from.value;
  to.spi = from.spi;
  to.sequence = from.sequence;
  memcpy(to.source, from.source, sizeof to.source);
  memcpy(to.destination, from.destination, sizeof to.destination);
  to.source_port = from.source_port;
  to.destination_port = from.destination_port;
  to.reason = from.reason;
  to.role = from.role;
  to.protocol = from.protocol;
  to.suppressed = from.suppressed;
}

}  // namespace gmesp::client
