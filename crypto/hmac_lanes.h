// ICVs of many packets at once, a packet in each lane of AVX-512's registers: HMAC-MD5-96 and
// HMAC-SHA-1-96 (RFC 2104, RFC 2403, RFC 2404).
//
// IPsec-MB has sixteen such lanes, but it runs them for whoever comes and goes, one job at a time;
// of a packet of 300 bytes that takes nearly half the time. Here all packets are known before the
// first block is hashed: they are put in order of their lengths, and up to thirty-two start and end
// together.
//
// Threading: keeps no state. Ownership: borrows everything for the call. Errors: none, given valid
// arguments. Source: RFC 1321, FIPS 180-4. No branch and no address depends on a key or a payload,
// and nothing of a key is left in memory.
#pragma once

#include <cstdint>
#include <span>

#include "crypto/lane_order.h"
#include "crypto/lane_width.h"
#include "crypto/sa_keys.h"
#include "crypto/suite.h"

namespace gmesp::crypto {

struct HmacMessage {
  const SaKeys* keys;
  const uint8_t* bytes;
  uint32_t count;  ///< of `bytes`, below 2^28
  uint8_t* icv;    ///< where kIcvBytes are written; no part of any message
};

/// Whether this CPU has the lanes.
bool has_hmac_lanes();

/// At most kLaneMessagesMax messages; all keys are of `integrity`. Only where has_hmac_lanes().
void write_icvs(LaneWidth width, Integrity integrity,
                std::span<const HmacMessage> messages) noexcept;

}  // namespace gmesp::crypto
