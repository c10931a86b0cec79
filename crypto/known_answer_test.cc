#include "crypto/known_answer_test.h"

#include <array>
#include <string_view>

#include "crypto/known_answers.h"

namespace gmesp::crypto {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes from_hex(std::string_view hex) {
  const auto digit = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Bytes bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  return bytes;
}

/// One engine under test, one table; `copies` of each answer in one call show lanes and single
/// packets alike.
class Examiner {
 public:
  Examiner(std::string engine_name, EngineChoice choice, std::span<const KnownAnswer> answers)
      : engine_name_(std::move(engine_name)), engine_(choice), answers_(answers) {}

  void examine(Direction direction, uint32_t copies, bool spoil_icv) {
    std::vector<Bytes> packets;
    std::vector<SaKeys> keys(answers_.size());
    std::vector<CryptoJob> jobs;
    for (size_t i = 0; i < answers_.size(); ++i)
      if (!expand_answer(i, keys[i])) return;
    for (uint32_t copy = 0; copy < copies; ++copy)
      for (size_t i = 0; i < answers_.size(); ++i)
        packets.push_back(input(i, direction, spoil_icv));
    for (size_t i = 0; i < packets.size(); ++i) {
      const size_t row = i % answers_.size();
      jobs.push_back({&keys[row], packets[i].data(),
                      static_cast<uint32_t>(packets[i].size() - kIcvBytes), answers_[row].suite,
                      direction, JobStatus::kPending});
    }
    for (size_t at = 0; at < jobs.size(); at += Engine::kJobsMax)
      engine_.process(
          std::span(jobs).subspan(at, std::min<size_t>(Engine::kJobsMax, jobs.size() - at)));
    for (size_t i = 0; i < packets.size(); ++i)
      judge(i % answers_.size(), jobs[i], packets[i], spoil_icv);
  }

  std::vector<KnownAnswerFailure> failures;

 private:
  bool expand_answer(size_t row, SaKeys& keys) {
    const KnownAnswer& answer = answers_[row];
    const KeyError error =
        expand(answer.suite, from_hex(answer.integrity_key), from_hex(answer.cipher_key), keys);
    if (error != KeyError::kOk) fail(row, text(error));
    return error == KeyError::kOk;
  }

  Bytes input(size_t row, Direction direction, bool spoil_icv) const {
    Bytes packet = from_hex(direction == Direction::kInbound ? answers_[row].protected_packet
                                                             : answers_[row].clear);
    if (direction == Direction::kOutbound) packet.resize(packet.size() + kIcvBytes);
    if (spoil_icv) packet.back() ^= 1;
    return packet;
  }

  void judge(size_t row, const CryptoJob& job, const Bytes& packet, bool spoil_icv) {
    if (spoil_icv) {
      if (job.status != JobStatus::kIcvMismatch) fail(row, "a wrong ICV was accepted");
      return;
    }
    if (job.status != JobStatus::kOk) return fail(row, "the job failed");
    Bytes expected =
        from_hex(job.direction == Direction::kInbound ? answers_[row].clear
                                                      : answers_[row].protected_packet);
    const size_t compared = job.direction == Direction::kInbound ? job.esp_bytes : packet.size();
    if (!std::equal(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(compared),
                    expected.begin(), expected.end()))
      fail(row, job.direction == Direction::kInbound ? "deciphered bytes differ"
                                                     : "ciphered bytes or ICV differ");
  }

  void fail(size_t row, std::string detail) {
    failures.push_back({engine_name_, std::string(name(answers_[row].suite)),
                        "answer " + std::to_string(row) + ": " + std::move(detail)});
  }

  std::string engine_name_;
  Engine engine_;
  std::span<const KnownAnswer> answers_;
};

}  // namespace

std::vector<KnownAnswerFailure> known_answer_test(std::span<const KnownAnswer> answers) {
  std::vector<KnownAnswerFailure> failures;
  constexpr std::array<std::pair<const char*, EngineChoice>, 2> kEngines = {
      {{"ipsec-mb", EngineChoice::kIpsecMb}, {"openssl", EngineChoice::kOpenSsl}}};
  for (const auto& [engine_name, choice] : kEngines) {
    Examiner examiner(engine_name, choice, answers);
    for (const Direction direction : {Direction::kInbound, Direction::kOutbound})
      for (const uint32_t copies : {1u, 10u}) examiner.examine(direction, copies, false);
    examiner.examine(Direction::kInbound, 1, true);
    failures.insert(failures.end(), examiner.failures.begin(), examiner.failures.end());
  }
  return failures;
}

std::vector<KnownAnswerFailure> known_answer_test() {
  return known_answer_test(known_answers());
}

}  // namespace gmesp::crypto
