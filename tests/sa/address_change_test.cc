// When the UE changes its IP address: TS 33.203 7.5.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

struct AddressChange : testing::Test {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const UeSet old = lab.register_in_clear(ue);

  void move_to(const Address& address) { ue.address = ue.via = address; }
};

// Shows: R-7.5-03
TEST_F(AddressChange, SuccessFromTheNewAddressRemovesTheSetsOfTheOldOne) {
  move_to(ipv4(2, 2));
  const UeSet fresh = lab.begin_in_clear(ue);
  EXPECT_TRUE(lab.lives(old));
  lab.sm7(ue);
  EXPECT_TRUE(lab.lives(old)) << "not before it has succeeded";
  lab.ok(ue);
  EXPECT_FALSE(lab.lives(old));
  EXPECT_EQ(lab.route(ue).send.remote, ipv4(2, 2));
  EXPECT_EQ(lab.request(fresh.from_client()).action, Action::kForward);
  EXPECT_EQ(lab.manager.sets(), 1u);
}

// Shows: R-7.5-03, R-D-S3
TEST_F(AddressChange, AlsoToTheOtherFamily) {
  move_to(ipv6(5));
  const UeSet fresh = lab.register_in_clear(ue);
  EXPECT_FALSE(lab.lives(old));
  EXPECT_TRUE(lab.lives(fresh));
}

// Shows: R-7.1-06, R-7.5-02
TEST_F(AddressChange, OldPortsFromTheNewAddressBelongToNoSa) {
  Arrival moved = old.from_client();
  moved.source = ipv4(2, 2);
  EXPECT_EQ(lab.request(moved).refusal, Refusal::kNoSa);
  EXPECT_TRUE(lab.lives(old));
}

// Shows: R-7.1-06
TEST_F(AddressChange, BetweenSm1AndSm7Fails) {
  lab.begin_in_clear(ue);
  ue.fresh.ue = ipv4(2, 2);
  EXPECT_EQ(lab.sm7(ue).action, Action::kDiscard);
}

// Shows: R-7.5-03
TEST_F(AddressChange, AnotherUserMayHaveTheOldAddress) {
  Ue other = ue_at(ipv4(1, 1), "other@ims.example");
  other.port_c = old.port_uc;
  EXPECT_EQ(lab.sm1(other).refusal, Refusal::kUePortInUse) << "the old set is still there";
  other.port_c = 50'000;
  const UeSet early = lab.register_in_clear(other);
  EXPECT_TRUE(lab.lives(old)) << "it is another user's";
  EXPECT_NE(early.port_pc, old.port_pc);
  move_to(ipv4(2, 2));
  lab.register_in_clear(ue);
  EXPECT_TRUE(lab.lives(early));
  Ue third = ue_at(ipv4(1, 1), "third@ims.example");
  third.port_c = static_cast<uint16_t>(old.port_uc - 1);  // begin_…() moves on by one
  EXPECT_EQ(lab.register_in_clear(third).port_uc, old.port_uc);
}

}  // namespace
}  // namespace gmesp::sa
