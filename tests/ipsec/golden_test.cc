// Packets that scapy made and Wireshark confirmed (tests/vectors/golden), in and out, byte for
// byte.
#include <gtest/gtest.h>

#include "dataplane/ipsec/byte_order.h"
#include "esp_lab.h"
#include "vector_set.h"

namespace gmesp::ipsec {
namespace {

const VectorSet& golden() {
  static const VectorSet set(std::string(GMESP_VECTORS) + "/golden");
  return set;
}

/// Ports of the vectors are protected ones here.
SaDatabaseOptions options_for(const shm::SaSetRecord& record) {
  SaDatabaseOptions options = database_options(1);
  options.protected_ports.add(record.port_ps);
  return options;
}

/// Calls `test(lab, vector)` for each vector; one lab per SA, and the vectors in their order.
void for_each_vector(shm::SaSetRecord (*record_of)(const Vector&),
                     const std::function<void(EspLab&, const Vector&)>& test) {
  for (const VectorSa& sa : golden().sas()) {
    SCOPED_TRACE(sa.name);
    std::unique_ptr<EspLab> lab;
    for (const Vector& vector : golden().vectors()) {
      if (vector.sa != &sa) continue;
      if (lab == nullptr) {
        const shm::SaSetRecord record = record_of(vector);
        lab = std::make_unique<EspLab>(record, options_for(record));
      }
      test(*lab, vector);
      if (testing::Test::HasFatalFailure()) return;
    }
    EXPECT_NE(lab, nullptr) << "no packets";
  }
}

// Shows: R-7.1-01, R-7.1-02, R-2406-09, R-2406-10, R-7.1-08, R-M-02
TEST(Golden, EveryPacketIsReceivedExactly) {
  uint32_t count = 0;
  for_each_vector(receiving_record, [&](EspLab& lab, const Vector& vector) {
    const Received received = lab.receive(vector.esp);
    ASSERT_EQ(received.reason, DropReason::kNone) << info(received.reason).name;
    ASSERT_EQ(received.packet, vector.plain);
    ++count;
  });
  EXPECT_EQ(count, golden().vectors().size());
  EXPECT_GT(count, 2000u);
}

/// Sequence numbers of the vectors count from 1, as ours do. The outer IPv4 header's choices are
/// those of scapy.
// Shows: R-7.1-01, R-7.1-02, R-2406-06, R-2406-09, R-3948-02, R-M-06
TEST(Golden, EveryPacketIsSentExactly) {
  for_each_vector(sending_record, [](EspLab& lab, const Vector& vector) {
    const uint32_t iv_at = esp_offset_of(vector) + 8;
    const uint32_t iv_bytes = crypto::info(vector.sa->suite.cipher).iv_bytes;
    const Bytes iv(vector.esp.begin() + iv_at, vector.esp.begin() + iv_at + iv_bytes);
    lab.ip_identification = 0x4242;
    const Sent sent = lab.send_with_iv(shm::SaRole::kOutPsUc, vector.plain, iv);
    ASSERT_EQ(sent.reason, DropReason::kNone) << info(sent.reason).name;
    ASSERT_EQ(sent.packet, vector.esp);
  });
}

// Shows: R-2406-04, R-6.3-03
TEST(Golden, NoPacketIsReceivedTwice) {
  for_each_vector(receiving_record, [](EspLab& lab, const Vector& vector) {
    ASSERT_EQ(lab.receive(vector.esp).reason, DropReason::kNone);
    ASSERT_EQ(lab.receive(vector.esp).reason, DropReason::kReplaySeen);
  });
}

}  // namespace
}  // namespace gmesp::ipsec
