#include "bare_ipsec_mb.h"

#include <array>

#include "crypto/job_check.h"

namespace gmesp::bench {

using namespace crypto;

bool run_bare(IMB_MGR* manager, std::span<CryptoJob> jobs) {
  static std::array<std::array<uint8_t, 64>, IMB_MAX_BURST_SIZE> tags;
  static std::array<std::array<const void*, 3>, IMB_MAX_BURST_SIZE> des_schedules;
  std::array<IMB_JOB*, IMB_MAX_BURST_SIZE> burst;
  const auto count = static_cast<uint32_t>(jobs.size());
  if (IMB_GET_NEXT_BURST(manager, count, burst.data()) != count) return false;
  const CipherInfo cipher = info(jobs[0].suite.cipher);
  const bool is_outbound = jobs[0].direction == Direction::kOutbound;
  const uint32_t clear_bytes = kEspHeaderBytes + cipher.iv_bytes;
  for (uint32_t i = 0; i < count; ++i) {
    IMB_JOB& mb = *burst[i];
    const uint8_t* schedule = jobs[i].keys->cipher_schedule.data();
    des_schedules[i] = {schedule, schedule + 128, schedule + 256};
    const bool is_des = jobs[i].suite.cipher == Cipher::kDesEde3Cbc;
    mb.enc_keys = is_des ? static_cast<const void*>(des_schedules[i].data()) : schedule;
    mb.dec_keys = is_des ? static_cast<const void*>(des_schedules[i].data()) : schedule + 192;
    mb.key_len_in_bytes = cipher.key_bytes;
    mb.cipher_mode = is_des                 ? IMB_CIPHER_DES3
                     : cipher.iv_bytes != 0 ? IMB_CIPHER_CBC
                                            : IMB_CIPHER_NULL;
    mb.cipher_direction = is_outbound ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    mb.chain_order = is_outbound ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    mb.hash_alg =
        jobs[i].suite.integrity == Integrity::kHmacMd5_96 ? IMB_AUTH_MD5 : IMB_AUTH_HMAC_SHA_1;
    mb.src = jobs[i].esp;
    mb.dst = jobs[i].esp + clear_bytes;
    mb.cipher_start_src_offset_in_bytes = clear_bytes;
    mb.msg_len_to_cipher_in_bytes = jobs[i].esp_bytes - clear_bytes;
    mb.hash_start_src_offset_in_bytes = 0;
    mb.msg_len_to_hash_in_bytes = jobs[i].esp_bytes;
    mb.iv = jobs[i].esp + kEspHeaderBytes;
    mb.iv_len_in_bytes = cipher.iv_bytes;
    mb.auth_tag_output = tags[i].data();
    mb.auth_tag_output_len_in_bytes = kIcvBytes;
    const auto* inner = reinterpret_cast<const uint8_t*>(jobs[i].keys->hmac_inner.data());
    mb.u.HMAC._hashed_auth_key_xor_ipad = inner;
    mb.u.HMAC._hashed_auth_key_xor_opad = inner + sizeof(SaKeys::hmac_inner);
  }
  uint32_t done = IMB_SUBMIT_BURST_NOCHECK(manager, count, burst.data());
  while (done < count) done += IMB_FLUSH_BURST(manager, count, burst.data());
  return true;
}

}  // namespace gmesp::bench
