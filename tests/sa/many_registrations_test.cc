// Several registrations of one IMPI (seed 000), by default one context for each IMPI.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

/// Two devices of one user.
struct Devices {
  explicit Devices(bool many_registrations) : lab(policy(many_registrations)) {
    tablet.spi_c = 0x7000;
    tablet.spi_s = 0x7001;
    tablet.port_c = 50'000;
    phone.key = "instance-1;reg-id-1";
    tablet.key = "instance-2;reg-id-1";
  }
  static Policy policy(bool many_registrations) {
    Policy policy;
    policy.many_registrations = many_registrations;
    return policy;
  }
  SaLab lab;
  Ue phone = ue_at(ipv4(1, 1));
  Ue tablet = ue_at(ipv4(2, 2));
};

struct OneRegistration : testing::Test, Devices {
  OneRegistration() : Devices(false) {}
};

struct ManyRegistrations : testing::Test, Devices {
  ManyRegistrations() : Devices(true) {}
};

// Shows: R-000-01
TEST_F(OneRegistration, ASecondAddressTakesThePlaceOfTheFirst) {
  const UeSet of_phone = lab.register_in_clear(phone);
  const UeSet of_tablet = lab.register_in_clear(tablet);
  EXPECT_FALSE(lab.lives(of_phone));
  EXPECT_TRUE(lab.lives(of_tablet));
  EXPECT_EQ(lab.manager.contexts(), 1u);
  EXPECT_EQ(lab.route(phone).send.set, of_tablet.number) << "the key has no meaning";
}

// Shows: R-000-01
TEST_F(ManyRegistrations, WithDifferentAddressesLiveSideBySide) {
  const UeSet of_phone = lab.register_in_clear(phone);
  const UeSet of_tablet = lab.register_in_clear(tablet);
  EXPECT_TRUE(lab.lives(of_phone));
  EXPECT_EQ(lab.manager.contexts(), 2u);
  EXPECT_EQ(lab.route(phone).send.set, of_phone.number);
  EXPECT_EQ(lab.route(tablet).send.set, of_tablet.number);
  EXPECT_EQ(lab.request(of_phone.from_client()).arrived_on, of_phone.number);
  EXPECT_EQ(lab.request(of_tablet.from_client()).arrived_on, of_tablet.number);
}

// Shows: R-000-01, R-7.1-27
TEST_F(ManyRegistrations, TheLimitOfSixIsForEachContext) {
  const UeSet phone1 = lab.register_in_clear(phone);
  const UeSet phone2 = lab.register_on(phone1, phone);
  const UeSet tablet1 = lab.register_in_clear(tablet);
  const UeSet tablet2 = lab.register_on(tablet1, tablet);
  lab.begin_on(phone2, phone);
  lab.begin_on(tablet2, tablet);
  EXPECT_EQ(lab.sink.held.size(), 6u);
}

// Shows: R-000-01, R-7.4-01, R-7.4-02, R-7.1-26
TEST_F(ManyRegistrations, ThePortRulesHold) {
  const UeSet first = lab.register_in_clear(phone);
  phone.protects = first;
  phone.choose_anew();
  phone.port_s = 31'000;
  EXPECT_EQ(lab.sm1(phone).refusal, Refusal::kServerPortChanged);
  phone.port_s = first.port_us;
  phone.port_c = first.port_uc;
  EXPECT_EQ(lab.sm1(phone).refusal, Refusal::kUePortInUse);
  const UeSet second = lab.register_on(first, phone);
  EXPECT_NE(second.port_pc, first.port_pc);
  EXPECT_EQ(second.port_ps, first.port_ps);
}

// Shows: R-000-02
TEST_F(ManyRegistrations, FromTheSameAddressOneTakesThePlaceOfTheOther) {
  tablet.address = tablet.via = phone.address;
  const UeSet of_phone = lab.register_in_clear(phone);
  const UeSet of_tablet = lab.register_in_clear(tablet);
  EXPECT_FALSE(lab.lives(of_phone));
  EXPECT_TRUE(lab.lives(of_tablet));
  EXPECT_EQ(lab.manager.contexts(), 1u);
}

// Shows: R-000-02
TEST_F(ManyRegistrations, FromTheSameAddressNeverBothEvenIfTheyRegisterAtTheSameTime) {
  tablet.address = tablet.via = phone.address;
  lab.sm1(phone);
  lab.sm1(tablet);
  lab.challenge(phone);
  lab.challenge(tablet);
  lab.sm7(phone);
  lab.sm7(tablet);
  lab.ok(phone);
  lab.ok(tablet);
  EXPECT_EQ(lab.sink.held.size(), 1u);
}

// Shows: R-000-02
TEST_F(ManyRegistrations, ThePlaceTakenIsFoundUnderTheNewKey) {
  tablet.address = tablet.via = phone.address;
  lab.register_in_clear(phone);
  const UeSet of_tablet = lab.register_in_clear(tablet);
  EXPECT_EQ(lab.route(tablet).send.set, of_tablet.number);
  EXPECT_EQ(lab.route(phone).refusal, Refusal::kUnknownUser);
  EXPECT_EQ(lab.deregister(tablet).action, Action::kForward);
}

// Shows: R-000-01, R-7.5-03
TEST_F(ManyRegistrations, ADeviceThatMovesLeavesItsOldAddress) {
  const UeSet of_tablet = lab.register_in_clear(tablet);
  const UeSet old = lab.register_in_clear(phone);
  phone.address = phone.via = ipv4(3, 3);
  const UeSet fresh = lab.register_in_clear(phone);
  EXPECT_FALSE(lab.lives(old));
  EXPECT_TRUE(lab.lives(fresh));
  EXPECT_TRUE(lab.lives(of_tablet));
}

// Shows: R-000-04
TEST_F(ManyRegistrations, TheEndOfOneLeavesTheOtherAlone) {
  const UeSet of_phone = lab.register_in_clear(phone);
  const UeSet of_tablet = lab.register_in_clear(tablet);
  EXPECT_EQ(lab.deregister(phone).send.set, of_phone.number);
  lab.pass(lab.manager.policy().linger_ms);
  EXPECT_FALSE(lab.lives(of_phone));
  EXPECT_EQ(lab.request(of_tablet.from_client()).action, Action::kForward);
  EXPECT_EQ(lab.manager.contexts(), 1u);
}

// Shows: R-000-04, R-7.3-04
TEST_F(ManyRegistrations, AChallengeForOneLeavesTheProcedureOfTheOtherAlone) {
  lab.begin_in_clear(phone);
  lab.begin_in_clear(tablet);
  EXPECT_EQ(lab.sm7(phone).action, Action::kForward);
  EXPECT_EQ(lab.sm7(tablet).action, Action::kForward);
  EXPECT_EQ(lab.ok(phone).send.set, phone.fresh.number);
  EXPECT_EQ(lab.ok(tablet).send.set, tablet.fresh.number);
}

// Shows: R-000-01, R-6.1.1-01
TEST_F(ManyRegistrations, AVectorIsUsedOnceForTheWholeUser) {
  lab.register_in_clear(phone);
  tablet.choose_anew();
  lab.sm1(tablet);
  EXPECT_EQ(lab.challenge(tablet, lab.last_ik, lab.last_ck).refusal, Refusal::kKeyReused);
}

}  // namespace
}  // namespace gmesp::sa
