// How a new set takes the place of an old one: TS 33.203 7.4, 7.4.2a, and the eight cases of the
// joint SA3/CN1 session (seed 002): SA1 old, SA2 new, nothing sent since; messages from the UE.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

struct Replacement : testing::Test {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const uint64_t drop_ms = lab.manager.policy().drop_ms;

  SetNumber outbound() { return lab.route(ue).send.set; }
};

/// Scenario A.
struct Seed002 : Replacement {
  const UeSet sa1 = lab.register_in_clear(ue);
  const UeSet sa2 = lab.register_on(sa1, ue);

  /// Outbound has moved, and SA1 goes at 64*T1 with its lifetime untouched.
  void expect_sa1_dropped_within_64_t1() {
    EXPECT_EQ(outbound(), sa2.number);
    EXPECT_TRUE(lab.lives(sa1)) << "its transactions may still be pending";
    const uint64_t lifetime_ms = lab.set(sa1)->not_after_ms;
    EXPECT_GT(lifetime_ms, lab.now_ms + drop_ms) << "only a deadline of its own is set";
    lab.pass(drop_ms - 1);
    EXPECT_TRUE(lab.lives(sa1));
    EXPECT_EQ(lab.request(sa1.from_client()).action, Action::kForward);
    lab.pass(1);
    EXPECT_FALSE(lab.lives(sa1));
    EXPECT_EQ(lab.why_gone(sa1), GoneBecause::kReplaced);
    EXPECT_EQ(lab.request(sa1.from_client()).refusal, Refusal::kNoSa);
    EXPECT_TRUE(lab.lives(sa2));
  }

  void expect_nothing_changed() {
    EXPECT_EQ(outbound(), sa1.number);
    lab.pass(10 * drop_ms);
    EXPECT_TRUE(lab.lives(sa1));
    EXPECT_TRUE(lab.lives(sa2));
    EXPECT_EQ(outbound(), sa1.number);
  }
};

// Shows: R-7.4.2a-03
TEST_F(Seed002, BeforeAnyMessageOutboundStaysOnSa1) {
  EXPECT_EQ(outbound(), sa1.number);
}

// Shows: R-002-P1, R-D-R1
TEST_F(Seed002, Case1RequestOnSa2) {
  EXPECT_EQ(lab.request(sa2.from_client()).action, Action::kForward);
  expect_sa1_dropped_within_64_t1();
}

// Shows: R-002-P2
TEST_F(Seed002, Case2RequestOnSa1) {
  const Verdict verdict = lab.request(sa1.from_client());
  EXPECT_EQ(verdict.action, Action::kForward);
  EXPECT_EQ(verdict.arrived_on, sa1.number);
  expect_nothing_changed();
}

// Shows: R-002-P3
TEST_F(Seed002, Case3RegisterUnprotected) {
  const UeSet sa3 = lab.begin_in_clear(ue);
  EXPECT_TRUE(lab.lives(sa1));
  EXPECT_TRUE(lab.lives(sa2));
  EXPECT_EQ(outbound(), sa1.number);
  lab.sm7(ue);
  EXPECT_TRUE(lab.lives(sa1)) << "until the 200 OK";
  lab.ok(ue);
  EXPECT_FALSE(lab.lives(sa1));
  EXPECT_FALSE(lab.lives(sa2));
  EXPECT_EQ(outbound(), sa3.number);
}

// Shows: R-002-P3, R-6.1.1-02
TEST_F(Seed002, Case3RegisterUnprotectedThatFails) {
  lab.begin_in_clear(ue);
  lab.sm7(ue);
  lab.registrar_fails(ue, true);
  EXPECT_TRUE(lab.lives(sa1));
  EXPECT_TRUE(lab.lives(sa2));
  expect_nothing_changed();
}

// Shows: R-002-C4
TEST_F(Seed002, Case4RegisterOnSa2WithoutAuthentication) {
  EXPECT_EQ(lab.refresh_on(sa2, ue, 2 * kHour_ms).send.set, sa2.number);
  expect_sa1_dropped_within_64_t1();
}

// Shows: R-002-C4
TEST_F(Seed002, Case4RegisterOnSa2WithAuthentication) {
  const UeSet sa3 = lab.begin_on(sa2, ue);
  EXPECT_EQ(outbound(), sa2.number) << "at receipt";
  EXPECT_TRUE(lab.lives(sa1));
  lab.sm7(ue);
  EXPECT_TRUE(lab.lives(sa1));
  lab.ok(ue);
  EXPECT_FALSE(lab.lives(sa1)) << "right after SM12";
  EXPECT_TRUE(lab.lives(sa2));
  EXPECT_EQ(outbound(), sa2.number) << "SA2 is now the old one";
  lab.request(sa3.from_client());
  EXPECT_EQ(outbound(), sa3.number);
}

