#include "crypto/sa_keys.h"

#include <intel-ipsec-mb.h>

#include <algorithm>
#include <cstring>

#include "crypto/des_schedule.h"
#include "crypto/ipsec_mb_manager.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kHashBlockBytes = 64;
constexpr uint8_t kInnerPad = 0x36;  // RFC 2104 2
constexpr uint8_t kOuterPad = 0x5c;
constexpr uint8_t kDesKeyBits = 0xfe;  // the lowest bit of each byte is parity

/// Only its stateless block functions are called, so one manager serves all threads.
IMB_MGR* expander() {
  static const Manager manager = make_manager(VectorArch::kAuto);
  return manager.get();
}

/// One of the two hash states that every HMAC of this key starts from.
void expand_hmac(Integrity integrity, std::span<const uint8_t> key, uint8_t pad,
                 std::array<uint32_t, 5>& state) {
  std::array<uint8_t, kHashBlockBytes> block;
  block.fill(pad);
  for (size_t i = 0; i < key.size(); ++i) block[i] ^= key[i];
  if (integrity == Integrity::kHmacMd5_96) {
    IMB_MD5_ONE_BLOCK(expander(), block.data(), state.data());
  } else {
    IMB_SHA1_ONE_BLOCK(expander(), block.data(), state.data());
  }
  wipe(block);
}

bool is_same_des_key(const uint8_t* left, const uint8_t* right) {
  uint8_t difference = 0;
  for (uint32_t i = 0; i < kDesKeyBytes; ++i) difference |= (left[i] ^ right[i]) & kDesKeyBits;
  return difference == 0;
}

/// RFC 2451 2.3: K1 = K2 or K2 = K3 makes single DES of it and must be rejected. K1 = K3 is fine:
/// TS 33.203 Annex I makes every 3DES key that way.
bool is_weak(std::span<const uint8_t> key) {
  const uint8_t* k1 = key.data();
  const uint8_t* k2 = k1 + kDesKeyBytes;
  const uint8_t* k3 = k2 + kDesKeyBytes;
  return is_same_des_key(k1, k2) || is_same_des_key(k2, k3);
}

}  // namespace

const char* text(KeyError error) {
  switch (error) {
    case KeyError::kOk:
      break;
    case KeyError::kIntegrityKeySize:
      return "integrity key has the wrong size";
    case KeyError::kCipherKeySize:
      return "cipher key has the wrong size";
    case KeyError::kWeakDesKey:
      return "adjacent 3DES keys are equal (RFC 2451 2.3)";
  }
  return "ok";
}

KeyError expand(Suite suite, std::span<const uint8_t> integrity_key,
                std::span<const uint8_t> cipher_key, SaKeys& keys) {
  wipe(keys);
  if (integrity_key.size() != info(suite.integrity).key_bytes) return KeyError::kIntegrityKeySize;
  if (cipher_key.size() != info(suite.cipher).key_bytes) return KeyError::kCipherKeySize;
  if (suite.cipher == Cipher::kDesEde3Cbc && is_weak(cipher_key)) return KeyError::kWeakDesKey;
  expand_hmac(suite.integrity, integrity_key, kInnerPad, keys.hmac_inner);
  expand_hmac(suite.integrity, integrity_key, kOuterPad, keys.hmac_outer);
  std::ranges::copy(cipher_key, keys.cipher_key.begin());
  return KeyError::kOk;
}

void wipe(SaKeys& keys) {
  explicit_bzero(&keys, sizeof keys);
}

void wipe(std::span<uint8_t> bytes) {
  explicit_bzero(bytes.data(), bytes.size());
}

}  // namespace gmesp::crypto
