// Nothing on the packet path allocates: not the engines, not OpenSSL, not IPsec-MB below them.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "allocation_count.h"
#include "crypto/iv_source.h"
#include "reference.h"

namespace gmesp::crypto::test {
namespace {

// Without this the zeros below would prove nothing.
// Shows: R-D-K3
TEST(Allocation, TheCounterSeesOperatorNewAndOpenSsl) {
  uint64_t before = allocations();
  auto* volatile bytes = new uint8_t[100];
  EXPECT_EQ(allocations(), before + 1);
  delete[] bytes;
  before = allocations();
  EVP_CIPHER_CTX_free(EVP_CIPHER_CTX_new());
  EXPECT_GT(allocations(), before);
}

class AllocationOf : public testing::TestWithParam<EngineChoice> {};

INSTANTIATE_TEST_SUITE_P(Engines, AllocationOf,
                         testing::Values(EngineChoice::kAuto, EngineChoice::kIpsecMb,
                                         EngineChoice::kOpenSsl));

// Shows: R-D-K3
TEST_P(AllocationOf, TenThousandPacketsIsNothing) {
  constexpr uint32_t kCalls = 80;
  Random random(6);
  std::vector<Association> associations;
  for (uint32_t i = 0; i < kSuiteCount; ++i)
    associations.push_back(random_association(suite_at(i), random));
  std::vector<Packet> packets;
  for (uint32_t i = 0; i < Engine::kJobsMax; ++i) {
    const Association& association = associations[i % kSuiteCount];
    packets.emplace_back(association, random_packet(association.suite, 16 * (1 + i % 5), random),
                         i % 4 < 2 ? Direction::kOutbound : Direction::kInbound);
  }
  std::vector<CryptoJob> jobs;
  for (Packet& packet : packets) jobs.push_back(packet.job());
  Engine engine(GetParam());
  IvSource source;
  uint8_t iv[kIvBytesMax];

  const uint64_t before = allocations();
  for (uint32_t call = 0; call < kCalls; ++call) {
    // Inbound packets are clear after the first call and mismatch from then on: a path to count,
    // too. Batches of every size between one job and all.
    const size_t batch = 1 + call * (Engine::kJobsMax - 1) / (kCalls - 1);
    for (size_t at = 0; at < jobs.size(); at += batch)
      engine.process(std::span(jobs).subspan(at, std::min(batch, jobs.size() - at)));
    for (uint32_t i = 0; i < Engine::kJobsMax; ++i) source.fill(iv, i % 2 == 0 ? 8 : 16);
  }
  EXPECT_EQ(allocations(), before);
  static_assert(kCalls * Engine::kJobsMax >= 10'000);
}

}  // namespace
}  // namespace gmesp::crypto::test
