#include "crypto/job_chain.h"

#include "crypto/job_check.h"

namespace gmesp::crypto {
namespace {

void fill_hash(IMB_JOB& mb, const CryptoJob& job) {
  mb.hash_alg = job.suite.integrity == Integrity::kHmacMd5_96 ? IMB_AUTH_MD5 : IMB_AUTH_HMAC_SHA_1;
  mb.u.HMAC._hashed_auth_key_xor_ipad =
      reinterpret_cast<const uint8_t*>(job.keys->hmac_inner.data());
  mb.u.HMAC._hashed_auth_key_xor_opad =
      reinterpret_cast<const uint8_t*>(job.keys->hmac_outer.data());
  mb.hash_start_src_offset_in_bytes = 0;
  mb.msg_len_to_hash_in_bytes = job.esp_bytes;
  mb.auth_tag_output_len_in_bytes = kIcvBytes;
}

void fill_direction(IMB_JOB& mb, const CryptoJob& job, ComputedIcv& inbound_icv) {
  if (job.direction == Direction::kOutbound) {
    mb.cipher_direction = IMB_DIR_ENCRYPT;
    mb.chain_order = IMB_ORDER_CIPHER_HASH;
    mb.auth_tag_output = job.esp + job.esp_bytes;
  } else {
    mb.cipher_direction = IMB_DIR_DECRYPT;
    mb.chain_order = IMB_ORDER_HASH_CIPHER;
    mb.auth_tag_output = inbound_icv.bytes.data();
  }
}

void finish(const IMB_JOB& mb) {
  if (mb.status != IMB_STATUS_COMPLETED) return;
  auto& job = *static_cast<CryptoJob*>(mb.user_data);
  const bool is_genuine =
      job.direction == Direction::kOutbound ||
      static_cast<const ComputedIcv*>(mb.user_data2)->equals(job.esp + job.esp_bytes);
  job.status = is_genuine ? JobStatus::kOk : JobStatus::kIcvMismatch;
}

}  // namespace

void JobChain::fill_cipher(IMB_JOB& mb, const CryptoJob& job, Scratch& scratch) const {
  const uint8_t* key = job.keys->cipher_key.data();
  switch (job.suite.cipher) {
    case Cipher::kAesCbc128:
      make_schedules(manager_, key, scratch.encryption, scratch.decryption);
      mb.cipher_mode = IMB_CIPHER_CBC;
      mb.enc_keys = scratch.encryption.round_keys.data();
      mb.dec_keys = scratch.decryption.round_keys.data();
      break;
    case Cipher::kDesEde3Cbc:
      for (uint32_t i = 0; i < scratch.des.size(); ++i) {
        make_schedule(manager_, key + i * kDesKeyBytes, scratch.des[i]);
        scratch.des_schedules[i] = scratch.des[i].data();
      }
      mb.cipher_mode = IMB_CIPHER_DES3;
      mb.enc_keys = scratch.des_schedules.data();
      mb.dec_keys = scratch.des_schedules.data();
      break;
    case Cipher::kNull:
      mb.cipher_mode = IMB_CIPHER_NULL;
      break;
  }
  const CipherInfo cipher = info(job.suite.cipher);
  const uint32_t clear_bytes = kEspHeaderBytes + cipher.iv_bytes;
  mb.key_len_in_bytes = cipher.key_bytes;
  mb.iv = job.esp + kEspHeaderBytes;
  mb.iv_len_in_bytes = cipher.iv_bytes;
  mb.src = job.esp;
  mb.dst = job.esp + clear_bytes;
  mb.cipher_start_src_offset_in_bytes = clear_bytes;
  mb.msg_len_to_cipher_in_bytes = job.esp_bytes - clear_bytes;
}

void JobChain::process(std::span<CryptoJob* const> jobs) noexcept {
  // Every call ends with empty lanes, so the library always has room for a whole burst.
  const auto count = static_cast<uint32_t>(jobs.size());
  std::array<IMB_JOB*, IMB_MAX_BURST_SIZE> burst;
  if (IMB_GET_NEXT_BURST(manager_, count, burst.data()) != count) {
    for (CryptoJob* job : jobs) job->status = JobStatus::kFailed;
    return;
  }
  for (uint32_t i = 0; i < count; ++i) {
    CryptoJob& job = *jobs[i];
    job.status = JobStatus::kFailed;  // until the library says otherwise
    burst[i]->user_data = &job;
    burst[i]->user_data2 = &scratch_[i].inbound_icv;
    fill_cipher(*burst[i], job, scratch_[i]);
    fill_hash(*burst[i], job);
    fill_direction(*burst[i], job, scratch_[i].inbound_icv);
  }
  // Unchecked: the caller has checked more than the library would. Its check costs a tenth of a
  // small packet, and one refused job would stop the whole burst.
  uint32_t done = IMB_SUBMIT_BURST_NOCHECK(manager_, count, burst.data());
  do {
    for (uint32_t i = 0; i < done; ++i) finish(*burst[i]);
    done = IMB_FLUSH_BURST(manager_, count, burst.data());
  } while (done > 0);
  wipe({reinterpret_cast<uint8_t*>(scratch_.data()), count * sizeof(Scratch)});
}

}  // namespace gmesp::crypto