// Shows: R-002-C5, R-6.1.5-02
TEST_F(Seed002, Case5RegisterOnSa1) {
  ue.protects = sa1;
  ue.choose_anew();
  EXPECT_FALSE(lab.sm1(ue).is_integrity_protected);
  lab.challenge(ue);
  const UeSet sa3 = ue.fresh;
  EXPECT_TRUE(lab.lives(sa2));
  lab.sm7(ue);
  EXPECT_TRUE(lab.lives(sa2));
  lab.ok(ue);
  EXPECT_TRUE(lab.lives(sa1));
  EXPECT_FALSE(lab.lives(sa2));
  EXPECT_TRUE(lab.lives(sa3));
  EXPECT_EQ(outbound(), sa1.number);
  EXPECT_EQ(lab.request(sa1.from_client()).action, Action::kForward);
  EXPECT_EQ(lab.response(sa1.from_server()).action, Action::kForward) << "all four SAs";
  EXPECT_EQ(outbound(), sa1.number);
  lab.request(sa3.from_client());
  EXPECT_EQ(outbound(), sa3.number);
}

// Shows: R-002-C5
TEST_F(Seed002, Case5RegisterOnSa1WithoutAChallengeDropsNothing) {
  EXPECT_EQ(lab.refresh_on(sa1, ue, kHour_ms).send.set, sa1.number);
  expect_nothing_changed();
}

// Shows: R-002-C5, R-D-R1
TEST_F(Seed002, Case5AfterTheSwitchGivesSa1ItsLifetimeBack) {
  lab.request(sa2.from_client());
  EXPECT_EQ(outbound(), sa2.number);
  const UeSet sa3 = lab.register_on(sa1, ue);
  lab.pass(drop_ms);
  EXPECT_TRUE(lab.lives(sa1)) << "the UE uses it: no deadline any more";
  EXPECT_TRUE(lab.lives(sa3));
  EXPECT_FALSE(lab.lives(sa2));
}

// Shows: R-002-P1, R-D-R1
TEST_F(Seed002, Case6ResponseOnSa2) {
  EXPECT_EQ(lab.response(sa2.from_client()).action, Action::kForward);
  expect_sa1_dropped_within_64_t1();
}

// Shows: R-002-P1
TEST_F(Seed002, Case6ResponseOnSa2ByTcpFromTheServerPort) {
  EXPECT_EQ(lab.response(sa2.from_server()).action, Action::kForward);
  expect_sa1_dropped_within_64_t1();
}

// Shows: R-002-P2
TEST_F(Seed002, Case7ResponseOnSa1) {
  EXPECT_EQ(lab.response(sa1.from_client()).action, Action::kForward);
  expect_nothing_changed();
}

// Shows: R-002-P4
TEST_F(Seed002, Case8Sa1Expires) {
  const uint64_t end_ms = lab.set(sa1)->not_after_ms;
  lab.refresh_on(sa1, ue, 2 * kHour_ms);  // raises SA2 (7.4.2a)
  lab.pass(end_ms - lab.now_ms);
  EXPECT_FALSE(lab.lives(sa1));
  EXPECT_EQ(lab.why_gone(sa1), GoneBecause::kExpired);
  EXPECT_EQ(outbound(), sa2.number);
}

// Shows: R-002-P1
TEST_F(Seed002, Paragraph1MessageOnSa2DropsSa1WhenItsTransactionsEnd) {
  lab.manager.on_transaction_begin(sa1.number);
  lab.manager.on_transaction_begin(sa1.number);
  lab.request(sa2.from_client());
  EXPECT_EQ(outbound(), sa2.number);
  lab.manager.on_transaction_end(sa1.number, lab.now_ms);
  EXPECT_TRUE(lab.lives(sa1));
  lab.manager.on_transaction_end(sa1.number, lab.now_ms);
  EXPECT_FALSE(lab.lives(sa1));
}

// Shows: R-002-P1, R-D-R1
TEST_F(Seed002, Paragraph1TransactionsThatDoNotEndDoNotHoldSa1) {
  lab.manager.on_transaction_begin(sa1.number);
  lab.request(sa2.from_client());
  lab.pass(drop_ms - 1);
  EXPECT_TRUE(lab.lives(sa1));
  lab.pass(1);
  EXPECT_FALSE(lab.lives(sa1));
}

// Shows: R-002-P1
TEST_F(Seed002, Paragraph1WithNoTransactionLeftSa1GoesAtOnce) {
  lab.manager.on_transaction_begin(sa1.number);
  lab.manager.on_transaction_end(sa1.number, lab.now_ms);
  EXPECT_TRUE(lab.lives(sa1));
  lab.request(sa2.from_client());
  EXPECT_FALSE(lab.lives(sa1));
}

