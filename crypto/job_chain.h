// Any suite on IPsec-MB by the library's chain of cipher and hash, for those that JobStages does
// not take. Inbound packets are deciphered before their ICVs are compared; whose ICV is wrong is
// not read.
//
// Threading, ownership: as IpsecMbEngine, whose manager it uses.
#pragma once

#include <intel-ipsec-mb.h>

#include <array>
#include <cstdint>
#include <span>

#include "crypto/aes_schedule.h"
#include "crypto/des_schedule.h"
#include "crypto/icv.h"
#include "crypto/job.h"

namespace gmesp::crypto {

class JobChain {
 public:
  explicit JobChain(IMB_MGR* manager) : manager_(manager) {}

  /// At most IMB_MAX_BURST_SIZE valid jobs. Sets every status.
  void process(std::span<CryptoJob* const> jobs) noexcept;

 private:
  /// What the library reads and writes besides packet and SaKeys, for one job under way.
  struct alignas(64) Scratch {
    AesSchedule encryption, decryption;
    std::array<DesSchedule, 3> des;
    std::array<const void*, 3> des_schedules;
    ComputedIcv inbound_icv;
  };

  void fill_cipher(IMB_JOB& mb, const CryptoJob& job, Scratch& scratch) const;

  IMB_MGR* const manager_;
  std::array<Scratch, IMB_MAX_BURST_SIZE> scratch_;
};

}  // namespace gmesp::crypto
