#include "bare_openssl.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "crypto/job_check.h"

namespace gmesp::bench {

using namespace crypto;

namespace {

void check(bool holds) {
  if (!holds) throw std::runtime_error("OpenSSL has not got all algorithms");
}

}  // namespace

BareOpenSsl::BareOpenSsl(Suite suite, Direction direction, std::span<const uint8_t> integrity_key,
                         std::span<const uint8_t> cipher_key) {
  EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  mac_.reset(EVP_MAC_CTX_new(hmac));
  EVP_MAC_free(hmac);
  check(mac_ != nullptr);
  char digest[8] = "SHA1";
  if (suite.integrity == Integrity::kHmacMd5_96) std::copy_n("MD5", 4, digest);
  const OSSL_PARAM of_mac[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
  check(EVP_MAC_init(mac_.get(), integrity_key.data(), integrity_key.size(), of_mac) == 1);
  if (suite.cipher == Cipher::kNull) return;
  const char* name = suite.cipher == Cipher::kAesCbc128 ? "AES-128-CBC" : "DES-EDE3-CBC";
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, name, nullptr);
  cipher_.reset(EVP_CIPHER_CTX_new());
  check(cipher != nullptr && cipher_ != nullptr &&
        EVP_CipherInit_ex2(cipher_.get(), cipher, cipher_key.data(), nullptr,
                           direction == Direction::kOutbound, nullptr) == 1 &&
        EVP_CIPHER_CTX_set_padding(cipher_.get(), 0) == 1);
  EVP_CIPHER_free(cipher);
}

bool BareOpenSsl::cipher(const CryptoJob& job) {
  if (cipher_ == nullptr) return true;
  const uint32_t clear_bytes = kEspHeaderBytes + info(job.suite.cipher).iv_bytes;
  uint8_t* text = job.esp + clear_bytes;
  int written = 0;
  return EVP_CipherInit_ex2(cipher_.get(), nullptr, nullptr, job.esp + kEspHeaderBytes, -1,
                            nullptr) == 1 &&
         EVP_CipherUpdate(cipher_.get(), text, &written, text,
                          static_cast<int>(job.esp_bytes - clear_bytes)) == 1;
}

bool BareOpenSsl::make_tag(const CryptoJob& job, uint8_t* tag) {
  size_t written = 0;
  return EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) == 1 &&
         EVP_MAC_update(mac_.get(), job.esp, job.esp_bytes) == 1 &&
         EVP_MAC_final(mac_.get(), tag, &written, EVP_MAX_MD_SIZE) == 1;
}

void BareOpenSsl::process(CryptoJob& job) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> tag;
  uint8_t* icv = job.esp + job.esp_bytes;
  const bool is_outbound = job.direction == Direction::kOutbound;
  bool is_done = (!is_outbound || cipher(job)) && make_tag(job, tag.data());
  if (is_outbound) std::copy_n(tag.begin(), kIcvBytes, icv);
  if (!is_outbound)
    is_done = is_done && CRYPTO_memcmp(tag.data(), icv, kIcvBytes) == 0 && cipher(job);
  job.status = is_done ? JobStatus::kOk : JobStatus::kFailed;
}

}  // namespace gmesp::bench
