// The integrity-protection indicator towards the S-CSCF: TS 33.203 6.1.5.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

struct Indicator : testing::Test {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));

  Verdict sm1_on(const UeSet& set) {
    ue.protects = set;
    ue.choose_anew();
    return lab.sm1(ue);
  }
};

// Shows: R-6.1.5-01
TEST_F(Indicator, YesForAResponseOnTheSetOfThisProcedure) {
  lab.begin_in_clear(ue);
  EXPECT_TRUE(lab.sm7(ue).is_integrity_protected);
  EXPECT_TRUE(lab.repeat_sm7(ue).is_integrity_protected);
  lab.ok(ue);
  EXPECT_TRUE(lab.repeat_sm7(ue).is_integrity_protected);
}

// Shows: R-6.1.5-01
TEST_F(Indicator, YesWithoutAResponseOnTheSetOfTheLatestAuthentication) {
  const UeSet sa1 = lab.register_in_clear(ue);
  EXPECT_TRUE(sm1_on(sa1).is_integrity_protected);
  EXPECT_TRUE(lab.repeat_sm1(ue).is_integrity_protected);
  const UeSet sa2 = lab.register_on(sa1, ue);
  EXPECT_TRUE(sm1_on(sa2).is_integrity_protected);
}

// Shows: R-6.1.5-02
TEST_F(Indicator, NoInClear) {
  EXPECT_FALSE(lab.sm1(ue).is_integrity_protected);
  lab.register_in_clear(ue);
  ue.protects.reset();
  ue.choose_anew();
  const Verdict verdict = lab.sm1(ue);
  EXPECT_EQ(verdict.action, Action::kForward);
  EXPECT_FALSE(verdict.is_integrity_protected);
}

// Shows: R-6.1.5-02
TEST_F(Indicator, NoOnSa1WhileSa2Exists) {
  const UeSet sa1 = lab.register_in_clear(ue);
  lab.register_on(sa1, ue);
  const Verdict verdict = sm1_on(sa1);
  EXPECT_EQ(verdict.action, Action::kForward);
  EXPECT_FALSE(verdict.is_integrity_protected);
}

// Shows: R-6.1.5-01, R-6.1.1-02
TEST_F(Indicator, YesOnTheOldSetWhileANewOneIsNotYetAuthenticated) {
  const UeSet sa1 = lab.register_in_clear(ue);
  lab.begin_on(sa1, ue);
  lab.sm7(ue);
  EXPECT_TRUE(sm1_on(sa1).is_integrity_protected) << "sa1 is of the latest success";
}

// Shows: R-6.1.5-02, R-7.4.2a-01
TEST_F(Indicator, NoForAResponseOnAnotherSet) {
  const UeSet sa1 = lab.register_in_clear(ue);
  lab.begin_on(sa1, ue);
  const UeSet fresh = ue.fresh;
  ue.fresh = sa1;
  ue.sm7 = "response on the old set";
  const Verdict verdict = lab.repeat_sm7(ue);
  EXPECT_EQ(verdict.action, Action::kDiscard);
  EXPECT_FALSE(verdict.is_integrity_protected);
  ue.fresh = fresh;
  EXPECT_TRUE(lab.sm7(ue).is_integrity_protected);
}

// Shows: R-6.1.5-04
TEST_F(Indicator, AFailureReportHasNoResponse) {
  for (const AuthenticationAnswer how :
       {AuthenticationAnswer::kSynchronisationFailure, AuthenticationAnswer::kNetworkFailure}) {
    SaLab lab;
    Ue ue = ue_at(ipv4(1, 1));
    lab.begin_in_clear(ue);
    EXPECT_FALSE(lab.ue_fails(ue, how).is_integrity_protected) << "in clear";
    const UeSet sa1 = lab.register_in_clear(ue);
    lab.begin_on(sa1, ue);
    EXPECT_TRUE(lab.ue_fails(ue, how).is_integrity_protected) << "on the set of the latest success";
    const UeSet sa2 = lab.register_on(sa1, ue);
    lab.begin_on(sa1, ue);
    EXPECT_FALSE(lab.ue_fails(ue, how).is_integrity_protected) << "on sa1 with sa2 there";
    EXPECT_TRUE(lab.lives(sa2));
  }
}

// Shows: R-6.1.5-02
TEST_F(Indicator, NeverOnWhatIsNotForwarded) {
  const UeSet sa1 = lab.register_in_clear(ue);
  ue.via = ipv4(7, 7);
  EXPECT_FALSE(sm1_on(sa1).is_integrity_protected);
  ue.via = ue.address;
  lab.begin_on(sa1, ue);
  ue.sm7 = "tampered";
  EXPECT_FALSE(lab.sm7_with(ue, ue.security_client, "").is_integrity_protected);
}

}  // namespace
}  // namespace gmesp::sa
