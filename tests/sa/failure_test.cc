// Error cases: TS 33.203 7.3, 6.1.2, 6.1.3, 7.4.2a.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

struct Failure : testing::Test {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const Policy& policy = lab.manager.policy();
};

// Shows: R-7.3-01, R-7.3-05
TEST_F(Failure, WithAWrongIkSm7NeverComesAndEverythingEndsByTimeOut) {
  const UeSet fresh = lab.begin_in_clear(ue);
  lab.pass(policy.temporary_lifetime_ms - 1);
  EXPECT_TRUE(lab.lives(fresh));
  lab.pass(1);
  EXPECT_FALSE(lab.lives(fresh));
  EXPECT_EQ(lab.why_gone(fresh), GoneBecause::kFailed);
  EXPECT_EQ(lab.manager.contexts(), 0u);
  EXPECT_EQ(lab.manager.procedures(), 0u);
  EXPECT_EQ(lab.sm7(ue).action, Action::kDiscard);
}

// Shows: R-7.3-01, R-6.1.1-02
TEST_F(Failure, TimeOutLeavesOldSetsAlone) {
  const UeSet old = lab.register_in_clear(ue);
  const UeSet fresh = lab.begin_on(old, ue);
  lab.pass(policy.temporary_lifetime_ms);
  EXPECT_FALSE(lab.lives(fresh));
  EXPECT_EQ(lab.request(old.from_client()).action, Action::kForward);
  EXPECT_EQ(lab.route(ue).send.set, old.number);
}

// Shows: R-7.3-05
TEST_F(Failure, TimeOutBetweenSm7AndItsAnswerMakesTheAnswerLate) {
  lab.begin_in_clear(ue);
  lab.sm7(ue);
  lab.pass(policy.temporary_lifetime_ms);
  EXPECT_EQ(lab.ok(ue).action, Action::kDiscard);
  EXPECT_EQ(lab.manager.sets(), 0u);
}

// Shows: R-7.3-05
TEST_F(Failure, TimeOutWithoutAChallengeForgetsSm1) {
  lab.sm1(ue);
  lab.pass(policy.temporary_lifetime_ms);
  EXPECT_EQ(lab.manager.contexts(), 0u);
  EXPECT_EQ(lab.challenge(ue).refusal, Refusal::kSuperseded);
}

