// The keys of one SA set, in the one cache line that a packet reads: HMAC states ready-made, the
// cipher key as given. Schedules of ciphers are made when they are needed (aes_schedule.h,
// des_schedule.h).
//
// Shape: all four SAs of a set share one integrity and one cipher key (TS 33.203 6.2), so a set has
// one SaKeys. It is a plain record without pointers: it lives in gmespd's SA memory and is found
// again by the next process (see dataplane/ipsec/sa_memory.h). Ownership: the memory it stands in;
// whoever retires it calls wipe(). Threading: written once by `expand` before the SA is published,
// then only read.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "crypto/suite.h"

namespace gmesp::crypto {

struct alignas(64) SaKeys {
  /// Hash state after the first, inner- or outer-padded block: h0.. as host 32-bit words (4 words
  /// MD5, 5 SHA-1).
  std::array<uint32_t, 5> hmac_inner;
  std::array<uint32_t, 5> hmac_outer;
  std::array<uint8_t, kCipherKeyBytesMax> cipher_key;
};
static_assert(sizeof(SaKeys) == 64, "one cache line; see ARCHITECTURE.md");

enum class KeyError : uint8_t {
  kOk,
  kIntegrityKeySize,  ///< not exactly the algorithm's size (R-7.1-02)
  kCipherKeySize,     ///< likewise; a NULL cipher takes no key
  kWeakDesKey,        ///< two of the adjacent DES keys equal once parity is masked (RFC 2451 2.3)
};
const char* text(KeyError error);

/// Fills `keys` from raw keys. On error `keys` is wiped and must not be used. Not for the packet
/// path.
KeyError expand(Suite suite, std::span<const uint8_t> integrity_key,
                std::span<const uint8_t> cipher_key, SaKeys& keys);

/// Overwrites with zeros in a way the compiler keeps.
void wipe(SaKeys& keys);
void wipe(std::span<uint8_t> bytes);

}  // namespace gmesp::crypto
