// NAT traversal: TS 33.203 Annex M, as far as the SA manager has to do with it.
#include <set>

#include "sa_lab.h"

namespace gmesp::sa {
namespace {

Ue behind_nat(const Address& public_address, const Address& private_address,
              std::string impi = "user@ims.example") {
  Ue ue = ue_at(public_address, std::move(impi));
  ue.via = private_address;
  ue.modes = {"trans", "UDP-enc-tun"};
  return ue;
}

struct Nat : testing::Test {
  SaLab lab;
  Ue ue = behind_nat(ipv4(1, 1), ipv4(192, 7));
};

// Shows: R-M-01, R-M-02
TEST_F(Nat, IsWhereTheViaOfAClearSm1IsNotThePacketsSource) {
  struct {
    Address source, via;
    const char* mode;
  } const rows[] = {{ipv4(1, 1), ipv4(1, 1), "trans"},
                    {ipv4(1, 1), ipv4(192, 7), "UDP-enc-tun"},
                    {ipv6(1), ipv6(1), "trans"},
                    {ipv6(1), ipv6(2), "UDP-enc-tun"},
                    {ipv4(1, 1), ipv6(1), "UDP-enc-tun"}};
  for (const auto& row : rows) {
    SaLab lab;
    Ue ue = behind_nat(row.source, row.via);
    lab.begin_in_clear(ue);
    for (auto& entry : entries_of(ue.security_server)) EXPECT_EQ(entry["mod"], row.mode);
    EXPECT_EQ(lab.sink.held.at(ue.fresh.number).set.mode,
              row.via == row.source ? Mode::kTransport : Mode::kUdpEncapsulatedTunnel);
  }
}

// Shows: R-M-05, R-M-07
TEST_F(Nat, TheSetHasThePublicAddressAndNoPortOfTheNatYet) {
  const UeSet fresh = lab.begin_in_clear(ue);
  const SaSet& made = lab.sink.held.at(fresh.number).set;
  EXPECT_EQ(made.ue, ipv4(1, 1));
  EXPECT_EQ(made.local, kPcscf);
  EXPECT_EQ(made.peer_port, 0);
}

// Shows: R-M-07, R-M-08
TEST_F(Nat, ThePortOfTheNatIsKeptAsReportedEvenIfItIs4500) {
  const UeSet fresh = lab.begin_in_clear(ue);
  lab.manager.peer_port(fresh.number, 4500);
  EXPECT_EQ(lab.set(fresh)->peer_port, 4500);
  lab.sm7(ue);
  lab.ok(ue);
  EXPECT_EQ(lab.set(fresh)->peer_port, 4500);
  const size_t before = lab.sink.log.size();
  lab.manager.peer_port(fresh.number, 31'337);
  EXPECT_EQ(lab.set(fresh)->peer_port, 31'337);
  EXPECT_NE(lab.sink.log.find("changed", before), std::string::npos) << "a restart must know it";
}

// Shows: R-M-03
TEST_F(Nat, WithoutTheCapabilityOfTheUeSm1IsDroppedInSilence) {
  ue.modes = {"trans"};
  const Verdict verdict = lab.sm1(ue);
  EXPECT_EQ(verdict.action, Action::kDiscard);
  EXPECT_EQ(verdict.refusal, Refusal::kNatWithoutCapability);
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-M-03
TEST(NatPolicy, WithoutOurCapabilitySm1IsDroppedInSilenceOrAnswered) {
  for (const bool answers : {false, true}) {
    Policy policy;
    policy.allows_nat_traversal = false;
    policy.answers_missing_nat_capability = answers;
    SaLab lab(policy);
    Ue ue = behind_nat(ipv4(1, 1), ipv4(192, 7));
    const Verdict verdict = lab.sm1(ue);
    EXPECT_EQ(verdict.action, answers ? Action::kReject : Action::kDiscard);
    EXPECT_EQ(verdict.refusal, Refusal::kNatWithoutCapability);
    EXPECT_EQ(lab.manager.procedures(), 0u);
    Ue without_nat = behind_nat(ipv4(1, 2), ipv4(1, 2), "other@ims.example");
    EXPECT_EQ(lab.register_in_clear(without_nat).mode, "trans");
  }
}

// Shows: R-M-02, R-7.3-07
TEST_F(Nat, WithoutItAUeThatOffersTheTunnelOnlyIsRefused) {
  ue.via = ue.address;
  ue.modes = {"UDP-enc-tun"};
  const Verdict verdict = lab.sm1(ue);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kModeNotOffered);
}

// Shows: R-M-04, R-M-05
TEST_F(Nat, AReregistrationThroughTheTunnelMakesATunnel) {
  const UeSet old = lab.register_in_clear(ue);
  ue.via = ue.address;  // inside the tunnel the UE uses its public address (M.7.2)
  const UeSet fresh = lab.register_on(old, ue);
  EXPECT_EQ(lab.set(fresh)->mode, Mode::kUdpEncapsulatedTunnel);
  EXPECT_EQ(fresh.mode, "UDP-enc-tun");
  EXPECT_EQ(lab.request(fresh.from_client()).send.mode, Mode::kUdpEncapsulatedTunnel);
}

// Shows: R-M-04
TEST_F(Nat, AReregistrationOnATransportSetMakesTransport) {
  ue.via = ue.address;
  const UeSet old = lab.register_in_clear(ue);
  EXPECT_EQ(lab.register_on(old, ue).mode, "trans");
}

// Shows: R-M-10, R-7.1-28
TEST_F(Nat, AnotherUserWithTheSameServerPortIsRefused) {
  const UeSet old = lab.register_in_clear(ue);
  Ue other = behind_nat(ue.address, ipv4(192, 8), "other@ims.example");
  other.port_c = 50'000;
  const Verdict verdict = lab.sm1(other);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kServerPortTaken);
  EXPECT_EQ(lab.manager.procedures(), 0u);
  other.port_s = old.port_uc;  // "has not yet been associated with entries": any entry
  EXPECT_EQ(lab.sm1(other).refusal, Refusal::kServerPortTaken);
  other.port_s = 31'000;
  EXPECT_EQ(lab.sm1(other).action, Action::kForward) << "it may try again with another port";
}

// Shows: R-M-10
TEST_F(Nat, TwoUsersWhoAskForOneServerPortAtTheSameTimeDoNotBothGetIt) {
  Ue other = behind_nat(ue.address, ipv4(192, 8), "other@ims.example");
  other.port_c = 50'000;
  lab.sm1(ue);
  lab.sm1(other);
  EXPECT_EQ(lab.challenge(ue).action, Action::kForward);
  EXPECT_EQ(lab.challenge(other).refusal, Refusal::kServerPortTaken);
}

// Shows: R-M-10
TEST_F(Nat, TheOwnReregistrationKeepsItsServerPort) {
  const UeSet old = lab.register_in_clear(ue);
  Ue in_clear_again = ue;
  in_clear_again.choose_anew();
  in_clear_again.protects.reset();
  EXPECT_EQ(lab.sm1(in_clear_again).action, Action::kForward);
  ue.via = ue.address;
  EXPECT_EQ(lab.register_on(old, ue).port_us, old.port_us);
}

// Shows: R-M-11
TEST(NatPolicy, AThousandUesBehindOneAddressWithEqualSpis) {
  Policy policy;
  policy.ports_pc = {{6100, 6103}};
  SaLab lab(policy);
  std::set<std::string> users;
  for (uint16_t i = 0; i < 1'000; ++i) {
    Ue ue = behind_nat(ipv4(1, 1), ipv4(192, 7), "user" + std::to_string(i));
    ue.port_s = static_cast<uint16_t>(20'000 + i);
    ue.port_c = static_cast<uint16_t>(30'000 + i);
    const UeSet set = lab.register_in_clear(ue);
    users.insert(lab.request(set.from_client()).impi);
    EXPECT_EQ(lab.manager.route(UePort{set.ue, set.port_us}, kClear, lab.now_ms).impi, ue.impi);
    lab.sink.log.clear();
  }
  EXPECT_EQ(users.size(), 1'000u);
}

// Shows: R-M-12
TEST_F(Nat, TheModeIsToldWithEveryMessageAndRoute) {
  const UeSet tunnel = lab.register_in_clear(ue);
  EXPECT_EQ(lab.route(ue).send.mode, Mode::kUdpEncapsulatedTunnel);
  EXPECT_EQ(lab.request(tunnel.from_client()).send.mode, Mode::kUdpEncapsulatedTunnel);
}

// Shows: R-3948-04
TEST_F(Nat, AReportedPortDoesNotRaiseTheLifetime) {
  const UeSet tunnel = lab.register_in_clear(ue);
  const uint64_t lifetime_ms = lab.set(tunnel)->not_after_ms;
  lab.pass(kSecond_ms);
  lab.manager.peer_port(tunnel.number, 5'555);
  EXPECT_EQ(lab.set(tunnel)->not_after_ms, lifetime_ms);
}

// Shows: R-M-01, R-7.5-03
TEST_F(Nat, AUeThatLeavesTheNatRegistersAnew) {
  const UeSet tunnel = lab.register_in_clear(ue);
  ue.address = ue.via = ipv4(2, 2);
  const UeSet transport = lab.register_in_clear(ue);
  EXPECT_EQ(lab.set(transport)->mode, Mode::kTransport);
  EXPECT_FALSE(lab.lives(tunnel));
}

}  // namespace
}  // namespace gmesp::sa
