#include "bare_ipsec_mb.h"

#include <array>

#include "crypto/ipsec_mb_manager.h"
#include "crypto/job_check.h"

namespace gmesp::bench {

using namespace crypto;

namespace {

constexpr uint32_t kJobsMax = IMB_MAX_BURST_SIZE;
std::array<std::array<uint8_t, 64>, kJobsMax> tags;
std::array<std::array<const void*, 3>, kJobsMax> des_schedules;

void fill(IMB_JOB& mb, const CryptoJob& job, uint32_t at) {
  const CipherInfo cipher = info(job.suite.cipher);
  const uint32_t clear_bytes = kEspHeaderBytes + cipher.iv_bytes;
  const auto& keys = static_cast<const ReadyKeys&>(*job.keys);
  for (uint32_t i = 0; i < 3; ++i) des_schedules[at][i] = keys.des[i].data();
  const bool is_des = job.suite.cipher == Cipher::kDesEde3Cbc;
  const bool is_outbound = job.direction == Direction::kOutbound;
  const void* des = des_schedules[at].data();
  mb.enc_keys = is_des ? des : keys.aes[0].round_keys.data();
  mb.dec_keys = is_des ? des : keys.aes[1].round_keys.data();
  mb.key_len_in_bytes = cipher.key_bytes;
  mb.cipher_mode = is_des                 ? IMB_CIPHER_DES3
                   : cipher.iv_bytes != 0 ? IMB_CIPHER_CBC
                                          : IMB_CIPHER_NULL;
  mb.cipher_direction = is_outbound ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  mb.chain_order = is_outbound ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  mb.hash_alg = job.suite.integrity == Integrity::kHmacMd5_96 ? IMB_AUTH_MD5 : IMB_AUTH_HMAC_SHA_1;
  mb.src = job.esp;
  mb.dst = job.esp + clear_bytes;
  mb.cipher_start_src_offset_in_bytes = clear_bytes;
  mb.msg_len_to_cipher_in_bytes = job.esp_bytes - clear_bytes;
  mb.hash_start_src_offset_in_bytes = 0;
  mb.msg_len_to_hash_in_bytes = job.esp_bytes;
  mb.iv = job.esp + kEspHeaderBytes;
  mb.iv_len_in_bytes = cipher.iv_bytes;
  mb.auth_tag_output = tags[at].data();
  mb.auth_tag_output_len_in_bytes = kIcvBytes;
  const auto* inner = reinterpret_cast<const uint8_t*>(job.keys->hmac_inner.data());
  mb.u.HMAC._hashed_auth_key_xor_ipad = inner;
  mb.u.HMAC._hashed_auth_key_xor_opad = inner + sizeof(SaKeys::hmac_inner);
}

/// The library has bursts of each algorithm alone for AES and for SHA-1 only.
bool has_stages(Suite suite) {
  return suite.integrity == Integrity::kHmacSha1_96 && suite.cipher != Cipher::kDesEde3Cbc;
}

bool run_stages(IMB_MGR* manager, std::span<CryptoJob> jobs) {
  static std::array<IMB_JOB, kJobsMax> slots;
  const auto count = static_cast<uint32_t>(jobs.size());
  if (count > kJobsMax) return false;
  for (uint32_t i = 0; i < count; ++i) fill(slots[i], jobs[i], i);
  const auto cipher = [&](IMB_CIPHER_DIRECTION direction) {
    return jobs[0].suite.cipher == Cipher::kNull ||
           IMB_SUBMIT_CIPHER_BURST_NOCHECK(manager, slots.data(), count, IMB_CIPHER_CBC, direction,
                                           IMB_KEY_128_BYTES) == count;
  };
  const bool is_outbound = jobs[0].direction == Direction::kOutbound;
  return (!is_outbound || cipher(IMB_DIR_ENCRYPT)) &&
         IMB_SUBMIT_HASH_BURST_NOCHECK(manager, slots.data(), count, IMB_AUTH_HMAC_SHA_1) ==
             count &&
         (is_outbound || cipher(IMB_DIR_DECRYPT));
}

}  // namespace

ReadyKeys ready(const SaKeys& keys, Suite suite) {
  static const Manager manager = make_manager(VectorArch::kAuto);
  ReadyKeys ready{keys, {}};
  const uint8_t* key = keys.cipher_key.data();
  if (suite.cipher == Cipher::kAesCbc128)
    make_schedules(manager.get(), key, ready.aes[0], ready.aes[1]);
  else if (suite.cipher == Cipher::kDesEde3Cbc)
    for (uint32_t i = 0; i < ready.des.size(); ++i)
      make_schedule(manager.get(), key + i * kDesKeyBytes, ready.des[i]);
  return ready;
}

bool run_burst(IMB_MGR* manager, std::span<CryptoJob> jobs) {
  std::array<IMB_JOB*, kJobsMax> burst;
  const auto count = static_cast<uint32_t>(jobs.size());
  if (IMB_GET_NEXT_BURST(manager, count, burst.data()) != count) return false;
  for (uint32_t i = 0; i < count; ++i) fill(*burst[i], jobs[i], i);
  uint32_t done = IMB_SUBMIT_BURST_NOCHECK(manager, count, burst.data());
  while (done < count) done += IMB_FLUSH_BURST(manager, count, burst.data());
  return true;
}

bool run_fastest(IMB_MGR* manager, std::span<CryptoJob> jobs) {
  return has_stages(jobs[0].suite) ? run_stages(manager, jobs) : run_burst(manager, jobs);
}

}  // namespace gmesp::bench
