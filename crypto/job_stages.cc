#include "crypto/job_stages.h"

#include <algorithm>

#include "crypto/cbc_lanes.h"
#include "crypto/ipsec_mb_manager.h"
#include "crypto/job_check.h"

namespace gmesp::crypto {
namespace {

static_assert(IMB_MAX_BURST_SIZE == kLaneMessagesMax);
constexpr uint32_t kAesIvBytes = info(Cipher::kAesCbc128).iv_bytes;
constexpr uint32_t kAesClearBytes = kEspHeaderBytes + kAesIvBytes;

bool is_aes(const CryptoJob& job) {
  return job.suite.cipher == Cipher::kAesCbc128;
}
bool is_outbound(const CryptoJob& job) {
  return job.direction == Direction::kOutbound;
}

}  // namespace

JobStages::JobStages(IMB_MGR* manager)
    : manager_(manager),
      has_cbc_lanes_(arch_of(*manager) == VectorArch::kAvx512 && has_cbc_lanes()),
      has_hmac_lanes_(arch_of(*manager) == VectorArch::kAvx512 && has_hmac_lanes()) {
  for (size_t i = 0; i < ciphers_.size(); ++i) {
    IMB_JOB& slot = ciphers_[i];
    slot.cipher_mode = IMB_CIPHER_CBC;
    slot.key_len_in_bytes = info(Cipher::kAesCbc128).key_bytes;
    slot.iv_len_in_bytes = kAesIvBytes;
    slot.cipher_start_src_offset_in_bytes = kAesClearBytes;
    slot.enc_keys = slot.dec_keys = schedules_[i].round_keys.data();
  }
  for (IMB_JOB& slot : hashes_) {
    slot.hash_alg = IMB_AUTH_HMAC_SHA_1;
    slot.hash_start_src_offset_in_bytes = 0;
    slot.auth_tag_output_len_in_bytes = kIcvBytes;
  }
}

void JobStages::process(std::span<CryptoJob* const> jobs) noexcept {
  const bool is_done = cipher(jobs) && hash(jobs) && decipher(jobs);
  if (made_schedules_ != 0) wipe_schedules();
  if (is_done) return;
  for (CryptoJob* job : jobs) job->status = JobStatus::kFailed;
}

bool JobStages::cipher(std::span<CryptoJob* const> jobs) {
  if (!has_cbc_lanes_) return cipher_in_burst(jobs);
  cipher_in_lanes(jobs);
  return true;
}

void JobStages::cipher_in_lanes(std::span<CryptoJob* const> jobs) {
  constexpr uint32_t kBlockBytes = info(Cipher::kAesCbc128).block_bytes;
  std::array<CbcMessage, IMB_MAX_BURST_SIZE> messages;
  uint32_t count = 0;
  for (const CryptoJob* job : jobs)
    if (is_outbound(*job) && is_aes(*job))
      messages[count++] = {job->keys->cipher_key.data(), job->esp + kEspHeaderBytes,
                           job->esp + kAesClearBytes,
                           (job->esp_bytes - kAesClearBytes) / kBlockBytes};
  encrypt_cbc(lane_width_, {messages.data(), count});
}

bool JobStages::cipher_in_burst(std::span<CryptoJob* const> jobs) {
  uint32_t count = 0;
  for (const CryptoJob* job : jobs)
    if (is_outbound(*job) && is_aes(*job)) fill_cipher(count++, *job);
  return run_ciphers(count, IMB_DIR_ENCRYPT);
}

bool JobStages::hash(std::span<CryptoJob* const> jobs) {
  if (!has_hmac_lanes_) return hash_in_burst(jobs);
  hash_in_lanes(jobs);
  return true;
}

void JobStages::hash_in_lanes(std::span<CryptoJob* const> jobs) {
  std::array<HmacMessage, IMB_MAX_BURST_SIZE> sha1, md5;
  uint32_t sha1_count = 0, md5_count = 0;
  for (uint32_t i = 0; i < jobs.size(); ++i) {
    const CryptoJob& job = *jobs[i];
    HmacMessage& message =
        job.suite.integrity == Integrity::kHmacSha1_96 ? sha1[sha1_count++] : md5[md5_count++];
    message = {job.keys, job.esp, job.esp_bytes, icv(i, job)};
  }
  write_icvs(lane_width_, Integrity::kHmacSha1_96, {sha1.data(), sha1_count});
  write_icvs(lane_width_, Integrity::kHmacMd5_96, {md5.data(), md5_count});
}

bool JobStages::hash_in_burst(std::span<CryptoJob* const> jobs) {
  const auto count = static_cast<uint32_t>(jobs.size());
  for (uint32_t i = 0; i < count; ++i) {
    const CryptoJob& job = *jobs[i];
    IMB_JOB& slot = hashes_[i];
    slot.src = job.esp;
    slot.msg_len_to_hash_in_bytes = job.esp_bytes;
    slot.u.HMAC._hashed_auth_key_xor_ipad =
        reinterpret_cast<const uint8_t*>(job.keys->hmac_inner.data());
    slot.u.HMAC._hashed_auth_key_xor_opad =
        reinterpret_cast<const uint8_t*>(job.keys->hmac_outer.data());
    slot.auth_tag_output = icv(i, job);
  }
  // Unchecked: the caller has checked more than the library would, whose check costs a tenth of a
  // small packet.
  return IMB_SUBMIT_HASH_BURST_NOCHECK(manager_, hashes_.data(), count, IMB_AUTH_HMAC_SHA_1) ==
         count;
}

/// In an outbound packet its place, of an inbound packet the one to compare with.
uint8_t* JobStages::icv(uint32_t at, const CryptoJob& job) {
  return is_outbound(job) ? job.esp + job.esp_bytes : icvs_[at].bytes.data();
}

/// What is genuine, and nothing else. In groups, so that their schedules stay in the first cache.
bool JobStages::decipher(std::span<CryptoJob* const> jobs) {
  constexpr uint32_t kGroupJobs = 16;
  bool is_done = true;
  uint32_t count = 0;
  for (uint32_t i = 0; i < jobs.size(); ++i) {
    CryptoJob& job = *jobs[i];
    job.status = JobStatus::kOk;
    if (is_outbound(job)) continue;
    if (!icvs_[i].equals(job.esp + job.esp_bytes)) {
      job.status = JobStatus::kIcvMismatch;
    } else if (is_aes(job)) {
      fill_cipher(count++, job);
      if (count < kGroupJobs) continue;
      is_done &= run_ciphers(count, IMB_DIR_DECRYPT);
      count = 0;
    }
  }
  return run_ciphers(count, IMB_DIR_DECRYPT) && is_done;
}

void JobStages::fill_cipher(uint32_t at, const CryptoJob& job) {
  keys_[at] = job.keys->cipher_key.data();
  IMB_JOB& slot = ciphers_[at];
  slot.src = job.esp;
  slot.dst = job.esp + kAesClearBytes;
  slot.iv = job.esp + kEspHeaderBytes;
  slot.msg_len_to_cipher_in_bytes = job.esp_bytes - kAesClearBytes;
}

bool JobStages::run_ciphers(uint32_t count, IMB_CIPHER_DIRECTION direction) {
  if (count == 0) return true;
  make_schedules_of(count, direction);
  made_schedules_ = std::max(made_schedules_, count);
  return IMB_SUBMIT_CIPHER_BURST_NOCHECK(manager_, ciphers_.data(), count, IMB_CIPHER_CBC,
                                         direction, IMB_KEY_128_BYTES) == count;
}

void JobStages::make_schedules_of(uint32_t count, IMB_CIPHER_DIRECTION direction) {
  if (has_cbc_lanes_ && direction == IMB_DIR_DECRYPT)
    return make_decryption_schedules({keys_.data(), count}, schedules_.data());
  for (uint32_t i = 0; i < count; ++i) {
    if (direction == IMB_DIR_ENCRYPT)
      make_schedules(manager_, keys_[i], schedules_[i], unused_schedule_);
    else
      make_schedules(manager_, keys_[i], unused_schedule_, schedules_[i]);
  }
}

void JobStages::wipe_schedules() {
  wipe({reinterpret_cast<uint8_t*>(schedules_.data()), made_schedules_ * sizeof(AesSchedule)});
  wipe(unused_schedule_.round_keys);
  made_schedules_ = 0;
}

}  // namespace gmesp::crypto
