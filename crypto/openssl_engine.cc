// The low-level SHA-1 and MD5 calls are deprecated in OpenSSL 3, but only they can start from a
// stored hash state: a million SAs cannot each keep an EVP_MAC context, and making one per packet
// costs more than hashing it.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/openssl_engine.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include <array>
#include <cstring>

#include "crypto/engine.h"
#include "crypto/job_check.h"

namespace gmesp::crypto {
namespace {

constexpr uint32_t kHashBlockBytes = 64;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

Context make_context(const char* algorithm, bool encrypt) {
  const std::unique_ptr<EVP_CIPHER, FreeCipher> cipher(
      EVP_CIPHER_fetch(nullptr, algorithm, nullptr));
  Context context(EVP_CIPHER_CTX_new());
  if (cipher == nullptr || context == nullptr ||
      EVP_CipherInit_ex2(context.get(), cipher.get(), nullptr, nullptr, encrypt ? 1 : 0, nullptr) !=
          1)
    throw EngineError(std::string("OpenSSL offers no ") + algorithm);
  EVP_CIPHER_CTX_set_padding(context.get(), 0);  // ESP has its own
  return context;
}

SHA_CTX sha1_from(const std::array<uint32_t, 5>& state) {
  SHA_CTX context;
  SHA1_Init(&context);
  context.h0 = state[0];
  context.h1 = state[1];
  context.h2 = state[2];
  context.h3 = state[3];
  context.h4 = state[4];
  context.Nl = kHashBlockBytes * 8;  // the padded key block is in the state already
  return context;
}

MD5_CTX md5_from(const std::array<uint32_t, 5>& state) {
  MD5_CTX context;
  MD5_Init(&context);
  context.A = state[0];
  context.B = state[1];
  context.C = state[2];
  context.D = state[3];
  context.Nl = kHashBlockBytes * 8;
  return context;
}

/// RFC 2104 from the two stored states.
void icv_of(const CryptoJob& job, uint8_t (&digest)[SHA_DIGEST_LENGTH]) {
  if (job.suite.integrity == Integrity::kHmacSha1_96) {
    SHA_CTX inner = sha1_from(job.keys->hmac_inner);
    SHA1_Update(&inner, job.esp, job.esp_bytes);
    SHA1_Final(digest, &inner);
    SHA_CTX outer = sha1_from(job.keys->hmac_outer);
    SHA1_Update(&outer, digest, SHA_DIGEST_LENGTH);
    SHA1_Final(digest, &outer);
    return;
  }
  MD5_CTX inner = md5_from(job.keys->hmac_inner);
  MD5_Update(&inner, job.esp, job.esp_bytes);
  MD5_Final(digest, &inner);
  MD5_CTX outer = md5_from(job.keys->hmac_outer);
  MD5_Update(&outer, digest, MD5_DIGEST_LENGTH);
  MD5_Final(digest, &outer);
}

}  // namespace

struct OpenSslEngine::Impl {
  /// [AES, 3DES][inbound, outbound]
  Context contexts[2][2];

  bool run_cipher(const CryptoJob& job) {
    if (job.suite.cipher == Cipher::kNull) return true;
    const bool outbound = job.direction == Direction::kOutbound;
    EVP_CIPHER_CTX* context = contexts[job.suite.cipher == Cipher::kDesEde3Cbc][outbound].get();
    const uint8_t* iv = job.esp + kEspHeaderBytes;
    uint8_t* bytes = job.esp + kEspHeaderBytes + info(job.suite.cipher).iv_bytes;
    int written = 0;
    return EVP_CipherInit_ex2(context, nullptr, job.keys->cipher_key.data(), iv, -1, nullptr) ==
               1 &&
           EVP_CipherUpdate(context, bytes, &written, bytes,
                            static_cast<int>(ciphered_bytes(job))) == 1;
  }
};

OpenSslEngine::OpenSslEngine() : impl_(std::make_unique<Impl>()) {
  for (const bool outbound : {false, true}) {
    impl_->contexts[0][outbound] = make_context("AES-128-CBC", outbound);
    impl_->contexts[1][outbound] = make_context("DES-EDE3-CBC", outbound);
  }
}

OpenSslEngine::~OpenSslEngine() = default;

void OpenSslEngine::process(CryptoJob& job) noexcept {
  uint8_t digest[SHA_DIGEST_LENGTH];
  job.status = JobStatus::kFailed;
  if (job.direction == Direction::kOutbound) {
    if (!impl_->run_cipher(job)) return;
    icv_of(job, digest);
    std::memcpy(job.esp + job.esp_bytes, digest, kIcvBytes);
    job.status = JobStatus::kOk;
    return;
  }
  icv_of(job, digest);
  if (CRYPTO_memcmp(digest, job.esp + job.esp_bytes, kIcvBytes) != 0) {
    job.status = JobStatus::kIcvMismatch;
    return;
  }
  if (impl_->run_cipher(job)) job.status = JobStatus::kOk;
}

}  // namespace gmesp::crypto
