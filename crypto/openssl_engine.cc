// The low-level SHA-1 and MD5 are deprecated in favour of EVP_MAC, which cannot start from a stored
// HMAC state: it would need a context per SA, or hash both padded keys again for each packet, which
// doubles the price of a small one.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/openssl_engine.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <algorithm>
#include <string>

#include "crypto/engine.h"
#include "crypto/job_check.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kHashBlockBytes = 64;
using Tag = std::array<uint8_t, SHA_DIGEST_LENGTH>;

/// A SHA-1 that has hashed one block, the padded key, and stands at `state`.
void resume(SHA_CTX& sha, const std::array<uint32_t, 5>& state) {
  sha.h0 = state[0];
  sha.h1 = state[1];
  sha.h2 = state[2];
  sha.h3 = state[3];
  sha.h4 = state[4];
  sha.Nl = kHashBlockBytes * 8;
  sha.Nh = 0;
  sha.num = 0;
}

void resume(MD5_CTX& md5, const std::array<uint32_t, 5>& state) {
  md5.A = state[0];
  md5.B = state[1];
  md5.C = state[2];
  md5.D = state[3];
  md5.Nl = kHashBlockBytes * 8;
  md5.Nh = 0;
  md5.num = 0;
}

Tag hmac_sha1(const SaKeys& keys, const uint8_t* bytes, uint32_t count) {
  Tag tag;
  SHA_CTX sha;
  resume(sha, keys.hmac_inner);
  SHA1_Update(&sha, bytes, count);
  SHA1_Final(tag.data(), &sha);
  resume(sha, keys.hmac_outer);
  SHA1_Update(&sha, tag.data(), SHA_DIGEST_LENGTH);
  SHA1_Final(tag.data(), &sha);
  return tag;
}

Tag hmac_md5(const SaKeys& keys, const uint8_t* bytes, uint32_t count) {
  Tag tag;
  MD5_CTX md5;
  resume(md5, keys.hmac_inner);
  MD5_Update(&md5, bytes, count);
  MD5_Final(tag.data(), &md5);
  resume(md5, keys.hmac_outer);
  MD5_Update(&md5, tag.data(), MD5_DIGEST_LENGTH);
  MD5_Final(tag.data(), &md5);
  return tag;
}

/// The whole tag; its leftmost kIcvBytes are the ICV (RFC 2403 2, RFC 2404 2).
Tag hmac(const CryptoJob& job) {
  return job.suite.integrity == Integrity::kHmacMd5_96
             ? hmac_md5(*job.keys, job.esp, job.esp_bytes)
             : hmac_sha1(*job.keys, job.esp, job.esp_bytes);
}

}  // namespace

void OpenSslEngine::ContextDeleter::operator()(EVP_CIPHER_CTX* context) const noexcept {
  EVP_CIPHER_CTX_free(context);
}

OpenSslEngine::Context OpenSslEngine::make_context(const char* algorithm, Direction direction) {
  Context context(EVP_CIPHER_CTX_new());
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, algorithm, nullptr);
  const bool is_ready = context != nullptr && cipher != nullptr &&
                        EVP_CipherInit_ex(context.get(), cipher, nullptr, nullptr, nullptr,
                                          direction == Direction::kOutbound) == 1;
  EVP_CIPHER_free(cipher);  // the context holds its own reference
  if (!is_ready) throw EngineError("OpenSSL: cannot use " + std::string(algorithm));
  return context;
}

OpenSslEngine::OpenSslEngine() {
  for (const Direction direction : {Direction::kInbound, Direction::kOutbound}) {
    aes_[static_cast<size_t>(direction)] = make_context("AES-128-CBC", direction);
    des_[static_cast<size_t>(direction)] = make_context("DES-EDE3-CBC", direction);
  }
}

void OpenSslEngine::forget_keys() noexcept {
  if (!holds_keys_) return;
  holds_keys_ = false;
  static constexpr uint8_t kNoKey[24] = {};
  for (const auto* contexts : {&aes_, &des_})
    for (const Context& context : *contexts)
      EVP_CipherInit_ex(context.get(), nullptr, nullptr, kNoKey, kNoKey, -1);
}

bool OpenSslEngine::cipher(const CryptoJob& job) noexcept {
  if (job.suite.cipher == Cipher::kNull) return true;
  holds_keys_ = true;
  auto& contexts = job.suite.cipher == Cipher::kAesCbc128 ? aes_ : des_;
  EVP_CIPHER_CTX* context = contexts[static_cast<size_t>(job.direction)].get();
  const uint32_t clear_bytes = kEspHeaderBytes + info(job.suite.cipher).iv_bytes;
  uint8_t* text = job.esp + clear_bytes;
  // EVP_Cipher runs the bare cipher on whole blocks. EVP_CipherUpdate would do the same with
  // padding switched off, but then each new key pays a quarter of a small packet to say so again.
  return EVP_CipherInit_ex(context, nullptr, nullptr, job.keys->cipher_key.data(),
                           job.esp + kEspHeaderBytes, -1) == 1 &&
         EVP_Cipher(context, text, text, job.esp_bytes - clear_bytes) > 0;
}

void OpenSslEngine::process(CryptoJob& job) noexcept {
  uint8_t* icv = job.esp + job.esp_bytes;
  if (job.direction == Direction::kInbound) {
    const Tag tag = hmac(job);
    if (CRYPTO_memcmp(tag.data(), icv, kIcvBytes) != 0) {
      job.status = JobStatus::kIcvMismatch;
      return;
    }
    job.status = cipher(job) ? JobStatus::kOk : JobStatus::kFailed;
  } else if (cipher(job)) {
    const Tag tag = hmac(job);
    std::copy_n(tag.begin(), kIcvBytes, icv);
    job.status = JobStatus::kOk;
  } else {
    job.status = JobStatus::kFailed;
  }
}

}  // namespace gmesp::crypto
