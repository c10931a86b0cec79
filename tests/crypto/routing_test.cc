// Where Engine sends a job: lone packets and hopeless suites to OpenSSL, groups to the lanes.
#include <gtest/gtest.h>

#include "crypto/engine.h"
#include "crypto/engine_choice.h"
#include "crypto/ipsec_mb_engine.h"
#include "reference.h"

namespace gmesp::crypto::test {
namespace {

template <typename Check>
void for_every_kind(const Check& check) {
  for (uint32_t i = 0; i < kSuiteCount; ++i)
    for (const Direction direction : {Direction::kInbound, Direction::kOutbound}) {
      SCOPED_TRACE(name(suite_at(i)));
      check(suite_at(i), direction);
    }
}

constexpr VectorArch kArchs[] = {VectorArch::kSse, VectorArch::kAvx, VectorArch::kAvx2,
                                 VectorArch::kAvx512};

// Shows: R-D-K3
TEST(Routing, LoneJobsNeverEnterTheLanes) {
  const Engine engine;
  for_every_kind([&](Suite suite, Direction direction) {
    EXPECT_EQ(engine.route(suite, direction, 1), EngineChoice::kOpenSsl);
    for (const VectorArch arch : kArchs) EXPECT_GT(break_even_jobs(arch, suite, direction), 1u);
  });
}

// IPsec-MB 1.3 has 3DES lanes for AVX-512 only; elsewhere it is slower than OpenSSL at any number.
// Shows: R-D-K3
TEST(Routing, TripleDesEntersTheLanesOnlyWithAvx512) {
  const Engine engine;
  for_every_kind([&](Suite suite, Direction direction) {
    const bool is_triple_des = suite.cipher == Cipher::kDesEde3Cbc;
    for (const VectorArch arch : kArchs) {
      const uint32_t least = break_even_jobs(arch, suite, direction);
      if (is_triple_des && arch != VectorArch::kAvx512) {
        EXPECT_EQ(least, kNeverOnLanes);
      } else {
        EXPECT_LE(least, Engine::kJobsMax);
      }
    }
    const bool has_lanes = !is_triple_des || IpsecMbEngine().arch() == VectorArch::kAvx512;
    EXPECT_EQ(engine.route(suite, direction, Engine::kJobsMax),
              has_lanes ? EngineChoice::kIpsecMb : EngineChoice::kOpenSsl);
  });
}

// Shows: R-D-K3
TEST(Routing, TheTableOfThisCpuIsTheOneInForce) {
  const Engine engine;
  const VectorArch arch = IpsecMbEngine().arch();
  for_every_kind([&](Suite suite, Direction direction) {
    const uint32_t least = break_even_jobs(arch, suite, direction);
    EXPECT_EQ(engine.route(suite, direction, least - 1), EngineChoice::kOpenSsl);
    if (least != kNeverOnLanes) {
      EXPECT_EQ(engine.route(suite, direction, least), EngineChoice::kIpsecMb);
    }
  });
}

/// Waiting pays where many jobs are as dear as one and go to the lanes: 3DES with AVX-512.
TEST(Routing, CompanyIsWantedForTripleDesOnItsLanesOnly) {
  const bool has_lanes = IpsecMbEngine().arch() == VectorArch::kAvx512;
  for (const EngineChoice choice :
       {EngineChoice::kAuto, EngineChoice::kIpsecMb, EngineChoice::kOpenSsl}) {
    const Engine engine(choice);
    for_every_kind([&](Suite suite, Direction direction) {
      const bool is_wanted =
          suite.cipher == Cipher::kDesEde3Cbc && has_lanes && choice != EngineChoice::kOpenSsl;
      EXPECT_EQ(engine.company(suite, direction), is_wanted ? 16u : 1u);
    });
  }
}

// Shows: R-D-K3
TEST(Routing, AChosenEngineTakesEverything) {
  const Engine lanes(EngineChoice::kIpsecMb);
  const Engine single(EngineChoice::kOpenSsl);
  for_every_kind([&](Suite suite, Direction direction) {
    for (const uint32_t jobs : {1u, Engine::kJobsMax}) {
      EXPECT_EQ(lanes.route(suite, direction, jobs), EngineChoice::kIpsecMb);
      EXPECT_EQ(single.route(suite, direction, jobs), EngineChoice::kOpenSsl);
    }
  });
}

// Groups of one job fewer, as many, and one more than the lanes want, in one call with others.
// Shows: R-D-K3
TEST(Routing, BytesAreTheSameOnBothSidesOfTheBreakEven) {
  Random random(3);
  Engine engine;
  const VectorArch arch = IpsecMbEngine().arch();
  for_every_kind([&](Suite suite, Direction direction) {
    const uint32_t least = break_even_jobs(arch, suite, direction);
    if (least == kNeverOnLanes) return;
    const Association association = random_association(suite, random);
    for (const uint32_t group : {least - 1, least, least + 1}) {
      std::vector<Packet> packets;
      std::vector<CryptoJob> jobs;
      for (uint32_t i = 0; i < group; ++i)
        packets.emplace_back(association, random_packet(suite, 320, random), direction);
      const Direction other =
          direction == Direction::kInbound ? Direction::kOutbound : Direction::kInbound;
      packets.emplace_back(association, random_packet(suite, 320, random), other);
      for (Packet& packet : packets) jobs.push_back(packet.job());
      engine.process(jobs);
      for (size_t i = 0; i < jobs.size(); ++i) {
        EXPECT_EQ(jobs[i].status, JobStatus::kOk);
        EXPECT_TRUE(packets[i].is_as_expected());
      }
    }
  });
}

// Shows: R-D-K3
TEST(Routing, DescriptionNamesTheVectorExtensionAndEverySuite) {
  const std::string text = Engine().describe();
  EXPECT_NE(text.find(std::string(name(IpsecMbEngine().arch()))), std::string::npos) << text;
  for (uint32_t i = 0; i < kSuiteCount; ++i)
    EXPECT_NE(text.find(std::string(name(suite_at(i)))), std::string::npos) << text;
}

// Shows: R-D-K3
TEST(Routing, AVectorExtensionTheCpuLacksIsRefusedByName) {
  for (const VectorArch arch : kArchs) {
    if (is_supported(arch)) {
      EXPECT_EQ(IpsecMbEngine(arch).arch(), arch);
      continue;
    }
    try {
      const IpsecMbEngine engine(arch);
      ADD_FAILURE() << name(arch) << " was not refused";
    } catch (const EngineError& error) {
      EXPECT_NE(std::string(error.what()).find(name(arch)), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace gmesp::crypto::test
