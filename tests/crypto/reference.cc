#include "reference.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <memory>

#include "crypto/ipsec_mb_engine.h"

namespace gmesp::crypto::test {
namespace {

constexpr uint8_t kGuard = 0xa5;

Candidate candidate(std::string name, EngineChoice choice) {
  auto engine = std::make_shared<Engine>(choice);
  return {std::move(name), [engine](std::span<CryptoJob> jobs) { engine->process(jobs); }};
}

Candidate candidate(VectorArch arch) {
  auto engine = std::make_shared<IpsecMbEngine>(arch);
  return {"ipsec-mb on " + std::string(name(arch)), [engine](std::span<CryptoJob> jobs) {
            std::vector<CryptoJob*> chosen;
            for (CryptoJob& job : jobs) chosen.push_back(&job);
            engine->process(chosen);
          }};
}

}  // namespace

Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

std::string to_hex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

Bytes random_bytes(Random& random, size_t count) {
  Bytes bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

Association make_association(Suite suite, const Bytes& integrity_key, const Bytes& cipher_key) {
  Association association{suite, integrity_key, cipher_key, {}};
  EXPECT_EQ(expand(suite, integrity_key, cipher_key, association.keys), KeyError::kOk)
      << name(suite);
  return association;
}

Association random_association(Suite suite, Random& random) {
  return make_association(suite, random_bytes(random, info(suite.integrity).key_bytes),
                          random_bytes(random, info(suite.cipher).key_bytes));
}

Bytes random_packet(Suite suite, uint32_t ciphered, Random& random) {
  Bytes packet = random_bytes(random, kClearHeaderBytes + info(suite.cipher).iv_bytes + ciphered);
  packet.resize(packet.size() + kIcvBytes);
  return packet;
}

Bytes icv(Integrity integrity, std::span<const uint8_t> key, std::span<const uint8_t> bytes) {
  Bytes digest(EVP_MAX_MD_SIZE);
  unsigned digest_bytes = 0;
  HMAC(integrity == Integrity::kHmacMd5_96 ? EVP_md5() : EVP_sha1(), key.data(),
       static_cast<int>(key.size()), bytes.data(), bytes.size(), digest.data(), &digest_bytes);
  EXPECT_GE(digest_bytes, kIcvBytes);
  digest.resize(kIcvBytes);
  return digest;
}

Bytes protect(const Association& association, const Bytes& clear) {
  const CipherInfo cipher = info(association.suite.cipher);
  Bytes packet = clear;
  packet.resize(clear.size() - kIcvBytes);
  if (association.suite.cipher != Cipher::kNull) {
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
        EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
    const EVP_CIPHER* algorithm =
        association.suite.cipher == Cipher::kAesCbc128 ? EVP_aes_128_cbc() : EVP_des_ede3_cbc();
    const size_t start = kClearHeaderBytes + cipher.iv_bytes;
    int written = 0;
    EXPECT_EQ(EVP_EncryptInit_ex(context.get(), algorithm, nullptr, association.cipher_key.data(),
                                 clear.data() + kClearHeaderBytes),
              1);
    EVP_CIPHER_CTX_set_padding(context.get(), 0);
    EXPECT_EQ(EVP_EncryptUpdate(context.get(), packet.data() + start, &written,
                                clear.data() + start, static_cast<int>(packet.size() - start)),
              1);
    EXPECT_EQ(static_cast<size_t>(written), packet.size() - start);
  }
  const Bytes tag = icv(association.suite.integrity, association.integrity_key, packet);
  packet.insert(packet.end(), tag.begin(), tag.end());
  return packet;
}

Packet::Packet(const Association& association, const Bytes& clear, Direction direction)
    : association_(&association), direction_(direction) {
  const Bytes wire = protect(association, clear);
  if (direction == Direction::kOutbound) {
    original_ = guarded(clear);
    expected_ = guarded(wire);
  } else {
    Bytes opened(clear.begin(), clear.end() - kIcvBytes);  // the ICV itself stays as it came
    opened.insert(opened.end(), wire.end() - kIcvBytes, wire.end());
    original_ = guarded(wire);
    expected_ = guarded(opened);
  }
  buffer_ = original_;
}

CryptoJob Packet::job() {
  return {&association_->keys, esp(),      static_cast<uint32_t>(bytes() - kIcvBytes),
          association_->suite, direction_, JobStatus::kPending};
}

void Packet::flip_bit(size_t bit) {
  esp()[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
}

Bytes Packet::guarded(const Bytes& packet) {
  Bytes whole(kGuardBytes, kGuard);
  whole.insert(whole.end(), packet.begin(), packet.end());
  whole.resize(whole.size() + kGuardBytes, kGuard);
  return whole;
}

std::vector<Candidate> candidates() {
  std::vector<Candidate> all = {candidate("auto", EngineChoice::kAuto),
                                candidate("ipsec-mb", EngineChoice::kIpsecMb),
                                candidate("openssl", EngineChoice::kOpenSsl)};
  const VectorArch best = IpsecMbEngine().arch();
  for (const VectorArch arch : {VectorArch::kSse, VectorArch::kAvx, VectorArch::kAvx2})
    if (arch < best && is_supported(arch)) all.push_back(candidate(arch));
  return all;
}

std::vector<uint32_t> ciphered_sizes(Cipher cipher) {
  constexpr uint32_t kPayloadBytesMax = 1500;
  constexpr uint32_t kTrailerBytes = 2;
  const uint32_t block = info(cipher).block_bytes;
  std::vector<uint32_t> sizes;
  for (uint32_t size = block; size < kPayloadBytesMax + kTrailerBytes + block; size += block)
    sizes.push_back(size);
  return sizes;
}

void process_in_batches(const Candidate& candidate, std::span<CryptoJob> jobs, size_t batch) {
  for (size_t at = 0; at < jobs.size(); at += batch)
    candidate.process(jobs.subspan(at, std::min(batch, jobs.size() - at)));
}

}  // namespace gmesp::crypto::test
