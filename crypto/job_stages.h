// AES or NULL in stages: outbound packets are ciphered, the ICVs of all packets computed together,
// those of inbound packets compared, and the genuine ones deciphered. A forged packet costs no
// deciphering, and nothing is believed before its ICV (RFC 2406 3.4.4).
//
// With AVX-512, what goes out is ciphered by cbc_lanes.h and ICVs are those of hmac_lanes.h. The
// rest is IPsec-MB's, which has a burst of one algorithm for AES and for HMAC-SHA-1, but none for
// MD5. Stages spare the library's scheduling from algorithm to algorithm, a tenth of a small
// packet.
//
// Threading, ownership: as IpsecMbEngine, whose manager it uses.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <cstdint>
#include <span>

#include "crypto/aes_schedule.h"
#include "crypto/hmac_lanes.h"
#include "crypto/icv.h"
#include "crypto/job.h"
#include "crypto/lane_width.h"

namespace gmesp::crypto {

class JobStages {
 public:
  explicit JobStages(IMB_MGR* manager);

  bool takes(Suite suite) const {
    return suite.cipher != Cipher::kDesEde3Cbc &&
           (has_hmac_lanes_ || suite.integrity == Integrity::kHmacSha1_96);
  }

  /// At most IMB_MAX_BURST_SIZE valid jobs, of suites that it takes. Sets every status.
  void process(std::span<CryptoJob* const> jobs) noexcept;

 private:
  bool cipher(std::span<CryptoJob* const> jobs);
  void cipher_in_lanes(std::span<CryptoJob* const> jobs);
  bool cipher_in_burst(std::span<CryptoJob* const> jobs);
  bool hash(std::span<CryptoJob* const> jobs);
  bool decipher(std::span<CryptoJob* const> jobs);
  void hash_in_lanes(std::span<CryptoJob* const> jobs);
  bool hash_in_burst(std::span<CryptoJob* const> jobs);
  uint8_t* icv(uint32_t at, const CryptoJob& job);
  void fill_cipher(uint32_t at, const CryptoJob& job);
  bool run_ciphers(uint32_t count, IMB_CIPHER_DIRECTION direction);
  void make_schedules_of(uint32_t count, IMB_CIPHER_DIRECTION direction);
  void wipe_schedules();

  IMB_MGR* const manager_;
  const bool has_cbc_lanes_;
  const bool has_hmac_lanes_;
  const LaneWidth lane_width_ = lane_width_of_cpu();
  /// The library's jobs; what is equal for all is written once.
  std::array<IMB_JOB, IMB_MAX_BURST_SIZE> ciphers_{};
  std::array<IMB_JOB, IMB_MAX_BURST_SIZE> hashes_{};
  /// Of the jobs in `ciphers_`; the library makes both directions', of which one is of use.
  std::array<const uint8_t*, IMB_MAX_BURST_SIZE> keys_;
  std::array<AesSchedule, IMB_MAX_BURST_SIZE> schedules_;
  uint32_t made_schedules_ = 0;  ///< in this call, so to be wiped
  AesSchedule unused_schedule_;
  std::array<ComputedIcv, IMB_MAX_BURST_SIZE> icvs_;
};

}  // namespace gmesp::crypto