// Shows: R-7.3-02, R-D-E1
TEST_F(Failure, AWrongResponseAfterAClearSm1IsAnsweredOnTheNewSetWhichThenGoes) {
  const UeSet fresh = lab.begin_in_clear(ue);
  lab.sm7(ue);
  const Verdict verdict = lab.registrar_fails(ue, true);
  EXPECT_EQ(verdict.action, Action::kForward);
  EXPECT_EQ(verdict.send.set, fresh.number);
  EXPECT_EQ(lab.manager.totals().authentication_failures, 1u);

  EXPECT_TRUE(lab.lives(fresh)) << "for repetitions";
  EXPECT_TRUE(lab.repeat_sm7(ue).is_repetition);
  EXPECT_EQ(lab.registrar_fails(ue, true).send.set, fresh.number);
  EXPECT_EQ(lab.request(fresh.from_client()).action, Action::kDiscard);
  EXPECT_EQ(lab.response(fresh.from_client()).action, Action::kDiscard);
  EXPECT_EQ(lab.route(ue).action, Action::kReject);
  ue.sm7 = "another";
  EXPECT_EQ(lab.repeat_sm7(ue).action, Action::kDiscard);
  ue.protects = fresh;
  ue.choose_anew();
  EXPECT_EQ(lab.sm1(ue).action, Action::kDiscard);
  lab.pass(policy.linger_ms - 1);
  EXPECT_TRUE(lab.lives(fresh));
  lab.pass(1);
  EXPECT_FALSE(lab.lives(fresh));
  EXPECT_EQ(lab.why_gone(fresh), GoneBecause::kFailed);
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-7.3-02, R-6.1.1-02
TEST_F(Failure, AWrongResponseAfterAProtectedSm1IsAnsweredOnTheOldSet) {
  for (const bool by_tcp : {false, true}) {
    SaLab lab;
    Ue ue = ue_at(ipv4(1, 1));
    ue.uses_tcp = by_tcp;
    const UeSet old = lab.register_in_clear(ue);
    const UeSet fresh = lab.begin_on(old, ue);
    lab.sm7(ue);
    const Verdict verdict = lab.registrar_fails(ue, true);
    EXPECT_EQ(verdict.send.set, old.number);
    EXPECT_EQ(verdict.send.same_connection_possible, by_tcp);
    EXPECT_EQ(lab.route(ue).send.set, old.number);
    EXPECT_EQ(lab.request(old.from_client()).action, Action::kForward);
    EXPECT_EQ(lab.request(fresh.from_client()).action, Action::kDiscard);
    lab.pass(lab.manager.policy().linger_ms);
    EXPECT_FALSE(lab.lives(fresh));
    EXPECT_TRUE(lab.lives(old));
  }
}

// Shows: R-7.3-02
TEST_F(Failure, OtherFailuresGoAsSm1Came) {
  lab.sm1(ue);
  const Verdict in_clear = lab.registrar_fails(ue, false, 500);
  EXPECT_EQ(in_clear.action, Action::kForward);
  EXPECT_EQ(in_clear.send.set, kClear);
  EXPECT_EQ(in_clear.send.remote, ue.address);
  EXPECT_EQ(lab.manager.contexts(), 0u);

  const UeSet old = lab.register_in_clear(ue);
  ue.protects = old;
  ue.choose_anew();
  lab.sm1(ue);
  EXPECT_EQ(lab.registrar_fails(ue, false, 500).send.set, old.number);
}

/// The UE reports a failure the way SM1 went, gets an answer there, and may be challenged again.
struct UeReports : testing::TestWithParam<std::tuple<AuthenticationAnswer, bool>> {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  UeSet old, failed;
  SetNumber way = kClear;

  void SetUp() override {
    if (std::get<1>(GetParam())) {
      old = lab.register_in_clear(ue);
      way = old.number;
      failed = lab.begin_on(old, ue);
    } else {
      failed = lab.begin_in_clear(ue);
    }
  }
};

// Shows: R-7.3-03, R-6.1.5-04
TEST_P(UeReports, TheNewSetGoesAndALaterChallengeMakesAnother) {
  const Verdict verdict = lab.ue_fails(ue, std::get<0>(GetParam()));
  EXPECT_EQ(verdict.action, Action::kForward);
  EXPECT_EQ(verdict.arrived_on, way);
  EXPECT_EQ(verdict.is_integrity_protected, way != kClear) << "it has no response";
  EXPECT_FALSE(lab.lives(failed));
  EXPECT_EQ(lab.why_gone(failed), GoneBecause::kFailed);
  const Verdict again = lab.challenge(ue);
  EXPECT_EQ(again.action, Action::kForward);
  EXPECT_EQ(again.send.set, way);
  EXPECT_NE(ue.fresh.number, failed.number);
  EXPECT_NE(ue.fresh.port_pc, failed.port_pc);
  for (const uint32_t spi : {ue.fresh.spi_pc, ue.fresh.spi_ps}) {
    EXPECT_NE(spi, failed.spi_pc);
    EXPECT_NE(spi, failed.spi_ps);
  }
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward);
  EXPECT_EQ(lab.ok(ue).send.set, ue.fresh.number);
}

// Shows: R-7.3-02, R-7.3-03
TEST_P(UeReports, TheAnswerGoesTheSameWay) {
  lab.ue_fails(ue, std::get<0>(GetParam()));
  const Verdict verdict = lab.registrar_fails(ue, false);
  EXPECT_EQ(verdict.action, Action::kForward) << "SM10: 4xx Auth_Failure (6.1.2.2)";
  EXPECT_EQ(verdict.send.set, way);
  EXPECT_EQ(lab.sink.held.size(), way == kClear ? 0u : 1u);
  EXPECT_EQ(lab.manager.procedures(), 0u);
}

// Shows: R-7.3-03
TEST_P(UeReports, TheParametersOfSm1HoldIfItBringsNone) {
  RegisterRequest request{};
  request.arrival = ue.protects ? ue.protects->from_client() : ue.in_clear();
  request.impi = ue.impi;
  request.transaction = ue.sm1 = "failure without Security-Client";
  ue.sm7.clear();
  request.answer = std::get<0>(GetParam());
  EXPECT_EQ(lab.manager.on_register(request, lab.now_ms).action, Action::kForward);
  EXPECT_EQ(lab.challenge(ue).action, Action::kForward);
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward);
}

