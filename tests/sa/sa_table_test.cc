// SA_table and its limits: TS 33.203 7.1 rules 1, 3 and 4.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

struct SaTableRules : testing::Test {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
};

// Shows: R-7.1-24
TEST_F(SaTableRules, Rule1KeepsWhatTheClauseNames) {
  const UeSet fresh = lab.register_in_clear(ue, 600 * kSecond_ms);
  const SaSet& kept = *lab.set(fresh);
  EXPECT_EQ(kept.ue, ue.address);
  EXPECT_EQ(kept.port_uc, fresh.port_uc);
  EXPECT_EQ(kept.port_us, fresh.port_us);
  EXPECT_EQ(kept.port_pc, fresh.port_pc);
  EXPECT_EQ(kept.port_ps, fresh.port_ps);
  EXPECT_EQ(kept.spi_ps, fresh.spi_ps);
  EXPECT_EQ(kept.not_after_ms, lab.now_ms + 630 * kSecond_ms);
  EXPECT_EQ(kept.mode, Mode::kTransport);
  EXPECT_EQ(kept.context->impi, ue.impi);
  EXPECT_EQ(kept.context->impus, std::vector<std::string>{"sip:user"});
}

// Shows: R-7.1-24
TEST_F(SaTableRules, Rule1TheIdentitiesMayChange) {
  const UeSet fresh = lab.register_in_clear(ue);
  const std::string_view more[] = {"sip:user", "tel:+15550100"};
  lab.manager.on_identities(ue.impi, "", more);
  EXPECT_EQ(lab.request(fresh.from_client()).impus,
            (std::vector<std::string>{"sip:user", "tel:+15550100"}));
  lab.manager.on_identities(ue.impi, "", std::span(more).first(1));
  EXPECT_EQ(lab.request(fresh.from_client()).impus, std::vector<std::string>{"sip:user"});
}

// Shows: R-7.1-25, R-7.1-29
TEST_F(SaTableRules, Rule4ThePortsAloneFindTheSetAndItsUser) {
  const UeSet fresh = lab.register_in_clear(ue);
  Ue other = ue_at(ipv4(1, 2), "other@ims.example");
  const UeSet of_other = lab.register_in_clear(other);
  EXPECT_EQ(lab.request(fresh.from_client()).arrived_on, fresh.number);
  EXPECT_EQ(lab.response(fresh.from_server()).arrived_on, fresh.number);
  EXPECT_EQ(lab.request(fresh.from_client()).impi, ue.impi);
  EXPECT_EQ(lab.request(of_other.from_client()).impi, other.impi);
  EXPECT_EQ(lab.request(of_other.from_client()).send.mode, Mode::kTransport);
}

// Shows: R-7.1-25, R-2401-01
TEST_F(SaTableRules, Rule4NoSaBelongsToOtherAddressesAndPorts) {
  const UeSet fresh = lab.register_in_clear(ue);
  Arrival wrong = fresh.from_client();
  wrong.source = ipv4(1, 2);
  EXPECT_EQ(lab.request(wrong).refusal, Refusal::kNoSa);
  wrong = fresh.from_client();
  wrong.source_port = 41'000;
  EXPECT_EQ(lab.request(wrong).refusal, Refusal::kNoSa);
  wrong = fresh.from_client();
  wrong.local_port = fresh.port_pc;  // port_uc belongs to port_ps only
  EXPECT_EQ(lab.request(wrong).refusal, Refusal::kNoSa);
  wrong = fresh.from_server();
  wrong.local_port = fresh.port_ps;
  const Verdict verdict = lab.request(wrong);
  EXPECT_EQ(verdict.refusal, Refusal::kNoSa);
  EXPECT_EQ(verdict.action, Action::kDiscard);
}

// Shows: R-7.1-26, R-7.1-28
TEST_F(SaTableRules, Rule3AnAddressAndClientPortInTheTableIsRefused) {
  const UeSet old = lab.register_in_clear(ue);
  const std::string before = text_of(lab.route(ue));
  for (const bool is_protected : {false, true}) {
    if (is_protected)
      ue.protects = old;
    else
      ue.protects.reset();
    ue.choose_anew();
    ue.port_c = old.port_uc;
    const Verdict verdict = lab.sm1(ue);
    EXPECT_EQ(verdict.action, Action::kReject);
    EXPECT_EQ(verdict.refusal, Refusal::kUePortInUse);
    EXPECT_EQ(verdict.send.set, is_protected ? old.number : kClear);
  }
  EXPECT_EQ(text_of(lab.route(ue)), before);
  EXPECT_EQ(lab.manager.procedures(), 0u);
  ue.port_c = 45'000;
  EXPECT_EQ(lab.sm1(ue).action, Action::kForward) << "the UE may try again with other ports";
}

