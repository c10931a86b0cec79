// SPIs and ports: TS 33.203 7.1, 7.4.
#include <set>
#include <unordered_set>

#include "sa_lab.h"

namespace gmesp::sa {
namespace {

Policy with_spis(uint32_t spi_min, uint32_t spi_max) {
  Policy policy;
  policy.spi_min = spi_min;
  policy.spi_max = spi_max;
  return policy;
}

Policy with_ports_pc(uint16_t first, uint16_t last) {
  Policy policy;
  policy.ports_pc = {{first, last}};
  return policy;
}

// Shows: R-7.1-12, R-7.1-14
TEST(SpiPool, AMillionAllocationsAreDistinctAndInTheRange) {
  constexpr uint32_t kMin = 0x10000, kMax = 0x10000 + 2'100'000;
  SpiPool pool(kMin, kMax, 128'000, 0xfeedface);
  std::unordered_set<uint32_t> seen;
  for (int i = 0; i < 500'000; ++i) {
    uint32_t first, second;
    ASSERT_TRUE(pool.allocate({}, 0, first, second));
    for (const uint32_t spi : {first, second}) {
      ASSERT_GE(spi, kMin);
      ASSERT_LE(spi, kMax);
      ASSERT_TRUE(seen.insert(spi).second);
    }
  }
  EXPECT_EQ(pool.taken(), 1'000'000u);
}

// Shows: R-7.1-12
TEST(SpiPool, PassesOverTheNextValueIfTheUeProposesIt) {
  SpiPool pool(1'000, 1'100, 128'000, 0);
  uint32_t first, second;
  ASSERT_TRUE(pool.allocate({}, 0, first, second));
  const uint32_t of_ue[] = {second + 1, second + 3};
  ASSERT_TRUE(pool.allocate(of_ue, 0, first, second));
  EXPECT_EQ(first, of_ue[0] + 1);
  EXPECT_EQ(second, of_ue[1] + 1);
}

// Shows: R-7.1-14, R-D-P2
TEST(SpiPool, AFreedSpiRestsAndAnExhaustedPoolTakesNothing) {
  constexpr uint64_t kRest_ms = 128'000;
  SpiPool pool(1'000, 1'002, kRest_ms, 1);
  uint32_t first, second, third, fourth;
  ASSERT_TRUE(pool.allocate({}, 0, first, second));
  EXPECT_FALSE(pool.allocate({}, 0, third, fourth)) << "one is free, two are needed";
  EXPECT_EQ(pool.taken(), 2u);
  pool.release(first, 50);
  pool.release(second, 50);
  EXPECT_FALSE(pool.allocate({}, 50 + kRest_ms - 1, third, fourth));
  EXPECT_EQ(pool.taken(), 2u);
  EXPECT_TRUE(pool.allocate({}, 50 + kRest_ms + 1, third, fourth));
}

// Shows: R-7.1-12
TEST(SpisOfASet, AreNoneThatTheUeSentNowOrBefore) {
  SaLab lab(with_spis(5'000, 5'100), 0);
  Ue ue = ue_at(ipv4(1, 1));
  ue.spi_c = 5'000 - 2;  // begin_…() moves on by two
  ue.spi_s = 5'001 - 2;
  const UeSet old = lab.register_in_clear(ue);
  ue.spi_c = 5'004 - 2;
  ue.spi_s = 5'005 - 2;
  const UeSet fresh = lab.begin_on(old, ue);
  const std::set<uint32_t> all = {old.spi_uc,   old.spi_us,   old.spi_pc,   old.spi_ps,
                                  fresh.spi_uc, fresh.spi_us, fresh.spi_pc, fresh.spi_ps};
  EXPECT_EQ(all.size(), 8u);
  for (const uint32_t spi : {old.spi_pc, old.spi_ps, fresh.spi_pc, fresh.spi_ps}) {
    EXPECT_GE(spi, 5'000u);
    EXPECT_LE(spi, 5'100u);
  }
}

/// SM1 with one thing changed.
Refusal refusal_of(const std::function<void(Ue&)>& change) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  change(ue);
  const Verdict verdict = lab.sm1(ue);
  EXPECT_EQ(verdict.action, verdict.refusal == Refusal::kNone ? Action::kForward : Action::kReject);
  EXPECT_EQ(lab.manager.contexts(), verdict.refusal == Refusal::kNone ? 1u : 0u);
  return verdict.refusal;
}

// Shows: R-7.1-13
TEST(SpisOfTheUe, AreNeitherReservedNorEqual) {
  EXPECT_EQ(refusal_of([](Ue& ue) { ue.spi_c = 0; }), Refusal::kUeSpiBad);
  EXPECT_EQ(refusal_of([](Ue& ue) { ue.spi_s = 255; }), Refusal::kUeSpiBad);
  EXPECT_EQ(refusal_of([](Ue& ue) { ue.spi_c = 256; }), Refusal::kNone);
  EXPECT_EQ(refusal_of([](Ue& ue) { ue.spi_c = ue.spi_s; }), Refusal::kUeSpiBad);
  EXPECT_EQ(refusal_of([](Ue& ue) { ue.spi_c = 0xffffffff; }), Refusal::kNone);
}

// Shows: R-7.1-13
TEST(SpisOfTheUe, AreNotInUseByIt) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const UeSet old = lab.register_in_clear(ue);
  ue.protects = old;
  for (const uint32_t used : {old.spi_uc, old.spi_us}) {
    ue.choose_anew();
    ue.spi_c = used;
    EXPECT_EQ(lab.sm1(ue).refusal, Refusal::kUeSpiBad);
    ue.choose_anew();
    ue.spi_c = 0x9000;
    ue.spi_s = used;
    EXPECT_EQ(lab.sm1(ue).refusal, Refusal::kUeSpiBad);
    ue.spi_s = 0x9001;
  }
  Ue other = ue_at(ipv4(1, 2), "other@ims.example");
  other.spi_c = old.spi_uc;
  EXPECT_EQ(lab.sm1(other).refusal, Refusal::kNone) << "another UE has SPIs of its own";
}

// Shows: R-7.1-15
TEST(PortsOfTheUe, AreNoUnprotectedOnesNorEqual) {
  for (const uint16_t bad : {0, 5060, 5061}) {
    EXPECT_EQ(refusal_of([&](Ue& ue) { ue.port_c = bad; }), Refusal::kUePortBad) << bad;
    EXPECT_EQ(refusal_of([&](Ue& ue) { ue.port_s = bad; }), Refusal::kUePortBad) << bad;
  }
  EXPECT_EQ(refusal_of([](Ue& ue) { ue.port_c = ue.port_s; }), Refusal::kUePortBad);
  EXPECT_EQ(refusal_of([](Ue& ue) { ue.port_c = 1, ue.port_s = 65'535; }), Refusal::kNone);
}

// Shows: R-7.1-15
TEST(PortsOfTheUe, AreNoneThatTheOperatorUsesUnprotected) {
  Policy policy;
  policy.unprotected_ports = {5060, 5061, 5070};
  SaLab lab(policy);
  Ue ue = ue_at(ipv4(1, 1));
  ue.port_s = 5070;
  EXPECT_EQ(lab.sm1(ue).refusal, Refusal::kUePortBad);
}

// Shows: R-7.4-01, R-7.1-16
TEST(Ports, TheServerPortsStay) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const UeSet old = lab.register_in_clear(ue);
  Policy moved = lab.manager.policy();
  moved.port_ps = 5088;
  lab.manager.set_policy(moved);
  const UeSet fresh = lab.register_on(old, ue);
  EXPECT_EQ(fresh.port_ps, old.port_ps);
  EXPECT_EQ(fresh.port_us, old.port_us);
  EXPECT_EQ(lab.request(fresh.from_client()).action, Action::kForward);

  ue.protects = fresh;
  ue.choose_anew();
  ue.port_s = 31'000;
  const Verdict verdict = lab.sm1(ue);
  EXPECT_EQ(verdict.refusal, Refusal::kServerPortChanged);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_TRUE(lab.lives(fresh));
  EXPECT_TRUE(lab.lives(old));

  Ue newcomer = ue_at(ipv4(1, 2), "new@ims.example");
  EXPECT_EQ(lab.register_in_clear(newcomer).port_ps, 5088);
  Arrival stranger = fresh.from_client();
  stranger.source = ipv4(9, 9);
  EXPECT_EQ(lab.request(stranger).refusal, Refusal::kNoSa) << "the old one is still protected";
}

// Shows: R-7.1-16
TEST(Ports, AfterDeregistrationTheServerPortMayChange) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  lab.register_in_clear(ue);
  lab.deregister(ue);
  lab.pass(lab.manager.policy().linger_ms);
  Policy moved = lab.manager.policy();
  moved.port_ps = 5088;
  lab.manager.set_policy(moved);
  ue.port_s = 31'000;
  const UeSet fresh = lab.register_in_clear(ue);
  EXPECT_EQ(fresh.port_ps, 5088);
  EXPECT_EQ(fresh.port_us, 31'000);
}

// Shows: R-7.4-02
TEST(Ports, TheClientPortsChange) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const UeSet first = lab.register_in_clear(ue);
  const UeSet second = lab.register_on(first, ue);
  const UeSet third = lab.begin_on(second, ue);
  EXPECT_EQ(lab.sink.held.size(), 3u);
  EXPECT_EQ((std::set{first.port_pc, second.port_pc, third.port_pc}).size(), 3u);
  EXPECT_EQ((std::set{first.port_uc, second.port_uc, third.port_uc}).size(), 3u);
}

// Shows: R-7.1-14
TEST(Ports, AFreedClientPortRests) {
  Policy policy = with_ports_pc(6100, 6100);
  SaLab lab(policy);
  Ue ue = ue_at(ipv4(1, 1));
  const UeSet only = lab.begin_in_clear(ue);
  const uint64_t rest_ms = policy.rest_ms;
  lab.ue_fails(ue, AuthenticationAnswer::kNetworkFailure);
  EXPECT_FALSE(lab.lives(only));
  lab.pass(rest_ms - 1);
  ue.choose_anew();
  lab.sm1(ue);
  EXPECT_EQ(lab.challenge(ue).refusal, Refusal::kPortsExhausted);
  lab.pass(2);
  lab.sm1(ue);
  EXPECT_EQ(lab.challenge(ue).action, Action::kForward);
  EXPECT_EQ(ue.fresh.port_pc, 6100);
}

// Shows: R-D-P1, R-7.1-25
TEST(Ports, TwoUsersWithOneAddressAndServerPortGetDifferentClientPorts) {
  SaLab lab(with_ports_pc(6100, 6103));
  std::set<uint16_t> ports;
  for (int i = 0; i < 4; ++i) {
    Ue ue = ue_at(ipv4(1, 1), "user" + std::to_string(i));
    ue.port_c = static_cast<uint16_t>(40'000 + 10 * i);
    const UeSet set = lab.register_in_clear(ue);
    ports.insert(set.port_pc);
    EXPECT_EQ(lab.request(set.from_server()).impi, ue.impi);
  }
  EXPECT_EQ(ports.size(), 4u);
  Ue fifth = ue_at(ipv4(1, 1), "fifth");
  fifth.port_c = 50'000;
  lab.sm1(fifth);
  EXPECT_EQ(lab.challenge(fifth).refusal, Refusal::kPortsExhausted);
  Ue elsewhere = ue_at(ipv4(1, 2), "elsewhere");
  EXPECT_EQ(lab.register_in_clear(elsewhere).port_pc, 6100);
}

// Shows: R-7.1-16
TEST(Ports, OneServerPortServesManyUes) {
  SaLab lab;
  const std::string name = "user";
  for (uint32_t i = 0; i < 20'000; ++i) {
    Ue ue = ue_at(ipv4(static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)),
                  name + std::to_string(i));
    ASSERT_EQ(lab.register_in_clear(ue).port_ps, 5066);
    lab.sink.log.clear();
  }
  EXPECT_EQ(lab.manager.sets(), 20'000u);
}

/// Nothing taken, and everything as before.
void expect_untaken(const SaLab& lab, const char* what) {
  EXPECT_EQ(lab.manager.spis().taken(), 0u) << what;
  EXPECT_EQ(lab.manager.table().entries(), 0u) << what;
  EXPECT_EQ(lab.manager.sets(), 0u) << what;
  EXPECT_EQ(lab.manager.procedures(), 0u) << what;
  EXPECT_EQ(lab.manager.contexts(), 0u) << what;
  EXPECT_TRUE(lab.sink.held.empty()) << what;
}

// Shows: R-D-P2
TEST(Exhaustion, FailsARegistrationWhole) {
  const struct {
    Policy policy;
    Refusal refusal;
  } rows[] = {{with_spis(5'000, 5'000), Refusal::kSpisExhausted},
              {with_ports_pc(6101, 6100), Refusal::kPortsExhausted}};
  for (const auto& row : rows) {
    SaLab lab(row.policy);
    Ue ue = ue_at(ipv4(1, 1));
    for (int i = 0; i < 3; ++i) {
      lab.sm1(ue);
      const Verdict verdict = lab.challenge(ue);
      EXPECT_EQ(verdict.refusal, row.refusal);
      EXPECT_EQ(verdict.action, Action::kReject);
      EXPECT_EQ(verdict.status, 503);
      expect_untaken(lab, info(row.refusal).name);
    }
  }
}

// Shows: R-D-P2
TEST(Exhaustion, NothingLeaksOverManyRegistrations) {
  SaLab lab(with_spis(5'000, 5'007));
  Ue ue = ue_at(ipv4(1, 1));
  for (int i = 0; i < 100; ++i) {
    const UeSet set = lab.register_in_clear(ue);
    lab.deregister(ue);
    lab.pass(lab.manager.policy().linger_ms);
    EXPECT_FALSE(lab.lives(set));
    lab.pass(lab.manager.policy().rest_ms);
    expect_untaken(lab, "after the resting time");
  }
}

}  // namespace
}  // namespace gmesp::sa
