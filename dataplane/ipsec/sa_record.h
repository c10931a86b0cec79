// Whether the fields of an SA set record are what TS 33.203 and this gmespd allow, looked at alone:
// without the other sets.
#pragma once

#include <cstdint>
#include <string>

#include "control/shm/layout.h"
#include "crypto/suite.h"
#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/port_set.h"

namespace gmesp::ipsec {

/// kOk, or the first rule that `record` breaks; `detail` then names the field, what was found and
/// what is allowed (never keys). Weak 3DES keys are found when keys are expanded.
shm::Status check_record(const shm::SaSetRecord& record, const PortSet& protected_ports,
                         uint64_t now_ms, std::string& detail);

/// What distinguishes the SAs of a set (the table of TS 33.203 7.1).
struct SaEnds {
  uint32_t spi;
  uint16_t ue_port;
  uint16_t local_port;
};
SaEnds ends_of(const shm::SaSetRecord& record, shm::SaRole role);

/// Of a record that passed check_record().
inline crypto::Suite suite_of(const shm::SaSetRecord& record) {
  return {static_cast<crypto::Integrity>(record.integrity),
          static_cast<crypto::Cipher>(record.cipher)};
}
inline bool is_tunnel(const shm::SaSetRecord& record) {
  return record.mode == static_cast<uint8_t>(shm::Mode::kUdpEncapsulatedTunnel);
}
inline Address address_of(const uint8_t (&bytes)[16]) {
  return Address::from_ipv6(bytes);
}
/// In transport mode the outer header is the only one.
inline Address outer_ue_of(const shm::SaSetRecord& record) {
  return address_of(is_tunnel(record) ? record.outer_ue_address : record.ue_address);
}
inline Address outer_local_of(const shm::SaSetRecord& record) {
  return address_of(is_tunnel(record) ? record.outer_local_address : record.local_address);
}

}  // namespace gmesp::ipsec