// Shows: R-7.1-26
TEST_F(SaTableRules, Rule3IsAboutOtherUsersToo) {
  const UeSet old = lab.register_in_clear(ue);
  Ue other = ue_at(ue.address, "other@ims.example");
  other.port_s = 31'000;
  other.port_c = old.port_uc;
  EXPECT_EQ(lab.sm1(other).refusal, Refusal::kUePortInUse);
  other.port_c = old.port_us;
  EXPECT_EQ(lab.sm1(other).refusal, Refusal::kUePortInUse);
  other.address = other.via = ipv4(1, 2);
  other.port_c = old.port_uc;
  EXPECT_EQ(lab.sm1(other).action, Action::kForward);
}

// Shows: R-7.1-26
TEST_F(SaTableRules, Rule3HoldsForTwoWhoAskAtTheSameTime) {
  Ue other = ue_at(ue.address, "other@ims.example");
  lab.sm1(ue);
  EXPECT_EQ(lab.sm1(other).action, Action::kForward) << "nothing is in the table yet";
  EXPECT_EQ(lab.challenge(ue).action, Action::kForward);
  const Verdict verdict = lab.challenge(other);
  EXPECT_EQ(verdict.refusal, Refusal::kUePortInUse);
  EXPECT_EQ(lab.sink.held.size(), 1u);
}

// Shows: R-D-B1
TEST_F(SaTableRules, Rule3IsNotForSm7NorForRepetitions) {
  lab.begin_in_clear(ue);
  EXPECT_EQ(lab.repeat_sm1(ue).action, Action::kForward);
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward);
  EXPECT_EQ(lab.repeat_sm7(ue).action, Action::kForward);
}

// Shows: R-7.1-27
TEST_F(SaTableRules, Rule3NoMoreThanSixSasPerDirection) {
  UeSet sa1 = lab.register_in_clear(ue);
  for (int i = 0; i < 20; ++i) {
    const UeSet sa2 = lab.register_on(sa1, ue);
    lab.pass(20 * kSecond_ms);  // ports rest
    for (int unfinished = 0; unfinished < 3; ++unfinished) {
      lab.begin_on(i % 2 == 0 ? sa1 : sa2, ue);
      EXPECT_LE(lab.sink.held.size(), 3u);
    }
    ue.protects = sa2;
    if (i % 3 == 0) lab.ue_fails(ue, AuthenticationAnswer::kSynchronisationFailure);
    EXPECT_LE(lab.sink.held.size(), 3u);
    sa1 = sa2;
  }
}

// Shows: R-7.1-27
TEST_F(SaTableRules, Rule3SetsThatLingerMakeRoom) {
  const UeSet sa1 = lab.register_in_clear(ue);
  const UeSet sa2 = lab.register_on(sa1, ue);
  for (int i = 0; i < 5; ++i) {
    lab.begin_on(sa2, ue);
    lab.sm7(ue);
    lab.registrar_fails(ue, true);
    EXPECT_LE(lab.sink.held.size(), 3u);
  }
  EXPECT_TRUE(lab.lives(sa1));
  EXPECT_TRUE(lab.lives(sa2));
  EXPECT_TRUE(lab.lives(lab.register_on(sa2, ue)));
}

// Shows: R-7.1-29
TEST_F(SaTableRules, Rule4AForeignIdentityIsRefused) {
  const UeSet old = lab.register_in_clear(ue);
  ue.protects = old;
  ue.choose_anew();
  ue.impi = "victim@ims.example";
  const Verdict verdict = lab.sm1(ue);
  EXPECT_EQ(verdict.refusal, Refusal::kIdentityForeign);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.status, 403);
  ue.impi = "user@ims.example";
  lab.begin_on(old, ue);
  ue.impi = "victim@ims.example";
  EXPECT_EQ(lab.sm7(ue).refusal, Refusal::kIdentityForeign);
}

// Shows: R-7.1-27
TEST_F(SaTableRules, AThirdLiveSetIsNeverStored) {
  const UeSet sa1 = lab.register_in_clear(ue);
  const UeSet sa2 = lab.register_on(sa1, ue);
  const UeSet sa3 = lab.register_on(sa2, ue);
  EXPECT_FALSE(lab.lives(sa1));
  EXPECT_TRUE(lab.lives(sa2));
  EXPECT_TRUE(lab.lives(sa3));
}

}  // namespace
}  // namespace gmesp::sa
