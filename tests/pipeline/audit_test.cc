// Audit events (RFC 2406 4, RFC 2401 7): what they name, and that a flood of them stays bounded and
// is accounted for.
#include <gtest/gtest.h>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Statistic;
using shm::EventKind;
using shm::SaRole;

Bytes of_unknown_spi(const Registration& ue, uint32_t spi, uint32_t sequence) {
  EspSa sa = ue.sa(SaRole::kInUcPs);
  sa.spi = spi;
  return frame_to_host(seal(sa, sequence, ue.clear(SaRole::kInUcPs, pattern(20))));
}

// Shows: R-2406-02, R-2406-15
TEST(Audit, UnknownSpiIsNamedAndNeverReachesTheHost) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    EXPECT_TRUE(lab.from_network(of_unknown_spi(ue, 0xcafe, 12)).empty());
    const std::vector<ipsec::Notice> audits = lab.notices(EventKind::kAudit);
    ASSERT_EQ(audits.size(), 1u);
    EXPECT_EQ(audits[0].reason, DropReason::kUnknownSpi);
    EXPECT_EQ(ip_of(audits[0].source), ue.ue);
    EXPECT_EQ(ip_of(audits[0].destination), ue.local);
    EXPECT_EQ(audits[0].time_ms, lab.now_ms);
    EXPECT_EQ(audits[0].spi, 0xcafeu) << kind(ue) << ": RFC 2406 3.4.2";
    EXPECT_EQ(audits[0].sequence, 12u) << kind(ue) << ": RFC 2406 3.4.2";
    EXPECT_EQ(audits[0].sa, ipsec::kNoSa);
  }
}

// Shows: R-2406-02
TEST(Audit, ReservedAndZeroSpisAreUnknown) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  for (const uint32_t spi : {0u, 1u, 255u})
    EXPECT_TRUE(lab.from_network(of_unknown_spi(ue, spi, 1)).empty());
  EXPECT_EQ(lab.drops(), "unknown_spi 3");
}

// Shows: R-2406-15
TEST(Audit, AFloodIsBoundedAndTheRestIsCounted) {
  LabOptions options;
  options.pipeline.audit_events_per_second = 10;
  Lab lab(options);
  const Registration ue = make_registration(1);
  uint64_t told = 0;
  uint64_t suppressed_told = 0;
  for (int i = 0; i < 3000; ++i, ++lab.now_ms) {
    lab.from_network(of_unknown_spi(ue, 0xcafe, 1));
    for (const ipsec::Notice& notice : lab.notices(EventKind::kAudit)) {
      ++told;
      suppressed_told += notice.suppressed;
    }
  }
  EXPECT_EQ(lab.count(DropReason::kUnknownSpi), 3000u) << "the counter misses none";
  EXPECT_GE(told, 35u);
  EXPECT_LE(told, 42u);
  EXPECT_EQ(lab.count(Statistic::kAuditSuppressed), 3000 - told);
  // The next event says how many were left out before it.
  lab.now_ms += 1000;
  lab.from_network(of_unknown_spi(ue, 0xcafe, 1));
  const std::vector<ipsec::Notice> last = lab.notices(EventKind::kAudit);
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(suppressed_told + last[0].suppressed, 3000 - told);
  lab.from_network(of_unknown_spi(ue, 0xcafe, 1));
  EXPECT_EQ(lab.notices(EventKind::kAudit).at(0).suppressed, 0u) << "and begins anew";
}

// Shows: R-2406-15
TEST(Audit, AFloodOfOneReasonDoesNotHideAnother) {
  LabOptions options;
  options.pipeline.audit_events_per_second = 5;
  Lab lab(options);
  const Registration ue = make_registration(1);
  lab.install(ue);
  for (int i = 0; i < 500; ++i) lab.from_network(of_unknown_spi(ue, 0xcafe, 1));
  lab.notices();
  EXPECT_TRUE(lab.from_network(frame_to_host(ue.clear(SaRole::kInUcPs, pattern(9)))).empty());
  EXPECT_TRUE(
      lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(9), {.flipped_bit = 70})).empty());
  std::vector<DropReason> reasons;
  for (const ipsec::Notice& notice : lab.notices(EventKind::kAudit))
    reasons.push_back(notice.reason);
  EXPECT_EQ(reasons,
            (std::vector<DropReason>{DropReason::kClearToProtectedPort, DropReason::kIcvWrong}));
}

// Shows: R-2406-15
TEST(Audit, AFullRingLosesNoticesAndCountsThem) {
  LabOptions options;
  options.pipeline.audit_events_per_second = 1'000'000;
  Lab lab(options);
  const Registration ue = make_registration(1);
  for (uint32_t i = 0; i < ipsec::NoticeRing::kSlots + 100; ++i)
    lab.from_network(of_unknown_spi(ue, 0xcafe, 1));
  EXPECT_EQ(lab.pipeline().notices().lost(), 100u);
  EXPECT_EQ(lab.notices().size(), size_t{ipsec::NoticeRing::kSlots});
}

// Shows: R-2406-15
TEST(Audit, TheSaOfAPacketIsNamedWithItsNumber) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    lab.from_network(ue.uplink(SaRole::kInUsPc, 4711, pattern(9), {.flipped_bit = 99}));
    const std::vector<ipsec::Notice> audits = lab.notices(EventKind::kAudit);
    ASSERT_EQ(audits.size(), 1u);
    ASSERT_NE(audits[0].sa, ipsec::kNoSa);
    EXPECT_EQ(ipsec::role_of(audits[0].sa), SaRole::kInUsPc);
    EXPECT_EQ(audits[0].spi, ue.spi_pc);
    EXPECT_EQ(audits[0].sequence, 4711u) << kind(ue);
    EXPECT_EQ(audits[0].source_port, ue.port_us);
    EXPECT_EQ(audits[0].destination_port, ue.port_pc);
  }
}

}  // namespace
}  // namespace gmesp::test
