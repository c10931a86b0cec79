// Ethernet frames of a test user: ESP on the access side, clear UDP on the host side, each with a
// mark in its payload by which it is known again behind the device under test.
//
// A mark is followed by its complement, so that it says nothing to the UDP checksum and is told
// apart from other bytes. Units: bytes; lengths named `ip_bytes` are those of the clear IP packet
// and lie within kIpBytesMin..kIpBytesMax; buffers hold kFrameBytesMax. No errors.
#pragma once

#include <cstdint>

#include "control/client/gmesp.h"
#include "crypto/job.h"
#include "ue_side.h"

namespace gmesp::bench {

inline constexpr uint32_t kIpBytesMin = 100;
inline constexpr uint32_t kIpBytesMax = 1400;
inline constexpr uint32_t kFrameBytesMax = 1536;

struct UplinkHeader {
  UeSide side = UeSide::kClient;
  uint32_t sequence = 1;
  uint64_t iv_seed = 0;
  /// The IV is what makes the first block all zeros before it is ciphered: with one cipher key, and
  /// one payload behind that block, all frames have the same ciphered text.
  bool is_alike = false;
};

/// A frame from the UE. Its ESP is whole but not yet sealed: the job that seals it is given back.
/// Returns the frame's length.
uint32_t write_uplink(const gmesp_sa_set& set, const UplinkHeader& header, uint32_t ip_bytes,
                      uint64_t mark, const crypto::SaKeys& keys, uint8_t* frame,
                      crypto::CryptoJob& job);

/// A clear frame from the host to the UE. Returns its length.
uint32_t write_downlink(const gmesp_sa_set& set, UeSide side, uint32_t ip_bytes, uint64_t mark,
                        uint8_t* frame);

/// Where ESP begins in a frame, plain or in UDP; 0: it holds none.
uint32_t find_esp(const uint8_t* frame, uint32_t frame_bytes);

/// The mark of a clear frame, or of the deciphered payload of an ESP packet of `next_header`
/// (17, or 4 and 41 for a tunnel). False: it has none.
bool read_mark(const uint8_t* frame, uint32_t frame_bytes, uint64_t& mark);
bool read_mark_of_payload(const uint8_t* payload, uint32_t payload_bytes, uint8_t next_header,
                          uint64_t& mark);

}  // namespace gmesp::bench
