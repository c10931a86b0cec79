// Lifetimes: TS 33.203 7.4.2a.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

struct Lifetime : testing::Test {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const Policy& policy = lab.manager.policy();

  uint64_t left_ms(const UeSet& set) const { return lab.set(set)->not_after_ms - lab.now_ms; }
  /// What gmespd obeys is what we keep.
  uint64_t left_in_gmespd_ms(const UeSet& set) const {
    return lab.sink.held.at(set.number).not_after_ms - lab.now_ms;
  }
};

// Shows: R-7.4.2a-06, R-7.1-09
TEST_F(Lifetime, OfANewSetIsEnoughToCompleteTheRegistration) {
  const UeSet fresh = lab.begin_in_clear(ue);
  EXPECT_EQ(left_ms(fresh), 240 * kSecond_ms);
  EXPECT_EQ(left_in_gmespd_ms(fresh), 240 * kSecond_ms);
}

// Shows: R-7.4.2a-07
TEST_F(Lifetime, AtSm12EndsShortlyAfterTheRegistration) {
  const UeSet fresh = lab.register_in_clear(ue, 600 * kSecond_ms);
  EXPECT_EQ(left_ms(fresh), 630 * kSecond_ms);
  EXPECT_EQ(left_in_gmespd_ms(fresh), 630 * kSecond_ms);
}

