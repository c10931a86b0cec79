// All engines against the second implementation: every size, mixed batches, forged bits and jobs
// whose lengths are wrong.
#include "crypto/engine.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <deque>
#include <thread>

#include "reference.h"

namespace gmesp::crypto::test {
namespace {

/// Nothing larger can be ESP (RFC 791 3.1).
constexpr uint32_t kIpDatagramBytesMax = 65'535;

constexpr Direction kDirections[] = {Direction::kInbound, Direction::kOutbound};

std::vector<CryptoJob> jobs_of(std::deque<Packet>& packets) {
  std::vector<CryptoJob> jobs;
  for (Packet& packet : packets) jobs.push_back(packet.job());
  return jobs;
}

void expect_every_size(const Candidate& candidate, const Association& association,
                       Direction direction, size_t batch, Random& random) {
  SCOPED_TRACE(candidate.name + ", " + std::string(name(association.suite)) +
               (direction == Direction::kInbound ? " in" : " out") + ", batches of " +
               std::to_string(batch));
  std::deque<Packet> packets;
  for (const uint32_t size : ciphered_sizes(association.suite.cipher))
    packets.emplace_back(association, random_packet(association.suite, size, random), direction);
  std::vector<CryptoJob> jobs = jobs_of(packets);
  process_in_batches(candidate, jobs, batch);
  for (size_t i = 0; i < jobs.size(); ++i) {
    ASSERT_EQ(jobs[i].status, JobStatus::kOk) << jobs[i].esp_bytes;
    ASSERT_TRUE(packets[i].is_as_expected()) << jobs[i].esp_bytes;
  }
}

class EverySuite : public testing::TestWithParam<uint32_t> {
 protected:
  Suite suite_ = suite_at(GetParam());
  Random random_{GetParam() + 1};
};

INSTANTIATE_TEST_SUITE_P(Engines, EverySuite, testing::Range(0u, kSuiteCount),
                         [](const auto& suite) {
                           std::string text(name(suite_at(suite.param)));
                           std::erase_if(text, [](char c) { return !std::isalnum(c); });
                           return text;
                         });

// Shows: R-7.1-01, R-7.1-02, R-D-K3
TEST_P(EverySuite, EverySizeGivesTheSameBytesInEveryEngine) {
  const Association association = random_association(suite_, random_);
  for (const Candidate& candidate : candidates())
    for (const Direction direction : kDirections)
      for (const size_t batch : {1, 2, 5, 128}) {
        // Without AVX-512, IPsec-MB's 3DES takes milliseconds a packet: once is enough there.
        if (suite_.cipher == Cipher::kDesEde3Cbc && batch != 128 &&
            candidate.name.starts_with("ipsec-mb"))
          continue;
        expect_every_size(candidate, association, direction, batch, random_);
      }
}

// The largest ESP bodies an IP datagram can carry; IPsec-MB counts lengths in 16 bits.
// Shows: R-7.1-02, R-D-K3
TEST_P(EverySuite, LargestSizesGiveTheSameBytesInEveryEngine) {
  const Association association = random_association(suite_, random_);
  const CipherInfo cipher = info(suite_.cipher);
  const uint32_t room = kIpDatagramBytesMax - kClearHeaderBytes - cipher.iv_bytes;
  const uint32_t largest = room / cipher.block_bytes * cipher.block_bytes;
  for (const Candidate& candidate : candidates())
    for (const Direction direction : kDirections) {
      std::deque<Packet> packets;
      for (const uint32_t size : {largest, largest - cipher.block_bytes, 32u * 1024})
        packets.emplace_back(association, random_packet(suite_, size, random_), direction);
      std::vector<CryptoJob> jobs = jobs_of(packets);
      candidate.process(jobs);
      for (size_t i = 0; i < jobs.size(); ++i) {
        EXPECT_EQ(jobs[i].status, JobStatus::kOk) << candidate.name << " " << jobs[i].esp_bytes;
        EXPECT_TRUE(packets[i].is_as_expected()) << candidate.name << " " << jobs[i].esp_bytes;
      }
    }
}

// Shows: R-7.1-01, R-7.1-03
TEST_P(EverySuite, EveryFlippedBitIsAnIcvMismatch) {
  const Association association = random_association(suite_, random_);
  const Bytes clear = random_packet(suite_, 2 * info(suite_.cipher).block_bytes, random_);
  for (const Candidate& candidate : candidates()) {
    std::deque<Packet> packets;
    for (size_t bit = 0; bit < clear.size() * 8; ++bit) {
      packets.emplace_back(association, clear, Direction::kInbound);
      packets.back().flip_bit(bit);
      packets.emplace_back(association, clear, Direction::kInbound);
    }
    std::vector<CryptoJob> jobs = jobs_of(packets);
    process_in_batches(candidate, jobs, Engine::kJobsMax);
    for (size_t i = 0; i < jobs.size(); i += 2) {
      ASSERT_EQ(jobs[i].status, JobStatus::kIcvMismatch) << candidate.name << " bit " << i / 2;
      ASSERT_EQ(jobs[i + 1].status, JobStatus::kOk) << candidate.name << " beside bit " << i / 2;
      ASSERT_TRUE(packets[i + 1].is_as_expected()) << candidate.name << " beside bit " << i / 2;
    }
  }
}

// Shows: R-7.1-01
TEST_P(EverySuite, AnotherIntegrityKeyIsAnIcvMismatch) {
  const Association sender = random_association(suite_, random_);
  const Association receiver = random_association(suite_, random_);
  for (const Candidate& candidate : candidates()) {
    Packet packet(sender, random_packet(suite_, 64, random_), Direction::kInbound);
    CryptoJob job = packet.job();
    job.keys = &receiver.keys;
    candidate.process({&job, 1});
    EXPECT_EQ(job.status, JobStatus::kIcvMismatch) << candidate.name;
  }
}

/// With SHA-1 and AES or NULL, in every engine: a flood of forged packets costs no deciphering.
// Shows: R-2406-08
TEST(Engine, AForgedPacketIsNotDeciphered) {
  Random random(11);
  for (const Cipher cipher : {Cipher::kAesCbc128, Cipher::kNull}) {
    const Suite suite{Integrity::kHmacSha1_96, cipher};
    const Association association = random_association(suite, random);
    for (const Candidate& candidate : candidates()) {
      std::deque<Packet> packets;
      for (size_t i = 0; i < Engine::kJobsMax; ++i)
        packets.emplace_back(association, random_packet(suite, 64, random), Direction::kInbound);
      for (size_t i = 0; i < packets.size(); i += 3) packets[i].flip_bit(i);
      std::vector<CryptoJob> jobs = jobs_of(packets);
      candidate.process(jobs);
      for (size_t i = 0; i < packets.size(); i += 3) packets[i].flip_bit(i);  // and back
      for (size_t i = 0; i < packets.size(); ++i) {
        const bool is_forged = i % 3 == 0;
        ASSERT_EQ(jobs[i].status, is_forged ? JobStatus::kIcvMismatch : JobStatus::kOk);
        ASSERT_TRUE(is_forged ? packets[i].is_untouched() : packets[i].is_as_expected())
            << candidate.name << ", packet " << i;
      }
    }
  }
}

std::vector<uint32_t> wrong_lengths(Cipher cipher) {
  const CipherInfo sizes = info(cipher);
  const uint32_t front = kClearHeaderBytes + sizes.iv_bytes;
  return {0,
          1,
          7,
          kClearHeaderBytes,
          front,
          front + 1,
          front + sizes.block_bytes - 1,
          front + sizes.block_bytes + 1,
          front + 3 * sizes.block_bytes - 1,
          (kIpDatagramBytesMax - front) / sizes.block_bytes * sizes.block_bytes + front +
              sizes.block_bytes,
          65'536,
          UINT32_MAX - 3,
          UINT32_MAX};
}

// Shows: R-D-K3
TEST_P(EverySuite, WrongLengthsFailAloneAndTouchNothing) {
  const Association association = random_association(suite_, random_);
  for (const EngineChoice choice :
       {EngineChoice::kAuto, EngineChoice::kIpsecMb, EngineChoice::kOpenSsl}) {
    Engine engine(choice);
    for (const Direction direction : kDirections) {
      std::deque<Packet> packets;
      std::vector<CryptoJob> jobs;
      for (const uint32_t esp_bytes : wrong_lengths(suite_.cipher)) {
        const Bytes clear = random_packet(suite_, 48, random_);
        for (const bool wrong : {false, true}) {
          packets.emplace_back(association, clear, direction);
          jobs.push_back(packets.back().job());
          if (wrong) jobs.back().esp_bytes = esp_bytes;
        }
      }
      engine.process(jobs);
      for (size_t i = 0; i < jobs.size(); i += 2) {
        EXPECT_EQ(jobs[i].status, JobStatus::kOk);
        EXPECT_TRUE(packets[i].is_as_expected());
        EXPECT_EQ(jobs[i + 1].status, JobStatus::kFailed) << jobs[i + 1].esp_bytes;
        EXPECT_TRUE(packets[i + 1].is_untouched()) << jobs[i + 1].esp_bytes;
      }
    }
  }
}

// Tables are indexed by these numbers, and they come from shared memory.
// Shows: R-7.1-03, R-D-K3
TEST(Engine, JobsOfUnknownSuitesFailAlone) {
  Random random(10);
  const Association association =
      random_association({Integrity::kHmacSha1_96, Cipher::kAesCbc128}, random);
  const Bytes clear = random_packet(association.suite, 48, random);
  for (const EngineChoice choice :
       {EngineChoice::kAuto, EngineChoice::kIpsecMb, EngineChoice::kOpenSsl}) {
    std::deque<Packet> packets;
    for (uint32_t i = 0; i < 8; ++i) packets.emplace_back(association, clear, Direction::kOutbound);
    std::vector<CryptoJob> jobs = jobs_of(packets);
    jobs[1].suite.integrity = static_cast<Integrity>(0);
    jobs[3].suite.integrity = static_cast<Integrity>(3);
    jobs[5].suite.cipher = static_cast<Cipher>(0);
    jobs[7].suite.cipher = static_cast<Cipher>(4);
    Engine(choice).process(jobs);
    for (size_t i = 0; i < jobs.size(); i += 2) {
      EXPECT_EQ(jobs[i].status, JobStatus::kOk);
      EXPECT_TRUE(packets[i].is_as_expected());
      EXPECT_EQ(jobs[i + 1].status, JobStatus::kFailed) << i + 1;
      EXPECT_TRUE(packets[i + 1].is_untouched()) << i + 1;
    }
  }
}

/// What is done to one job of a mixed batch, and the status it must end with.
enum class Damage : uint8_t { kNone, kIcv, kLength };

struct MixedJob {
  Packet packet;
  Damage damage;
  Direction direction;
};

MixedJob random_mixed_job(const std::vector<Association>& associations, Random& random) {
  // Rarely 3DES: see EverySizeGivesTheSameBytesInEveryEngine.
  const uint32_t row = static_cast<uint32_t>(random() % associations.size());
  const Cipher cipher = associations[row].suite.cipher;
  const Association& association = cipher == Cipher::kDesEde3Cbc && random() % 8 != 0
                                       ? associations[row - 1]
                                       : associations[row];
  const std::vector<uint32_t> sizes = ciphered_sizes(association.suite.cipher);
  const Direction direction = kDirections[random() % 2];
  const auto damage = random() % 4 == 0 ? static_cast<Damage>(random() % 3) : Damage::kNone;
  return {
      Packet(association, random_packet(association.suite, sizes[random() % sizes.size()], random),
             direction),
      damage, direction};
}

void expect_mixed_batch(const Candidate& candidate, const std::deque<MixedJob>& fresh,
                        bool checks_lengths) {
  std::deque<MixedJob> mixed = fresh;
  std::vector<CryptoJob> jobs;
  for (MixedJob& one : mixed) {
    if (one.damage == Damage::kIcv && one.direction == Direction::kInbound)
      one.packet.flip_bit(one.packet.bytes() * 8 - 1);
    jobs.push_back(one.packet.job());
    if (one.damage == Damage::kLength && checks_lengths) --jobs.back().esp_bytes;
  }
  candidate.process(jobs);
  for (size_t i = 0; i < jobs.size(); ++i) {
    SCOPED_TRACE(candidate.name + ", job " + std::to_string(i) + ", " +
                 std::string(name(jobs[i].suite)));
    if (mixed[i].damage == Damage::kLength && checks_lengths) {
      EXPECT_EQ(jobs[i].status, JobStatus::kFailed);
      EXPECT_TRUE(mixed[i].packet.is_untouched());
    } else if (mixed[i].damage == Damage::kIcv && mixed[i].direction == Direction::kInbound) {
      EXPECT_EQ(jobs[i].status, JobStatus::kIcvMismatch);
    } else {
      EXPECT_EQ(jobs[i].status, JobStatus::kOk);
      EXPECT_TRUE(mixed[i].packet.is_as_expected());
    }
  }
}

std::vector<Association> associations_of_all_suites(uint32_t of_each, Random& random) {
  std::vector<Association> all;
  for (uint32_t i = 0; i < of_each * kSuiteCount; ++i)
    all.push_back(random_association(suite_at(i % kSuiteCount), random));
  return all;
}

// Shows: R-7.1-02, R-D-K3
TEST(MixedBatches, EveryCountGivesTheSameBytesInEveryEngine) {
  Random random(7);
  const std::vector<Association> associations = associations_of_all_suites(4, random);
  const std::vector<Candidate> all = candidates();
  for (uint32_t count = 1; count <= Engine::kJobsMax; ++count) {
    std::deque<MixedJob> mixed;
    for (uint32_t i = 0; i < count; ++i) mixed.push_back(random_mixed_job(associations, random));
    for (const Candidate& candidate : all)
      expect_mixed_batch(candidate, mixed, !candidate.name.starts_with("ipsec-mb on"));
    if (HasFailure()) FAIL() << "in the batch of " << count;
  }
}

// Shows: R-D-K3
TEST(MixedBatches, NoJobsAreNoWork) {
  for (const Candidate& candidate : candidates()) candidate.process({});
}

// Shows: R-7.1-02
TEST(MixedBatches, WhatOneEngineCiphersEveryOtherDeciphers) {
  Random random(8);
  const std::vector<Association> associations = associations_of_all_suites(2, random);
  const std::vector<Candidate> all = candidates();
  EXPECT_TRUE(rc::check([&](const std::vector<std::pair<uint8_t, Bytes>>& wanted) {
    const size_t count = std::min<size_t>(wanted.size(), Engine::kJobsMax);
    std::vector<Bytes> clear;
    std::vector<CryptoJob> jobs;
    for (size_t i = 0; i < count; ++i) {
      const Association& association = associations[wanted[i].first % associations.size()];
      const CipherInfo cipher = info(association.suite.cipher);
      Bytes packet(kClearHeaderBytes + cipher.iv_bytes, wanted[i].first);
      packet.insert(packet.end(), wanted[i].second.begin(), wanted[i].second.end());
      const size_t blocks = wanted[i].second.size() / cipher.block_bytes + 1;
      packet.resize(kClearHeaderBytes + cipher.iv_bytes + blocks * cipher.block_bytes + kIcvBytes);
      jobs.push_back({&association.keys, nullptr, static_cast<uint32_t>(packet.size() - kIcvBytes),
                      association.suite, Direction::kOutbound, JobStatus::kPending});
      clear.push_back(std::move(packet));
    }
    const size_t sender_row = *rc::gen::element<size_t>(0, 2);
    const Candidate& sender = all[sender_row];
    const Candidate& receiver = all[1];
    std::vector<Bytes> packets = clear;
    for (size_t i = 0; i < count; ++i) jobs[i].esp = packets[i].data();
    sender.process(jobs);
    for (CryptoJob& job : jobs) {
      RC_ASSERT(job.status == JobStatus::kOk);
      job.direction = Direction::kInbound;
    }
    receiver.process(jobs);
    for (size_t i = 0; i < count; ++i) {
      RC_ASSERT(jobs[i].status == JobStatus::kOk);
      RC_ASSERT(std::equal(packets[i].begin(), packets[i].end() - kIcvBytes, clear[i].begin()));
    }
  }));
}

// Shows: R-D-K3
TEST(Engine, TwoCoresShareKeyRecordsOnly) {
  Random random(9);
  const std::vector<Association> associations = associations_of_all_suites(1, random);
  std::array<std::deque<Packet>, 2> packets;
  for (std::deque<Packet>& mine : packets)
    for (uint32_t i = 0; i < Engine::kJobsMax; ++i) {
      const Association& association = associations[i % kSuiteCount];
      mine.emplace_back(association, random_packet(association.suite, 96, random),
                        kDirections[i / kSuiteCount % 2]);
    }
  std::vector<std::thread> cores;
  for (std::deque<Packet>& mine : packets)
    cores.emplace_back([&mine] {
      std::vector<CryptoJob> jobs = jobs_of(mine);
      Engine().process(jobs);
    });
  for (std::thread& core : cores) core.join();
  for (const std::deque<Packet>& mine : packets)
    for (const Packet& packet : mine) EXPECT_TRUE(packet.is_as_expected());
}

}  // namespace
}  // namespace gmesp::crypto::test
