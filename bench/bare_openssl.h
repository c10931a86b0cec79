// OpenSSL with nothing around it, as its manual says: for each SA a context of the cipher and one
// of the HMAC that hold its keys, one packet at a time. What our engines are measured against.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <span>

#include "crypto/job.h"

namespace gmesp::bench {

class BareOpenSsl {
 public:
  /// Throws std::runtime_error if OpenSSL has not got the algorithms.
  BareOpenSsl(crypto::Suite suite, crypto::Direction direction,
              std::span<const uint8_t> integrity_key, std::span<const uint8_t> cipher_key);

  /// The job's keys are not looked at; everything else is as an engine does it.
  void process(crypto::CryptoJob& job);

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  };

  bool cipher(const crypto::CryptoJob& job);
  bool make_tag(const crypto::CryptoJob& job, uint8_t* tag);

  std::unique_ptr<EVP_CIPHER_CTX, Free> cipher_;  ///< null: ESP without
  std::unique_ptr<EVP_MAC_CTX, Free> mac_;
};

}  // namespace gmesp::bench