// Shows: R-7.4.2a-07
TEST_F(Lifetime, AtSm12IsTheLongerOneOfOldSetsAndRegistration) {
  const UeSet old = lab.register_in_clear(ue, 3'600 * kSecond_ms);
  lab.pass(100 * kSecond_ms);
  const UeSet shorter = lab.register_on(old, ue, 600 * kSecond_ms);
  EXPECT_EQ(left_ms(shorter), 3'530 * kSecond_ms) << "that of the old set";
  const UeSet longer = lab.register_on(shorter, ue, 7'200 * kSecond_ms);
  EXPECT_EQ(left_ms(longer), 7'230 * kSecond_ms);
  EXPECT_EQ(left_in_gmespd_ms(longer), 7'230 * kSecond_ms);
  EXPECT_EQ(left_ms(shorter), 3'530 * kSecond_ms) << "the old one's is not touched";
}

// Shows: R-7.4.2a-07
TEST_F(Lifetime, AtSm12OfAClearRegistrationCountsTheOldSetsToo) {
  lab.register_in_clear(ue, 3'600 * kSecond_ms);
  EXPECT_EQ(left_ms(lab.register_in_clear(ue, 600 * kSecond_ms)), 3'630 * kSecond_ms);
}

// Shows: R-7.4.2a-08
TEST_F(Lifetime, AReregistrationWithoutAuthenticationRaisesTheLatestSetOnly) {
  const UeSet sa1 = lab.register_in_clear(ue, 3'600 * kSecond_ms);
  const UeSet sa2 = lab.register_on(sa1, ue, 3'600 * kSecond_ms);
  lab.pass(1'000 * kSecond_ms);
  const uint64_t sa1_ms = left_ms(sa1);
  lab.refresh_on(sa1, ue, 3'600 * kSecond_ms);
  EXPECT_EQ(left_ms(sa1), sa1_ms);
  EXPECT_EQ(left_ms(sa2), 3'630 * kSecond_ms);
  EXPECT_EQ(left_in_gmespd_ms(sa2), 3'630 * kSecond_ms);
}

// Shows: R-7.4.2a-08, R-D-R1
TEST_F(Lifetime, NeverShrinks) {
  const UeSet only = lab.register_in_clear(ue, 3'600 * kSecond_ms);
  lab.refresh_on(only, ue, 600 * kSecond_ms);
  EXPECT_EQ(left_ms(only), 3'630 * kSecond_ms);
  EXPECT_EQ(left_in_gmespd_ms(only), 3'630 * kSecond_ms);
}

// Shows: R-7.4.2a-06, R-7.4-04
TEST_F(Lifetime, WhenItIsOverTheSetGoesFromBothLayers) {
  const UeSet only = lab.register_in_clear(ue, 600 * kSecond_ms);
  lab.pass(630 * kSecond_ms - 1);
  EXPECT_TRUE(lab.lives(only));
  lab.pass(1);
  EXPECT_FALSE(lab.lives(only));
  EXPECT_EQ(lab.why_gone(only), GoneBecause::kExpired);
  EXPECT_EQ(lab.request(only.from_client()).refusal, Refusal::kNoSa);
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-7.4.2a-06, R-C-05
TEST_F(Lifetime, IsObeyedByEveryEventNotOnlyByTheClock) {
  const UeSet only = lab.register_in_clear(ue, 600 * kSecond_ms);
  lab.now_ms += 630 * kSecond_ms;
  EXPECT_EQ(lab.request(only.from_client()).refusal, Refusal::kNoSa);
  EXPECT_FALSE(lab.lives(only));
}

// Shows: R-7.4.2a-06
TEST_F(Lifetime, TheNextDeadlineIsThatOfWhatEndsNext) {
  EXPECT_EQ(lab.manager.next_deadline_ms(), UINT64_MAX);
  lab.register_in_clear(ue, 3'600 * kSecond_ms);
  Ue other = ue_at(ipv4(1, 2), "other@ims.example");
  lab.register_in_clear(other, 600 * kSecond_ms);
  // A raised lifetime may leave an earlier timer behind; what matters is that none comes late.
  const uint64_t began_ms = lab.now_ms;
  int wakings = 0;
  while (lab.manager.sets() > 0 && wakings < 20) {
    ASSERT_GT(lab.manager.next_deadline_ms(), lab.now_ms);
    lab.pass(lab.manager.next_deadline_ms() - lab.now_ms);
    ++wakings;
    EXPECT_EQ(lab.manager.sets(), lab.now_ms - began_ms < 630 * kSecond_ms     ? 2u
                                  : lab.now_ms - began_ms < 3'630 * kSecond_ms ? 1u
                                                                               : 0u);
  }
  EXPECT_EQ(lab.now_ms - began_ms, 3'630 * kSecond_ms);
}

// Shows: R-7.4.2a-10, R-D-E1
TEST_F(Lifetime, AfterDeregistrationByTheUeThe200OkIsStillProtected) {
  const UeSet only = lab.register_in_clear(ue);
  ue.protects = only;
  ue.choose_anew();
  lab.sm1(ue);
  const Verdict ok = lab.ok(ue, 0, {});
  EXPECT_EQ(ok.action, Action::kForward);
  EXPECT_EQ(ok.send.set, only.number);
  EXPECT_TRUE(lab.lives(only));
  EXPECT_TRUE(lab.repeat_sm1(ue).is_repetition);
  EXPECT_EQ(lab.ok(ue, 0, {}).send.set, only.number) << "repeated";
  EXPECT_EQ(lab.request(only.from_client()).action, Action::kDiscard);
  lab.pass(policy.linger_ms - 1);
  EXPECT_TRUE(lab.lives(only));
  lab.pass(1);
  EXPECT_FALSE(lab.lives(only));
  EXPECT_EQ(lab.why_gone(only), GoneBecause::kDeregistered);
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-7.4.2a-10
TEST_F(Lifetime, AfterAnAuthenticatedDeregistrationTheNewSetCarriesThe200Ok) {
  const UeSet old = lab.register_in_clear(ue);
  const UeSet fresh = lab.begin_on(old, ue);
  lab.sm7(ue);
  EXPECT_EQ(lab.ok(ue, 0, {}).send.set, fresh.number);
  EXPECT_TRUE(lab.repeat_sm7(ue).is_repetition);
  lab.pass(policy.linger_ms);
  EXPECT_TRUE(lab.sink.held.empty());
}

// Shows: R-7.4.2a-10
TEST_F(Lifetime, AfterDeregistrationByTheNetworkTheNotificationCanBeSentAndAnswered) {
  const UeSet only = lab.register_in_clear(ue);
  const Verdict way = lab.deregister(ue);
  EXPECT_EQ(way.action, Action::kForward);
  EXPECT_EQ(way.send.set, only.number);
  EXPECT_EQ(lab.response(only.from_client()).action, Action::kForward);
  EXPECT_EQ(lab.request(only.from_client()).action, Action::kDiscard);
  lab.pass(policy.linger_ms);
  EXPECT_FALSE(lab.lives(only));
  EXPECT_EQ(lab.deregister(ue).refusal, Refusal::kUnknownUser);
}

// Shows: R-7.4.2a-10
TEST_F(Lifetime, AfterDeregistrationAllSetsOfTheUserGo) {
  const UeSet sa1 = lab.register_in_clear(ue);
  const UeSet sa2 = lab.register_on(sa1, ue);
  lab.deregister(ue);
  lab.pass(policy.linger_ms);
  EXPECT_FALSE(lab.lives(sa1));
  EXPECT_FALSE(lab.lives(sa2));
}

// Shows: R-7.4.2a-10
TEST_F(Lifetime, DeregistrationOfOneIdentityOfTwoKeepsTheSets) {
  const UeSet only = lab.register_in_clear(ue);
  ue.protects = only;
  ue.choose_anew();
  lab.sm1(ue);
  lab.ok(ue, kHour_ms, {"tel:+15550100"});
  lab.pass(policy.linger_ms);
  EXPECT_TRUE(lab.lives(only));
  EXPECT_EQ(lab.request(only.from_client()).action, Action::kForward);
}

// Shows: R-7.4.2a-10, R-D-E1
TEST_F(Lifetime, LingeringIsNoLongerThanTheLifetime) {
  const UeSet only = lab.register_in_clear(ue, 60 * kSecond_ms);
  lab.pass(left_ms(only) - 1'000);
  lab.deregister(ue);
  lab.pass(1'000);
  EXPECT_FALSE(lab.lives(only));
}

// Shows: R-7.4.2a-10
TEST_F(Lifetime, AUeMayRegisterAgainWhileItsOldSetsLinger) {
  const UeSet gone = lab.register_in_clear(ue);
  lab.deregister(ue);
  const UeSet fresh = lab.register_in_clear(ue);
  EXPECT_TRUE(lab.lives(fresh));
  EXPECT_FALSE(lab.lives(gone));
  EXPECT_EQ(lab.route(ue).send.set, fresh.number);
  EXPECT_EQ(lab.request(fresh.from_client()).action, Action::kForward);
}

// Shows: R-7.3-05
TEST_F(Lifetime, AShorterTemporaryOneHoldsForAllThatIsUnderWay) {
  Policy shorter = policy;
  shorter.temporary_lifetime_ms /= 4;
  Ue unanswered = ue_at(ipv4(1, 2), "unanswered@ims.example");
  Ue later = ue_at(ipv4(1, 3), "later@ims.example");
  lab.sm1(unanswered);
  const UeSet challenged = lab.begin_in_clear(ue);
  lab.pass(1'000);
  lab.manager.set_policy(shorter);
  lab.sm1(later);
  lab.pass(shorter.temporary_lifetime_ms - 1'001);
  EXPECT_TRUE(lab.lives(challenged));
  EXPECT_EQ(lab.manager.procedures(), 3u);
  lab.pass(1);
  EXPECT_FALSE(lab.lives(challenged));
  EXPECT_EQ(lab.manager.procedures(), 1u);
  lab.pass(1'000);
  EXPECT_EQ(lab.manager.procedures(), 0u);
}

// Shows: R-7.3-05
TEST_F(Lifetime, ALongerTemporaryOneHoldsForWhatBeginsLater) {
  Policy longer = policy;
  const uint64_t shorter_ms = policy.temporary_lifetime_ms;
  longer.temporary_lifetime_ms = shorter_ms * 4;
  const UeSet challenged = lab.begin_in_clear(ue);
  lab.manager.set_policy(longer);
  Ue later = ue_at(ipv4(1, 2), "later@ims.example");
  const UeSet second = lab.begin_in_clear(later);
  lab.pass(shorter_ms);
  EXPECT_FALSE(lab.lives(challenged));
  EXPECT_TRUE(lab.lives(second));
  lab.pass(longer.temporary_lifetime_ms - shorter_ms);
  EXPECT_FALSE(lab.lives(second));
}

}  // namespace
}  // namespace gmesp::sa