// Shows: R-7.3-03, R-D-F1
TEST_P(UeReports, RepeatedItChangesNothing) {
  const std::string client = ue.offer();
  const std::string_view line = client;
  RegisterRequest request{};
  request.arrival = ue.protects ? ue.protects->from_client() : ue.in_clear();
  request.impi = ue.impi;
  request.transaction = ue.sm1 = "failure";
  request.security_client = {&line, 1};
  request.answer = std::get<0>(GetParam());
  EXPECT_FALSE(lab.manager.on_register(request, lab.now_ms).is_repetition);
  EXPECT_TRUE(lab.manager.on_register(request, lab.now_ms).is_repetition);
  lab.challenge(ue);
  EXPECT_TRUE(lab.manager.on_register(request, lab.now_ms).is_repetition);
  EXPECT_TRUE(lab.lives(ue.fresh));
}

INSTANTIATE_TEST_SUITE_P(
    EachWay, UeReports,
    testing::Combine(testing::Values(AuthenticationAnswer::kSynchronisationFailure,
                                     AuthenticationAnswer::kNetworkFailure),
                     testing::Bool()));

// Shows: R-7.3-03
TEST_F(Failure, ReportedOnTheNewSetIsDiscarded) {
  const UeSet fresh = lab.begin_in_clear(ue);
  ue.protects = fresh;
  EXPECT_EQ(lab.ue_fails(ue, AuthenticationAnswer::kSynchronisationFailure).action,
            Action::kDiscard);
  EXPECT_TRUE(lab.lives(fresh));
}

// Shows: R-7.3-03, R-6.1.1-02
TEST_F(Failure, ReportedInClearDoesNotEndAProcedureThatBeganOnASet) {
  const UeSet old = lab.register_in_clear(ue);
  const UeSet fresh = lab.begin_on(old, ue);
  Ue stranger = ue;
  stranger.protects.reset();
  stranger.address = stranger.via = ipv4(9, 9);
  lab.ue_fails(stranger, AuthenticationAnswer::kSynchronisationFailure);
  EXPECT_TRUE(lab.lives(fresh));
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward);
}

// Shows: R-7.3-04
TEST_F(Failure, ANewSm1KeepsTheUnfinishedProcedureANewChallengeEndsIt) {
  const UeSet first = lab.begin_in_clear(ue);
  Ue again = ue;
  again.choose_anew();
  lab.sm1(again);
  EXPECT_TRUE(lab.lives(first));
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward);
  lab.challenge(again);
  EXPECT_FALSE(lab.lives(first));
  EXPECT_EQ(lab.ok(ue).action, Action::kDiscard) << "late, about what is over";
  EXPECT_EQ(lab.repeat_sm7(ue).action, Action::kDiscard);
  EXPECT_EQ(lab.sm7(again).action, Action::kForward);
  EXPECT_EQ(lab.ok(again).send.set, again.fresh.number);
}

// Shows: R-D-E3
TEST_F(Failure, AnAnswerOvertakenByANewChallengeIsIgnored) {
  lab.sm1(ue);
  Ue later = ue;
  later.choose_anew();
  lab.sm1(later);
  lab.challenge(later);
  EXPECT_EQ(lab.challenge(ue).refusal, Refusal::kSuperseded);
  EXPECT_EQ(lab.registrar_fails(ue, false).action, Action::kDiscard);
  EXPECT_TRUE(lab.lives(later.fresh));
  EXPECT_EQ(lab.sm7(later).action, Action::kForward);
}

// Shows: R-D-E3
TEST_F(Failure, NoCountOfFailedAttemptsEndsInRefusal) {
  const UeSet old = lab.register_in_clear(ue);
  for (int i = 0; i < 50; ++i) {
    lab.begin_on(old, ue);
    lab.sm7(ue);
    EXPECT_EQ(lab.registrar_fails(ue, true).send.set, old.number);
    lab.pass(10 * kSecond_ms);
  }
  EXPECT_TRUE(lab.lives(lab.register_on(old, ue)));
}

