// ESP keys out of the keys of an AKA run: TS 33.203 Annex I.
//
// Units: bytes. Threading: pure functions. Errors: false, and nothing is written.
// The caller owns and wipes both the input and the output.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace gmesp::sa {

/// IK and CK are 128 bits each (TS 33.203 7.1).
inline constexpr size_t kAkaKeyBytes = 16;
inline constexpr size_t kMd5KeyBytes = 16;
inline constexpr size_t kSha1KeyBytes = 20;
inline constexpr size_t kAesKeyBytes = 16;
inline constexpr size_t kDesEde3KeyBytes = 24;

using AkaKey = std::span<const uint8_t, kAkaKeyBytes>;

/// HMAC-MD5-96: IK as it is (R-I-01).
void expand_md5_key(AkaKey ik, std::span<uint8_t, kMd5KeyBytes> key);

/// HMAC-SHA-1-96: IK and four zero bytes (R-I-01).
void expand_sha1_key(AkaKey ik, std::span<uint8_t, kSha1KeyBytes> key);

/// AES-CBC: CK as it is (R-I-02).
void expand_aes_key(AkaKey ck, std::span<uint8_t, kAesKeyBytes> key);

/// DES-EDE3-CBC: the upper half of CK, the lower half, the upper half again, each byte with odd
/// parity (R-I-02). False if the halves are equal but for parity bits: that would be single DES
/// (RFC 2451 2.3, R-I-03).
[[nodiscard]] bool expand_des_ede3_key(AkaKey ck, std::span<uint8_t, kDesEde3KeyBytes> key);

}  // namespace gmesp::sa