// Shows: R-D-R1
TEST_F(Seed002, Paragraph1TheDeadlineIsNoLongerThanTheLifetime) {
  const uint64_t left_ms = drop_ms / 2;
  const uint64_t end_ms = lab.set(sa1)->not_after_ms;
  lab.refresh_on(sa1, ue, 2 * kHour_ms);
  lab.pass(end_ms - left_ms - lab.now_ms);
  lab.request(sa2.from_client());
  lab.pass(left_ms - 1);
  EXPECT_TRUE(lab.lives(sa1));
  lab.pass(1);
  EXPECT_FALSE(lab.lives(sa1));
  EXPECT_EQ(lab.why_gone(sa1), GoneBecause::kExpired);
}

// Shows: R-D-R1
TEST_F(Seed002, Paragraph1FurtherMessagesDoNotPutTheDeadlineOff) {
  lab.request(sa2.from_client());
  lab.pass(drop_ms - 1);
  lab.request(sa2.from_client());
  lab.request(sa1.from_client());
  lab.pass(1);
  EXPECT_FALSE(lab.lives(sa1));
}

// Shows: R-002-P2
TEST_F(Seed002, Paragraph2MessagesOnSa1AfterTheSwitchDoNotSwitchBack) {
  lab.request(sa2.from_client());
  EXPECT_EQ(lab.request(sa1.from_client()).action, Action::kForward);
  EXPECT_EQ(outbound(), sa2.number);
}

// Shows: R-002-P3
TEST_F(Seed002, Paragraph3AtSm12AllGoThatDidNotProtectSm1) {
  const UeSet sa3 = lab.register_on(sa2, ue);
  EXPECT_FALSE(lab.lives(sa1));
  EXPECT_TRUE(lab.lives(sa2));
  EXPECT_TRUE(lab.lives(sa3));
}

// Shows: R-7.4.2a-04, R-002-P4
TEST_F(Seed002, Paragraph4Sa1CloseToItsEndIsLeftBySendingOnSa2) {
  const uint64_t end_ms = lab.set(sa1)->not_after_ms;
  const uint64_t near_ms = lab.manager.policy().near_expiry_ms;
  lab.refresh_on(sa1, ue, 2 * kHour_ms);
  lab.pass(end_ms - near_ms - kSecond_ms - lab.now_ms);
  EXPECT_EQ(outbound(), sa1.number);
  lab.pass(2 * kSecond_ms);
  EXPECT_EQ(outbound(), sa2.number);
  EXPECT_TRUE(lab.lives(sa1)) << "its transactions may go on";
}

// Shows: R-D-R2, R-D-F1
TEST_F(Seed002, ARepeatedSm7IsNotAFurtherMessage) {
  const Verdict verdict = lab.repeat_sm7(ue);
  EXPECT_EQ(verdict.action, Action::kForward);
  EXPECT_TRUE(verdict.is_repetition);
  EXPECT_TRUE(verdict.is_integrity_protected);
  expect_nothing_changed();
}

// Shows: R-7.4.2a-05
TEST_F(Seed002, ATransactionBegunOnSa1MayEndThereAfterTheSwitch) {
  lab.request(sa2.from_client());
  const Verdict late = lab.route(ue, sa1.number);
  EXPECT_EQ(late.action, Action::kForward);
  EXPECT_EQ(late.send.set, sa1.number);
  EXPECT_EQ(late.send.local, kPcscf);
  EXPECT_EQ(late.send.local_port, sa1.port_pc);
  EXPECT_EQ(late.send.remote, ue.address);
  EXPECT_EQ(late.send.remote_port, sa1.port_us);
  lab.pass(drop_ms);
  EXPECT_EQ(lab.route(ue, sa1.number).send.set, sa2.number) << "there is no other way then";
  EXPECT_EQ(lab.route(ue, sa2.number).send.set, sa2.number);
}

// Shows: R-7.4.2a-05, R-7.1-10
TEST_F(Seed002, TheServerPortInContactFindsTheUserToo) {
  const Verdict verdict = lab.manager.route(UePort{ue.address, sa2.port_us}, kClear, lab.now_ms);
  EXPECT_EQ(verdict.impi, ue.impi);
  EXPECT_EQ(verdict.send.set, sa1.number);
  EXPECT_EQ(verdict.send.local_port, sa1.port_pc) << "UDP leaves from port_pc";
  EXPECT_EQ(lab.manager.route(UePort{ue.address, 1}, kClear, lab.now_ms).refusal,
            Refusal::kUnknownUser);
}

