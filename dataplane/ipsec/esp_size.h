// Sizes of ESP packets (RFC 2406 2): pure arithmetic. All in bytes.
#pragma once

#include <cstdint>

#include "crypto/suite.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/sa.h"

namespace gmesp::ipsec {

inline constexpr uint32_t kEspHeaderBytes = 8;  ///< SPI and sequence number
inline constexpr uint32_t kEspSequenceAt = 4;
inline constexpr uint32_t kEspTrailerBytes = 2;  ///< pad length and next header

/// Of a UDP header (RFC 768).
inline constexpr uint32_t kUdpLengthAt = 4;

/// From the SPI to the ciphered bytes: ESP header and IV.
constexpr uint32_t esp_head_bytes(crypto::Suite suite) {
  return kEspHeaderBytes + crypto::info(suite.cipher).iv_bytes;
}

/// Payload, padding and trailer: whole blocks.
constexpr uint32_t ciphered_bytes(crypto::Suite suite, uint32_t payload_bytes) {
  const uint32_t block_bytes = crypto::info(suite.cipher).block_bytes;
  return (payload_bytes + kEspTrailerBytes + block_bytes - 1) & ~(block_bytes - 1);
}

/// IP and UDP header in front of ESP in tunnel mode.
constexpr uint32_t outer_header_bytes(bool is_ipv4) {
  return (is_ipv4 ? kIpv4HeaderBytesMin : kIpv6HeaderBytes) + kUdpHeaderBytes;
}

}  // namespace gmesp::ipsec
