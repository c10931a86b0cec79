// AES-128-CBC encryption of many packets at once, four of them in each register of AVX-512
// (RFC 3602).
//
// In CBC a block waits for the one before it, so that a packet alone leaves the AES units idle most
// of the time. IPsec-MB takes sixteen packets at once, which fill one unit; two need thirty-two.
// Deciphering knows no such wait and is left to IPsec-MB.
//
// Threading: keeps no state. Ownership: borrows everything for the call. Errors: none, given valid
// arguments. Source: FIPS 197, NIST SP 800-38A 6.2. No branch and no address depends on a key or a
// payload, and nothing of a key is left in memory.
#pragma once

#include <cstdint>
#include <span>

#include "crypto/lane_order.h"
#include "crypto/lane_width.h"

namespace gmesp::crypto {

struct CbcMessage {
  const uint8_t* key;  ///< 16 bytes
  const uint8_t* iv;   ///< 16 bytes
  uint8_t* bytes;      ///< ciphered in place
  uint32_t blocks;     ///< of 16 bytes
};

/// Whether this CPU has the lanes.
bool has_cbc_lanes();

/// At most kLaneMessagesMax messages. Only where has_cbc_lanes().
void encrypt_cbc(LaneWidth width, std::span<const CbcMessage> messages) noexcept;

}  // namespace gmesp::crypto