// Shows: R-7.4-03, R-7.4.2a-03
TEST_F(Replacement, EveryChallengeMakesANewSetAndEndsALeftoverOne) {
  const UeSet sa1 = lab.register_in_clear(ue);
  const UeSet first = lab.begin_on(sa1, ue);
  const UeSet second = lab.begin_on(sa1, ue);
  EXPECT_FALSE(lab.lives(first));
  EXPECT_EQ(lab.why_gone(first), GoneBecause::kFailed);
  EXPECT_TRUE(lab.lives(second));
  EXPECT_TRUE(lab.lives(sa1));
}

// Shows: R-7.4.2a-03
TEST_F(Replacement, BeforeSm12TheNewSetCarriesAuthenticationOnly) {
  const UeSet sa1 = lab.register_in_clear(ue);
  const UeSet fresh = lab.begin_on(sa1, ue);
  for (int step = 0; step < 2; ++step) {
    const Verdict verdict = lab.request(fresh.from_client());
    EXPECT_EQ(verdict.action, Action::kDiscard);
    EXPECT_EQ(verdict.refusal, Refusal::kWrongSet);
    EXPECT_EQ(lab.response(fresh.from_server()).action, Action::kDiscard);
    EXPECT_EQ(lab.request(sa1.from_client()).action, Action::kForward);
    EXPECT_EQ(outbound(), sa1.number);
    if (step == 0) lab.sm7(ue);
  }
  lab.ok(ue);
  EXPECT_EQ(lab.request(fresh.from_client()).action, Action::kForward);
}

// Shows: R-7.4.2a-03
TEST_F(Replacement, BeforeSm12AnUnregisteredUeCannotUseTheNewSet) {
  const UeSet fresh = lab.begin_in_clear(ue);
  lab.sm7(ue);
  EXPECT_EQ(lab.request(fresh.from_client()).action, Action::kDiscard);
  EXPECT_EQ(lab.route(ue).refusal, Refusal::kUnknownUser);
  EXPECT_EQ(lab.route(ue, fresh.number).refusal, Refusal::kUnknownUser);
}

// Shows: R-7.4.2a-01
TEST_F(Replacement, Sm1OnTheRegistrationSetIsDiscarded) {
  const UeSet fresh = lab.begin_in_clear(ue);
  ue.protects = fresh;
  ue.choose_anew();
  EXPECT_EQ(lab.sm1(ue).action, Action::kDiscard);
  EXPECT_TRUE(lab.lives(fresh));
}

// Shows: R-7.4-04
TEST_F(Replacement, NothingIsAcceptedOrSentOnADeletedSet) {
  const UeSet sa1 = lab.register_in_clear(ue);
  EXPECT_TRUE(lab.manager.evict(ue.impi, lab.now_ms));
  EXPECT_TRUE(lab.sink.held.empty());
  EXPECT_EQ(lab.why_gone(sa1), GoneBecause::kEvicted);
  EXPECT_EQ(lab.request(sa1.from_client()).action, Action::kDiscard);
  EXPECT_EQ(lab.route(ue, sa1.number).action, Action::kReject);
  EXPECT_FALSE(lab.manager.evict(ue.impi, lab.now_ms));
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-7.4-05
TEST_F(Replacement, AUeMayRegisterOnItsSetWithSecurityVerifyOrInClear) {
  const UeSet sa1 = lab.register_in_clear(ue);
  ue.protects = sa1;
  ue.choose_anew();
  const std::string client = ue.offer();
  const std::string_view client_line = client, verify_line = ue.security_server;
  RegisterRequest request{};
  request.arrival = sa1.from_client();
  request.impi = ue.impi;
  request.transaction = "with verify";
  request.security_client = {&client_line, 1};
  request.security_verify = {&verify_line, 1};
  EXPECT_EQ(lab.manager.on_register(request, lab.now_ms).action, Action::kForward);
  lab.register_in_clear(ue);
  EXPECT_FALSE(lab.lives(sa1));
}

// Shows: R-7.4-04, R-D-A2
TEST_F(Replacement, ASetThatGmespdLostIsGone) {
  const UeSet sa1 = lab.register_in_clear(ue);
  const UeSet sa2 = lab.register_on(sa1, ue);
  lab.manager.gone(sa1.number, GoneBecause::kLost, lab.now_ms);
  EXPECT_EQ(outbound(), sa2.number);
  EXPECT_EQ(lab.request(sa1.from_client()).action, Action::kDiscard);
  lab.manager.gone(sa2.number, GoneBecause::kLost, lab.now_ms);
  EXPECT_EQ(lab.route(ue).refusal, Refusal::kUnknownUser);
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

}  // namespace
}  // namespace gmesp::sa
