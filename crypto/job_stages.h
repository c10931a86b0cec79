// SHA-1 with AES or NULL on IPsec-MB, in stages: outbound packets are ciphered, the ICVs of all
// packets computed in one burst, those of inbound packets compared, and the genuine ones
// deciphered. A forged packet costs no deciphering, and nothing is believed before its ICV
// (RFC 2406 3.4.4).
//
// A burst of one algorithm spares the library's scheduling from algorithm to algorithm, a tenth of
// a small packet. IPsec-MB has such bursts for these algorithms only.
//
// Threading, ownership: as IpsecMbEngine, whose manager it uses.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <cstdint>
#include <span>

#include "crypto/icv.h"
#include "crypto/job.h"

namespace gmesp::crypto {

class JobStages {
 public:
  explicit JobStages(IMB_MGR* manager);

  static constexpr bool takes(Suite suite) {
    return suite.integrity == Integrity::kHmacSha1_96 && suite.cipher != Cipher::kDesEde3Cbc;
  }

  /// At most IMB_MAX_BURST_SIZE valid jobs, of suites that it takes. Sets every status.
  void process(std::span<CryptoJob* const> jobs) noexcept;

 private:
  bool cipher(std::span<CryptoJob* const> jobs);
  bool hash(std::span<CryptoJob* const> jobs);
  bool decipher(std::span<CryptoJob* const> jobs);
  static void fill_cipher(IMB_JOB& slot, const CryptoJob& job);
  void fill_hash(uint32_t at, const CryptoJob& job);
  bool run_ciphers(uint32_t count, IMB_CIPHER_DIRECTION direction);

  IMB_MGR* const manager_;
  /// The library's jobs; what is equal for all is written once.
  std::array<IMB_JOB, IMB_MAX_BURST_SIZE> ciphers_{};
  std::array<IMB_JOB, IMB_MAX_BURST_SIZE> hashes_{};
  std::array<ComputedIcv, IMB_MAX_BURST_SIZE> icvs_;
};

}  // namespace gmesp::crypto
