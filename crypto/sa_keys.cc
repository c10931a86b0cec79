#include "crypto/sa_keys.h"

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include <cstring>
#include <memory>

namespace gmesp::crypto {
namespace {

constexpr uint32_t kHashBlockBytes = 64;
constexpr uint8_t kInnerPad = 0x36;  // RFC 2104 2
constexpr uint8_t kOuterPad = 0x5c;

/// One manager per calling thread: expansion runs on the control thread while workers run theirs.
IMB_MGR* manager() {
  struct Free {
    void operator()(IMB_MGR* mgr) const { free_mb_mgr(mgr); }
  };
  thread_local const std::unique_ptr<IMB_MGR, Free> instance = [] {
    std::unique_ptr<IMB_MGR, Free> mgr(alloc_mb_mgr(0));
    if (mgr != nullptr) init_mb_mgr_auto(mgr.get(), nullptr);
    return mgr;
  }();
  return instance.get();
}

/// RFC 2451 2.3: with two adjacent keys equal, 3DES is single DES. Parity bits do not count.
bool is_weak(std::span<const uint8_t> key) {
  const auto equal = [&](size_t a, size_t b) {
    uint8_t difference = 0;
    for (size_t i = 0; i < 8; ++i) difference |= (key[a + i] ^ key[b + i]) & 0xfe;
    return difference == 0;
  };
  return equal(0, 8) || equal(8, 16);
}

void expand_hmac(IMB_MGR* mgr, Integrity integrity, std::span<const uint8_t> key, uint8_t pad,
                 std::array<uint32_t, 5>& state) {
  alignas(16) uint8_t block[kHashBlockBytes];
  std::memset(block, pad, sizeof block);
  for (size_t i = 0; i < key.size(); ++i) block[i] = key[i] ^ pad;
  if (integrity == Integrity::kHmacMd5_96)
    IMB_MD5_ONE_BLOCK(mgr, block, state.data());
  else
    IMB_SHA1_ONE_BLOCK(mgr, block, state.data());
  OPENSSL_cleanse(block, sizeof block);
}

}  // namespace

const char* text(KeyError error) {
  switch (error) {
    case KeyError::kOk:
      return "ok";
    case KeyError::kIntegrityKeySize:
      return "integrity key has the wrong size";
    case KeyError::kCipherKeySize:
      return "cipher key has the wrong size";
    case KeyError::kWeakDesKey:
      return "adjacent 3DES keys are equal (RFC 2451 2.3)";
  }
  return "unknown";
}

KeyError expand(Suite suite, std::span<const uint8_t> integrity_key,
                std::span<const uint8_t> cipher_key, SaKeys& keys) {
  wipe(keys);
  if (integrity_key.size() != info(suite.integrity).key_bytes) return KeyError::kIntegrityKeySize;
  if (cipher_key.size() != info(suite.cipher).key_bytes) return KeyError::kCipherKeySize;
  if (suite.cipher == Cipher::kDesEde3Cbc && is_weak(cipher_key)) return KeyError::kWeakDesKey;
  IMB_MGR* mgr = manager();
  expand_hmac(mgr, suite.integrity, integrity_key, kInnerPad, keys.hmac_inner);
  expand_hmac(mgr, suite.integrity, integrity_key, kOuterPad, keys.hmac_outer);
  std::memcpy(keys.cipher_key.data(), cipher_key.data(), cipher_key.size());
  uint8_t* schedule = keys.cipher_schedule.data();
  if (suite.cipher == Cipher::kAesCbc128)
    IMB_AES_KEYEXP_128(mgr, cipher_key.data(), schedule + SaKeys::kAesEncryptOffset,
                       schedule + SaKeys::kAesDecryptOffset);
  if (suite.cipher == Cipher::kDesEde3Cbc)
    for (uint32_t i = 0; i < 3; ++i)
      IMB_DES_KEYSCHED(mgr, reinterpret_cast<uint64_t*>(schedule + i * SaKeys::kDesScheduleBytes),
                       cipher_key.data() + 8 * i);
  return KeyError::kOk;
}

void wipe(std::span<uint8_t> bytes) {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}
void wipe(SaKeys& keys) {
  OPENSSL_cleanse(&keys, sizeof keys);
}

}  // namespace gmesp::crypto
