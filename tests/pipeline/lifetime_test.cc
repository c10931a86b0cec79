// "Not after" is kept to the millisecond by the packet path itself, and a removed set is gone
// (TS 33.203 7.1, 7.4, 7.4.2a).
#include <gtest/gtest.h>

#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using shm::SaRole;
using shm::Status;

constexpr SaRole kInbound[] = {SaRole::kInUcPs, SaRole::kInUsPc};
constexpr SaRole kOutbound[] = {SaRole::kOutPsUc, SaRole::kOutPcUs};

/// Both directions of both SA pairs; how many of the four packets came through.
size_t passed(Lab& lab, const Registration& ue, uint32_t sequence) {
  size_t through = 0;
  for (const SaRole role : kInbound)
    through += lab.from_network(ue.uplink(role, sequence, pattern(20))).size();
  for (const SaRole role : kOutbound)
    through += lab.from_host(frame_from_host(ue.clear(role, pattern(20)))).size();
  return through;
}

// Shows: R-7.1-09
TEST(Lifetime, TrafficStopsAtTheStampNotBefore) {
  for (Registration ue : all_kinds()) {
    Lab lab;
    ue.not_after_ms = lab.now_ms + 600'000;
    lab.install(ue);
    EXPECT_EQ(passed(lab, ue, 1), 4u) << kind(ue);
    lab.now_ms = ue.not_after_ms - 1;
    EXPECT_EQ(passed(lab, ue, 2), 4u) << kind(ue);
    lab.now_ms = ue.not_after_ms;
    EXPECT_EQ(passed(lab, ue, 3), 0u) << kind(ue);
    EXPECT_EQ(lab.drops(), "sa_expired 4") << kind(ue);
    lab.now_ms += 1'000'000'000;
    EXPECT_EQ(passed(lab, ue, 4), 0u) << kind(ue);
  }
}

// Shows: R-7.1-09
TEST(Lifetime, ForEverIsForEver) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  lab.now_ms = uint64_t{1} << 62;
  EXPECT_EQ(passed(lab, ue, 1), 4u);
}

// Shows: R-7.1-09
TEST(Lifetime, NeitherBytesNorPacketsAgeAnSa) {
  const Registration ue = make_registration(
      1, shm::Mode::kTransport, true, {crypto::Integrity::kHmacMd5_96, crypto::Cipher::kNull});
  Lab lab;
  lab.install(ue);
  for (uint32_t sequence = 1; sequence <= 20'000; ++sequence)
    ASSERT_EQ(lab.from_network(ue.uplink(SaRole::kInUcPs, sequence, pattern(1000))).size(), 1u);
}

// Shows: R-7.1-09
TEST(Lifetime, MayGrowWhileTrafficRuns) {
  Registration ue = make_registration(1);
  Lab lab;
  ue.not_after_ms = lab.now_ms + 1000;
  const uint64_t set_id = lab.install(ue);
  EXPECT_EQ(lab.database().set_not_after(set_id, ue.not_after_ms - 1), Status::kLifetimeShrinks);
  EXPECT_EQ(lab.database().set_not_after(set_id, ue.not_after_ms + 5000), Status::kOk);
  lab.now_ms = ue.not_after_ms + 4999;
  EXPECT_EQ(passed(lab, ue, 1), 4u);
  lab.now_ms = ue.not_after_ms + 5000;
  EXPECT_EQ(passed(lab, ue, 2), 0u);
}

// Shows: R-7.4-04, R-D-T1
TEST(Lifetime, NothingPassesOnARemovedSet) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    const uint64_t set_id = lab.install(ue);
    EXPECT_EQ(passed(lab, ue, 1), 4u);
    EXPECT_EQ(lab.database().unpublish(set_id), Status::kOk);
    EXPECT_EQ(passed(lab, ue, 2), 0u) << kind(ue) << ": from unpublish() on";
    lab.database().reclaim(static_cast<ipsec::SetIndex>(set_id));
    EXPECT_EQ(passed(lab, ue, 3), 0u) << kind(ue) << ": after its memory is gone";
    EXPECT_EQ(lab.drops(), "unknown_spi 4, no_sa_for_protected_port 4") << kind(ue);
  }
}

// Shows: R-7.4-04
TEST(Lifetime, RemovalLeavesOtherSetsOfTheSameUeAlone) {
  const Registration old_set = make_registration(1);
  Registration new_set = make_registration(2);  // after re-registration: other client ports
  new_set.ue = new_set.outer_ue = old_set.ue;
  new_set.port_us = old_set.port_us;
  Lab lab;
  const uint64_t old_id = lab.install(old_set);
  lab.install(new_set);
  EXPECT_EQ(passed(lab, old_set, 1), 4u);
  EXPECT_EQ(passed(lab, new_set, 1), 4u);
  lab.remove(old_id);
  EXPECT_EQ(passed(lab, old_set, 2), 0u);
  EXPECT_EQ(passed(lab, new_set, 2), 4u);
}

// Shows: R-D-A2, R-7.4-04
TEST(Lifetime, AReusedSlotAcceptsNothingOfItsFormerSet) {
  LabOptions options;
  options.database.capacity_sets = 1;
  Lab lab(options);
  const Registration first = make_registration(1);
  const Registration second = make_registration(2);
  const uint64_t first_id = lab.install(first);
  EXPECT_EQ(passed(lab, first, 1), 4u);
  lab.remove(first_id);
  const uint64_t second_id = lab.install(second);
  EXPECT_NE(first_id, second_id);
  EXPECT_EQ(passed(lab, first, 2), 0u);
  EXPECT_EQ(passed(lab, second, 1), 4u);
  EXPECT_EQ(lab.database().unpublish(first_id), Status::kNotFound) << "the old id means nothing";
  EXPECT_EQ(passed(lab, second, 2), 4u);
  EXPECT_EQ(lab.view(second_id).sa[0].packets, 2u);
}

}  // namespace
}  // namespace gmesp::test
