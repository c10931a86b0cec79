#include "control/daemon/key_digest.h"

#include <string.h>

#include <algorithm>
#include <stdexcept>

namespace gmesp::control {

KeyDigest::KeyDigest()
    : sha256_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  if (sha256_ == nullptr || context_ == nullptr)
    throw std::runtime_error("libcrypto has no SHA-256, which tells keys apart");
}

sa::KeyFingerprint KeyDigest::of(std::span<const uint8_t> key) {
  uint8_t digest[EVP_MAX_MD_SIZE];
  if (EVP_DigestInit_ex2(context_.get(), sha256_.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context_.get(), key.data(), key.size()) != 1 ||
      EVP_DigestFinal_ex(context_.get(), digest, nullptr) != 1)
    throw std::runtime_error("SHA-256 of libcrypto failed");
  sa::KeyFingerprint fingerprint;
  std::copy_n(digest, fingerprint.size(), fingerprint.begin());
  explicit_bzero(digest, sizeof digest);
  return fingerprint;
}

}  // namespace gmesp::control
