// Congestion marks in IP headers (RFC 3168) and what a tunnel does with them (RFC 6040).
#pragma once

#include <cstdint>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"

namespace gmesp::ipsec {

inline constexpr uint8_t kEcnNotCapable = 0;  ///< Not-ECT
inline constexpr uint8_t kEcnMarked = 3;      ///< CE

/// DSCP and ECN of the IP header at `ip`: TOS, or IPv6 traffic class.
inline uint8_t traffic_class_of(const uint8_t* ip, bool is_ipv4) {
  return is_ipv4 ? ip[1] : static_cast<uint8_t>(load_be16(ip) >> 4);
}
inline uint8_t ecn_of(const uint8_t* ip, bool is_ipv4) {
  return traffic_class_of(ip, is_ipv4) & 3;
}

/// Carries the outer header's mark into the inner header at `ip` (RFC 4301 5.1.2.1). False if the
/// inner sender did not offer to be marked: the packet must go (RFC 6040 4.2).
inline bool carry_congestion_in(uint8_t* ip, bool is_ipv4, uint8_t outer_ecn) {
  if (outer_ecn != kEcnMarked) return true;
  if (ecn_of(ip, is_ipv4) == kEcnNotCapable) return false;
  if (is_ipv4) {
    ip[1] |= kEcnMarked;
    set_ipv4_checksum(ip);
  } else {
    ip[1] |= kEcnMarked << 4;
  }
  return true;
}

}  // namespace gmesp::ipsec
