#include "crypto/ipsec_mb_engine.h"

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include <array>

#include "crypto/engine.h"
#include "crypto/job_check.h"

namespace gmesp::crypto {
namespace {

/// How many jobs ahead key lines are fetched while a job is filled in.
constexpr uint32_t kPrefetchAhead = 8;

/// asm volatile: g++ 12 deletes __builtin_prefetch in functions that do nothing else.
inline void prefetch(const void* at) {
  asm volatile("prefetcht0 %0" ::"m"(*static_cast<const char*>(at)));
}

void prefetch_keys(const CryptoJob& job) {
  const uint8_t* schedule = job.keys->cipher_schedule.data();
  const bool inbound = job.direction == Direction::kInbound;
  uint32_t first = 0;
  uint32_t lines = 0;
  if (job.suite.cipher == Cipher::kAesCbc128) {
    first = inbound ? SaKeys::kAesDecryptOffset : SaKeys::kAesEncryptOffset;
    lines = 3;
  } else if (job.suite.cipher == Cipher::kDesEde3Cbc) {
    lines = 6;
  }
  for (uint32_t i = 0; i < lines; ++i) prefetch(schedule + first + i * 64);
  prefetch(job.keys->hmac_inner.data());
}

/// What a job needs beside itself until it is done: one per slot of the batch.
struct Slot {
  CryptoJob* job;
  const void* des_schedules[3];
  uint8_t tag[IMB_MAX_TAG_LEN];
};

void fill(IMB_JOB& to, CryptoJob& job, Slot& slot) {
  const CipherInfo cipher = info(job.suite.cipher);
  const bool inbound = job.direction == Direction::kInbound;
  const uint8_t* schedule = job.keys->cipher_schedule.data();
  slot.job = &job;
  to.cipher_direction = inbound ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
  to.chain_order = inbound ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
  to.hash_alg = job.suite.integrity == Integrity::kHmacMd5_96 ? IMB_AUTH_MD5 : IMB_AUTH_HMAC_SHA_1;
  switch (job.suite.cipher) {
    case Cipher::kAesCbc128:
      to.cipher_mode = IMB_CIPHER_CBC;
      to.enc_keys = schedule + SaKeys::kAesEncryptOffset;
      to.dec_keys = schedule + SaKeys::kAesDecryptOffset;
      to.key_len_in_bytes = IMB_KEY_128_BYTES;
      break;
    case Cipher::kDesEde3Cbc:
      to.cipher_mode = IMB_CIPHER_DES3;
      for (uint32_t i = 0; i < 3; ++i)
        slot.des_schedules[i] = schedule + i * SaKeys::kDesScheduleBytes;
      to.enc_keys = to.dec_keys = slot.des_schedules;
      to.key_len_in_bytes = kCipherKeyBytesMax;
      break;
    case Cipher::kNull:
      to.cipher_mode = IMB_CIPHER_NULL;
      to.enc_keys = to.dec_keys = nullptr;
      to.key_len_in_bytes = 0;
      break;
  }
  to.src = job.esp;
  to.dst = job.esp + kEspHeaderBytes + cipher.iv_bytes;
  to.cipher_start_src_offset_in_bytes = kEspHeaderBytes + cipher.iv_bytes;
  to.msg_len_to_cipher_in_bytes = ciphered_bytes(job);
  to.hash_start_src_offset_in_bytes = 0;
  to.msg_len_to_hash_in_bytes = job.esp_bytes;
  to.iv = job.esp + kEspHeaderBytes;
  to.iv_len_in_bytes = cipher.iv_bytes;
  to.auth_tag_output = inbound ? slot.tag : job.esp + job.esp_bytes;
  to.auth_tag_output_len_in_bytes = kIcvBytes;
  to.u.HMAC._hashed_auth_key_xor_ipad =
      reinterpret_cast<const uint8_t*>(job.keys->hmac_inner.data());
  to.u.HMAC._hashed_auth_key_xor_opad =
      reinterpret_cast<const uint8_t*>(job.keys->hmac_outer.data());
  to.user_data = &slot;
}

void take(const IMB_JOB& done) {
  const Slot& slot = *static_cast<const Slot*>(done.user_data);
  CryptoJob& job = *slot.job;
  if (done.status != IMB_STATUS_COMPLETED) {
    job.status = JobStatus::kFailed;
    return;
  }
  job.status = JobStatus::kOk;
  // Constant time: how many bytes of a forged ICV were right must not show in how long it took.
  if (job.direction == Direction::kInbound &&
      CRYPTO_memcmp(slot.tag, job.esp + job.esp_bytes, kIcvBytes) != 0)
    job.status = JobStatus::kIcvMismatch;
}

}  // namespace

struct IpsecMbEngine::Impl {
  IMB_MGR* manager = nullptr;
  VectorSet set = VectorSet::kSse;
  std::array<Slot, kJobsMax> slots;
  std::array<IMB_JOB*, kJobsMax> jobs;