// Shows: R-6.1.1-02
TEST_F(Failure, AnAttackerWithTheImpiHarmsNothingThatIsLive) {
  const UeSet sa1 = lab.register_in_clear(ue);
  const UeSet sa2 = lab.register_on(sa1, ue);
  Ue attacker = ue_at(ipv4(66, 6), ue.impi);
  attacker.spi_c = 0x7000;
  attacker.spi_s = 0x7001;
  lab.begin_in_clear(attacker);
  lab.sm7(attacker);
  lab.registrar_fails(attacker, true);
  lab.begin_in_clear(attacker);
  lab.ue_fails(attacker, AuthenticationAnswer::kNetworkFailure);
  lab.pass(policy.temporary_lifetime_ms);
  EXPECT_EQ(lab.request(sa1.from_client()).action, Action::kForward);
  EXPECT_EQ(lab.route(ue).send.set, sa1.number);
  EXPECT_EQ(lab.request(sa2.from_client()).action, Action::kForward);
}

// Shows: R-D-E2, R-D-P2
TEST_F(Failure, WithoutGmespdSm6IsNotSentAndNothingStays) {
  lab.sink.is_down = true;
  lab.sm1(ue);
  const Verdict verdict = lab.challenge(ue);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kDataPlaneDown);
  EXPECT_EQ(verdict.status, 503);
  EXPECT_EQ(verdict.send.set, kClear);
  EXPECT_TRUE(verdict.security_server.empty());
  EXPECT_EQ(lab.manager.contexts(), 0u);
  EXPECT_EQ(lab.manager.sets(), 0u);
  EXPECT_EQ(lab.manager.spis().taken(), lab.manager.spis().resting());
  lab.sink.is_down = false;
  EXPECT_EQ(lab.register_in_clear(ue).number, ue.fresh.number);
}

// Shows: R-D-E2
TEST_F(Failure, AGmespdThatRefusesEndsTheRegistration) {
  const UeSet old = lab.register_in_clear(ue);
  lab.acknowledges = false;
  ue.protects = old;
  ue.choose_anew();
  lab.sm1(ue);
  EXPECT_EQ(lab.challenge(ue).action, Action::kWait);
  const SetNumber refused = lab.sink.unacknowledged.front();
  const size_t answered = lab.sink.answers.size();
  lab.manager.install_failed(refused, Refusal::kDataPlaneRefused, lab.now_ms);
  ASSERT_EQ(lab.sink.answers.size(), answered + 1);
  const Verdict& verdict = lab.sink.answers.back().second;
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kDataPlaneRefused);
  EXPECT_EQ(verdict.send.set, old.number);
  EXPECT_TRUE(verdict.security_server.empty());
  EXPECT_FALSE(lab.sink.held.contains(refused));
  EXPECT_TRUE(lab.lives(old));
  EXPECT_EQ(lab.manager.procedures(), 0u);
}

// Shows: R-7.2-07, R-D-E2
TEST_F(Failure, AnAcknowledgementOfASetThatIsGoneIsIgnored) {
  lab.acknowledges = false;
  lab.sm1(ue);
  lab.challenge(ue);
  const SetNumber number = lab.sink.unacknowledged.front();
  lab.pass(policy.temporary_lifetime_ms);
  EXPECT_TRUE(lab.sink.held.empty());
  ASSERT_EQ(lab.sink.answers.size(), 1u) << "the proxy is told";
  EXPECT_NE(lab.sink.answers.front().second.action, Action::kForward);
  lab.manager.installed(number, 7);
  EXPECT_EQ(lab.sink.answers.size(), 1u);
  EXPECT_EQ(lab.manager.sets(), 0u);
}

// Shows: R-7.3-02, R-7.1-19
TEST_F(Failure, IfTheSetOfSm1IsGoneNothingIsSentInClear) {
  const UeSet old = lab.register_in_clear(ue);
  ue.protects = old;
  ue.choose_anew();
  lab.sm1(ue);
  lab.manager.gone(old.number, GoneBecause::kLost, lab.now_ms);
  EXPECT_EQ(lab.challenge(ue).action, Action::kDiscard);
  EXPECT_TRUE(lab.sink.held.empty());
}

}  // namespace
}  // namespace gmesp::sa
