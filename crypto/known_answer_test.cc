#include "crypto/known_answer_test.h"

#include <algorithm>
#include <array>

#include "crypto/job_check.h"
#include "crypto/known_answers.h"

namespace gmesp::crypto {
namespace {

using Packet = std::vector<uint8_t>;
constexpr std::array<uint8_t, kEspHeaderBytes> kEspHeader = {0xc0, 0xff, 0xee, 0x01, 0, 0, 0, 1};

std::string hex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

/// The packet as it is before ciphering, with room for the ICV.
Packet plain_packet(const KnownAnswer& answer) {
  Packet packet(kEspHeader.begin(), kEspHeader.end());
  for (uint32_t i = 0; i < info(answer.suite.cipher).iv_bytes; ++i) {
    packet.push_back(known_answer_iv(i));
  }
  for (uint32_t i = 0; i < answer.text_bytes; ++i) packet.push_back(known_answer_text(i));
  packet.resize(packet.size() + kIcvBytes);
  return packet;
}

/// Runs all answers on one engine: each packet alone, then as many as fit in one mixed batch.
class Examination {
 public:
  Examination(EngineChoice choice, std::string engine_name, std::span<const KnownAnswer> answers)
      : engine_(choice), engine_name_(std::move(engine_name)), answers_(answers), keys_() {
    std::array<uint8_t, kIntegrityKeyBytesMax> integrity_key;
    std::array<uint8_t, kCipherKeyBytesMax> cipher_key;
    for (uint32_t i = 0; i < integrity_key.size(); ++i) {
      integrity_key[i] = known_answer_integrity_key(i);
    }
    for (uint32_t i = 0; i < cipher_key.size(); ++i) cipher_key[i] = known_answer_cipher_key(i);
    for (uint32_t i = 0; i < kSuiteCount; ++i) {
      const Suite suite = suite_at(i);
      expand(suite, std::span(integrity_key).first(info(suite.integrity).key_bytes),
             std::span(cipher_key).first(info(suite.cipher).key_bytes), keys_[i]);
    }
  }

  std::vector<KnownAnswerFailure> run() {
    for (const KnownAnswer& answer : answers_) examine_alone(answer);
    if (failures_.empty()) examine_batch();
    return std::move(failures_);
  }

 private:
  CryptoJob job(const KnownAnswer& answer, Packet& packet, Direction direction) const {
    return {&keys_[index_of(answer.suite)],
            packet.data(),
            static_cast<uint32_t>(packet.size() - kIcvBytes),
            answer.suite,
            direction,
            JobStatus::kPending};
  }

  void expect(bool holds, const KnownAnswer& answer, std::string_view what) {
    if (holds) return;
    failures_.push_back({engine_name_, std::string(name(answer.suite)),
                         std::to_string(answer.text_bytes) + " bytes " + std::string(what)});
  }

  void expect_sealed(const KnownAnswer& answer, const Packet& packet, std::string_view where) {
    const auto sealed = std::span(packet);
    const auto text = sealed.first(sealed.size() - kIcvBytes);
    const std::string last_block = hex(text.last(answer.last_block.size() / 2));
    const std::string icv = hex(sealed.last(kIcvBytes));
    const std::string place = "outbound " + std::string(where);
    expect(last_block == answer.last_block, answer, place + ": wrong cipher text " + last_block);
    expect(icv == answer.icv, answer, place + ": wrong ICV " + icv);
  }

  void expect_opened(const KnownAnswer& answer, const Packet& packet, std::string_view where) {
    const Packet plain = plain_packet(answer);
    expect(std::equal(plain.begin(), plain.end() - kIcvBytes, packet.begin()), answer,
           "inbound " + std::string(where) + ": wrong text");
  }

  /// Outbound, back again, and back again with one bit of the ICV turned.
  void examine_alone(const KnownAnswer& answer) {
    Packet packet = plain_packet(answer);
    CryptoJob outbound = job(answer, packet, Direction::kOutbound);
    engine_.process({&outbound, 1});
    expect(outbound.status == JobStatus::kOk, answer, "outbound alone: refused");
    expect_sealed(answer, packet, "alone");
    sealed_.push_back(packet);

    CryptoJob inbound = job(answer, packet, Direction::kInbound);
    engine_.process({&inbound, 1});
    expect(inbound.status == JobStatus::kOk, answer, "inbound alone: refused");
    expect_opened(answer, packet, "alone");

    Packet forged = sealed_.back();
    forged.back() ^= 1;
    CryptoJob rejected = job(answer, forged, Direction::kInbound);
    engine_.process({&rejected, 1});
    expect(rejected.status == JobStatus::kIcvMismatch, answer, "inbound alone: wrong ICV accepted");
  }

  /// All answers in turn, outbound, inbound and inbound forged in turn, in one full batch.
  void examine_batch() {
    enum Treatment { kSeal, kOpen, kReject, kTreatments };
    std::array<Packet, Engine::kJobsMax> packets;
    std::array<CryptoJob, Engine::kJobsMax> jobs;
    for (uint32_t i = 0; i < jobs.size(); ++i) {
      const KnownAnswer& answer = answers_[i % answers_.size()];
      const uint32_t treatment = i % kTreatments;
      packets[i] = treatment == kSeal ? plain_packet(answer) : sealed_[i % answers_.size()];
      if (treatment == kReject) packets[i].back() ^= 1;
      jobs[i] =
          job(answer, packets[i], treatment == kSeal ? Direction::kOutbound : Direction::kInbound);
    }
    engine_.process(jobs);
    for (uint32_t i = 0; i < jobs.size(); ++i) {
      const KnownAnswer& answer = answers_[i % answers_.size()];
      const uint32_t treatment = i % kTreatments;
      const JobStatus due = treatment == kReject ? JobStatus::kIcvMismatch : JobStatus::kOk;
      expect(jobs[i].status == due, answer, "in a batch: wrong verdict");
      if (treatment == kSeal) expect_sealed(answer, packets[i], "in a batch");
      if (treatment == kOpen) expect_opened(answer, packets[i], "in a batch");
    }
  }

  Engine engine_;
  std::string engine_name_;
  std::span<const KnownAnswer> answers_;
  std::array<SaKeys, kSuiteCount> keys_;
  std::vector<Packet> sealed_;  ///< by answer
  std::vector<KnownAnswerFailure> failures_;
};

}  // namespace

std::vector<KnownAnswerFailure> known_answer_test(std::span<const KnownAnswer> answers) {
  auto failures = Examination(EngineChoice::kIpsecMb, "ipsec-mb", answers).run();
  auto more = Examination(EngineChoice::kOpenSsl, "openssl", answers).run();
  failures.insert(failures.end(), more.begin(), more.end());
  return failures;
}

std::vector<KnownAnswerFailure> known_answer_test() {
  return known_answer_test(known_answers());
}

}  // namespace gmesp::crypto