  ~Impl() {
    if (manager != nullptr) free_mb_mgr(manager);
    OPENSSL_cleanse(slots.data(), sizeof slots);
  }
};

IpsecMbEngine::IpsecMbEngine(VectorSet wanted) : impl_(std::make_unique<Impl>()) {
  impl_->manager = alloc_mb_mgr(0);
  if (impl_->manager == nullptr) throw EngineError("IPsec-MB: no memory for a manager");
  IMB_ARCH arch = IMB_ARCH_NONE;
  switch (wanted) {
    case VectorSet::kBest:
      init_mb_mgr_auto(impl_->manager, &arch);
      break;
    case VectorSet::kSse:
      init_mb_mgr_sse(impl_->manager);
      break;
    case VectorSet::kAvx2:
      init_mb_mgr_avx2(impl_->manager);
      break;
    case VectorSet::kAvx512:
      init_mb_mgr_avx512(impl_->manager);
      break;
  }
  if (const int error = imb_get_errno(impl_->manager); error != 0)
    throw EngineError(std::string("IPsec-MB cannot run on this CPU: ") + imb_get_strerror(error));
  impl_->set = wanted;
  if (wanted == VectorSet::kBest)
    impl_->set = arch == IMB_ARCH_AVX512 ? VectorSet::kAvx512
                 : arch == IMB_ARCH_AVX2 ? VectorSet::kAvx2
                                         : VectorSet::kSse;
}

IpsecMbEngine::~IpsecMbEngine() = default;

VectorSet IpsecMbEngine::vector_set() const {
  return impl_->set;
}

void IpsecMbEngine::process(std::span<CryptoJob* const> chosen) noexcept {
  const auto count = static_cast<uint32_t>(chosen.size());
  if (count == 0) return;
  IMB_MGR* manager = impl_->manager;
  for (uint32_t i = 0; i < count && i < kPrefetchAhead; ++i) prefetch_keys(*chosen[i]);
  // Nothing is in flight between calls, so the queue always has room for a whole batch.
  const uint32_t got = IMB_GET_NEXT_BURST(manager, count, impl_->jobs.data());
  for (uint32_t i = 0; i < got; ++i) {
    if (i + kPrefetchAhead < got) prefetch_keys(*chosen[i + kPrefetchAhead]);
    chosen[i]->status = JobStatus::kFailed;
    fill(*impl_->jobs[i], *chosen[i], impl_->slots[i]);
  }
  uint32_t done = IMB_SUBMIT_BURST(manager, got, impl_->jobs.data());
  for (uint32_t i = 0; i < done; ++i) take(*impl_->jobs[i]);
  for (uint32_t left = got - done; left != 0; left -= done) {
    done = IMB_FLUSH_BURST(manager, left, impl_->jobs.data());
    if (done == 0) break;  // the library refused the burst: those jobs keep kFailed
    for (uint32_t i = 0; i < done; ++i) take(*impl_->jobs[i]);
  }
}

const char* name(VectorSet set) {
  switch (set) {
    case VectorSet::kBest:
      return "best";
    case VectorSet::kSse:
      return "SSE";
    case VectorSet::kAvx2:
      return "AVX2";
    case VectorSet::kAvx512:
      return "AVX-512";
  }
  return "unknown";
}

}  // namespace gmesp::crypto
