// Fingerprints of keys, to tell that one was used before without keeping it.
//
// One-way: IK and CK are 128 random bits, which nobody finds by trying.
// Threading: one thread. Errors: the constructor throws std::runtime_error if libcrypto has no
// SHA-256 to give. Keys: nothing of one stays.
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <span>

#include "control/sa/registration.h"

namespace gmesp::control {

class KeyDigest {
 public:
  /// Looks the algorithm up once: that costs more than the digest of a key.
  KeyDigest();

  sa::KeyFingerprint of(std::span<const uint8_t> key);

 private:
  struct Free {
    void operator()(EVP_MD* algorithm) const { EVP_MD_free(algorithm); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD, Free> sha256_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace gmesp::control
