// Set-up of security associations, the successful case and what it refuses: TS 33.203 7.2, 7.4.2a.
#include "sa_lab.h"

namespace gmesp::sa {
namespace {

struct SetupFlow : testing::Test {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
};

// Shows: R-7.2-01
TEST_F(SetupFlow, Sm1LeavesThePacketsSourceAndThePartiesParameters) {
  lab.sm1(ue);
  const Context& context = lab.context(ue);
  ASSERT_EQ(context.procedures.size(), 1u);
  const Procedure& kept = *context.procedures.front();
  EXPECT_EQ(context.impi, ue.impi);
  EXPECT_EQ(kept.arrival.source, ue.address);
  EXPECT_EQ(kept.arrival.local, kPcscf);
  EXPECT_EQ(kept.arrived_on, kClear);
  EXPECT_EQ(kept.offer.spi_c, ue.spi_c);
  EXPECT_EQ(kept.offer.spi_s, ue.spi_s);
  EXPECT_EQ(kept.offer.port_c, ue.port_c);
  EXPECT_EQ(kept.offer.port_s, ue.port_s);
  EXPECT_EQ(lab.manager.sets(), 0u) << "no SA before the challenge";
}

// Shows: R-7.2-01, R-7.1-06, R-6.3-01
TEST_F(SetupFlow, TheFourSasAreThoseThatBothPartiesNamed) {
  const UeSet fresh = lab.register_in_clear(ue);
  const SaSet& set = lab.sink.held.at(fresh.number).set;
  EXPECT_EQ(set.ue, ue.address);
  EXPECT_EQ(set.local, kPcscf);
  EXPECT_EQ(set.spi_uc, fresh.spi_uc);
  EXPECT_EQ(set.spi_us, fresh.spi_us);
  EXPECT_EQ(set.spi_pc, fresh.spi_pc);
  EXPECT_EQ(set.spi_ps, fresh.spi_ps);
  EXPECT_EQ(set.port_uc, fresh.port_uc);
  EXPECT_EQ(set.port_us, fresh.port_us);
  EXPECT_EQ(set.port_pc, fresh.port_pc);
  EXPECT_EQ(set.port_ps, fresh.port_ps);
  EXPECT_EQ(set.mode, Mode::kTransport);
  EXPECT_EQ(fresh.mode, "trans");
}

// Shows: R-7.2-03
TEST_F(SetupFlow, TheOrderOfTheUeDoesNotMatter) {
  ue.offers = {"alg=hmac-md5-96", "alg=hmac-sha-1-96", "alg=hmac-md5-96;ealg=des-ede3-cbc",
               "alg=hmac-md5-96;ealg=aes-cbc"};
  const UeSet fresh = lab.register_in_clear(ue);
  const AlgorithmPair installed = lab.set(fresh)->algorithms;
  EXPECT_EQ(installed.integrity, Integrity::kHmacMd5_96);
  EXPECT_EQ(installed.cipher, Cipher::kAesCbc);
}

/// What a UE of 7.2 would take, and what was installed.
void expect_agreement(const SaLab& lab, const UeSet& fresh) {
  const AlgorithmPair installed = lab.set(fresh)->algorithms;
  const std::string cipher(token(installed.cipher));
  EXPECT_EQ(fresh.algorithms, "alg=" + std::string(token(installed.integrity)) +
                                  (cipher == "null" ? "" : ";ealg=" + cipher));
}

// Shows: R-7.2-06, R-7.2-03, R-7.2-04
TEST(SetupFlowOfAllCapabilities, UeAndPcscfTakeTheSamePair) {
  const std::vector<std::string> pairs = {
      "alg=hmac-md5-96",   "alg=hmac-md5-96;ealg=aes-cbc",   "alg=hmac-md5-96;ealg=des-ede3-cbc",
      "alg=hmac-sha-1-96", "alg=hmac-sha-1-96;ealg=aes-cbc", "alg=hmac-sha-1-96;ealg=des-ede3-cbc"};
  for (const Confidentiality confidentiality :
       {Confidentiality::kNever, Confidentiality::kWhenSupported, Confidentiality::kRequired})
    for (unsigned subset = 1; subset < 1u << pairs.size(); ++subset) {
      Policy policy;
      policy.confidentiality = confidentiality;
      SaLab lab(policy);
      Ue ue = ue_at(ipv4(1, 1));
      ue.offers.clear();
      bool has_null = false, has_cipher = false;
      for (unsigned i = 0; i < pairs.size(); ++i) {
        if ((subset >> i & 1) == 0) continue;
        ue.offers.push_back(pairs[i]);
        (pairs[i].find("ealg") == std::string::npos ? has_null : has_cipher) = true;
      }
      const bool is_possible = (has_null && confidentiality != Confidentiality::kRequired) ||
                               (has_cipher && confidentiality != Confidentiality::kNever);
      const Verdict verdict = lab.sm1(ue);
      ASSERT_EQ(verdict.action, is_possible ? Action::kForward : Action::kReject) << subset;
      if (!is_possible) continue;
      lab.challenge(ue);
      expect_agreement(lab, ue.fresh);
    }
}

// Shows: R-7.2-04, R-7.3-07
TEST(SetupFlowOfPolicy, AUeWithoutCiphersIsRefusedWhereTheyAreRequired) {
  Policy policy;
  policy.confidentiality = Confidentiality::kRequired;
  SaLab lab(policy);
  Ue ue = ue_at(ipv4(1, 1));
  ue.offers = {"alg=hmac-sha-1-96", "alg=hmac-md5-96"};
  const Verdict verdict = lab.sm1(ue);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kConfidentialityRequired);
  EXPECT_GE(verdict.status, 400);
  EXPECT_EQ(verdict.send.set, kClear);
  EXPECT_EQ(verdict.send.remote, ue.address);
  EXPECT_EQ(lab.manager.contexts(), 0u);
  EXPECT_EQ(lab.manager.procedures(), 0u);
}

/// The pairs of SM6 as written, and that everything else is the same in all entries.
std::string pairs_of_sm6(SaLab& lab, Ue& ue) {
  lab.begin_in_clear(ue);
  auto entries = entries_of(ue.security_server);
  std::string pairs;
  double last_q = 2;
  for (auto& entry : entries) {
    EXPECT_EQ(entry[""], "ipsec-3gpp");
    for (const char* same : {"spi-c", "spi-s", "port-c", "port-s", "mod", "prot"})
      EXPECT_EQ(entry[same], entries.front()[same]) << same;
    EXPECT_LT(std::stod(entry["q"]), last_q);
    last_q = std::stod(entry["q"]);
    EXPECT_EQ(entry["spi-c"].size(), 10u);
    const std::string cipher = entry.contains("ealg") ? entry["ealg"] : "null";
    pairs += entry["alg"] + "/" + cipher + " ";
  }
  return pairs;
}

// Shows: R-7.2-05, R-B-02
TEST(SetupFlowOfPolicy, Sm6ListsAllThatIsSupportedCiphersFirst) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  ue.offers = {"alg=hmac-sha-1-96"};  // to thwart bidding down all is listed all the same (7.2)
  EXPECT_EQ(pairs_of_sm6(lab, ue),
            "hmac-sha-1-96/aes-cbc hmac-md5-96/aes-cbc hmac-sha-1-96/des-ede3-cbc "
            "hmac-md5-96/des-ede3-cbc hmac-sha-1-96/null hmac-md5-96/null ");
}

// Shows: R-7.2-05
TEST(SetupFlowOfPolicy, WithConfidentialityNeverSm6ListsNoCipher) {
  Policy policy;
  policy.confidentiality = Confidentiality::kNever;
  SaLab lab(policy);
  Ue ue = ue_at(ipv4(1, 1));
  EXPECT_EQ(pairs_of_sm6(lab, ue), "hmac-sha-1-96/null hmac-md5-96/null ");
  EXPECT_EQ(ue.security_server.find("ealg"), std::string::npos);
}

// Shows: R-7.2-05
TEST(SetupFlowOfPolicy, WithConfidentialityRequiredSm6ListsNoNull) {
  Policy policy;
  policy.confidentiality = Confidentiality::kRequired;
  SaLab lab(policy);
  Ue ue = ue_at(ipv4(1, 1));
  EXPECT_EQ(pairs_of_sm6(lab, ue),
            "hmac-sha-1-96/aes-cbc hmac-md5-96/aes-cbc hmac-sha-1-96/des-ede3-cbc "
            "hmac-md5-96/des-ede3-cbc ");
}

// Shows: R-7.2-07
TEST_F(SetupFlow, Sm6WaitsForTheAcknowledgement) {
  lab.acknowledges = false;
  lab.sm1(ue);
  EXPECT_EQ(lab.challenge(ue).action, Action::kWait);
  EXPECT_EQ(lab.sink.held.size(), 1u);
  EXPECT_TRUE(lab.sink.answers.empty());
  lab.pass(kSecond_ms);
  EXPECT_TRUE(lab.sink.answers.empty());
  lab.acknowledge(ue);
  ASSERT_EQ(lab.sink.answers.size(), 1u);
  EXPECT_EQ(lab.sink.answers.front().second.action, Action::kForward);
  EXPECT_FALSE(lab.sink.answers.front().second.security_server.empty());
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward);
}

// Shows: R-7.4.2a-02
TEST_F(SetupFlow, InClearSm6LeavesInClearAndSm12OnTheNewSet) {
  lab.sm1(ue);
  const Verdict sm6 = lab.challenge(ue);
  EXPECT_EQ(sm6.send.set, kClear);
  EXPECT_EQ(sm6.send.remote, ue.address);
  EXPECT_EQ(sm6.send.remote_port, 5060);
  EXPECT_EQ(sm6.send.local_port, 5060);
  lab.sm7(ue);
  const Verdict sm12 = lab.ok(ue);
  EXPECT_EQ(sm12.action, Action::kForward);
  EXPECT_EQ(sm12.send.set, ue.fresh.number);
  EXPECT_EQ(sm12.send.local, kPcscf);
  EXPECT_EQ(sm12.send.local_port, ue.fresh.port_pc);
  EXPECT_EQ(sm12.send.remote, ue.address);
  EXPECT_EQ(sm12.send.remote_port, ue.fresh.port_us);
  EXPECT_TRUE(sm12.security_server.empty());
}

// Shows: R-7.4.2a-02
TEST_F(SetupFlow, OnASetSm6LeavesOnThatSet) {
  const UeSet old = lab.register_in_clear(ue);
  ue.protects = old;
  ue.choose_anew();
  EXPECT_EQ(lab.sm1(ue).arrived_on, old.number);
  const Verdict sm6 = lab.challenge(ue);
  EXPECT_EQ(sm6.send.set, old.number);
  EXPECT_EQ(sm6.send.local_port, old.port_pc);
  EXPECT_EQ(sm6.send.remote_port, old.port_us);
  lab.sm7(ue);
  EXPECT_EQ(lab.ok(ue).send.set, ue.fresh.number);
}

// Shows: R-7.4.2a-02
TEST_F(SetupFlow, AnAnswerGoesOnTheConnectionOfTheMessageItAnswers) {
  ue.uses_tcp = false;
  lab.sm1(ue);
  EXPECT_FALSE(lab.challenge(ue).send.on_same_connection);
  ue.uses_tcp = true;  // SM7 is longer than SM1: a UE may change over (RFC 3261 18.1.1)
  lab.sm7(ue);
  EXPECT_TRUE(lab.ok(ue).send.on_same_connection);
}

// Shows: R-7.4.2a-01
TEST_F(SetupFlow, Sm7CountsOnlyOnTheClientPortOfTheNewSet) {
  const UeSet old = lab.register_in_clear(ue);
  const UeSet fresh = lab.begin_on(old, ue);
  ue.sm7 = "sm7";
  for (const Arrival& wrong :
       {old.from_client(), old.from_server(), fresh.from_server(), ue.in_clear()}) {
    RegisterRequest request{};
    request.arrival = wrong;
    request.impi = ue.impi;
    request.transaction = "sm7";
    const std::string_view client = ue.security_client, verify = ue.security_server;
    request.security_client = {&client, 1};
    request.security_verify = {&verify, 1};
    request.answer = AuthenticationAnswer::kResponse;
    EXPECT_EQ(lab.manager.on_register(request, lab.now_ms).action, Action::kDiscard);
  }
  EXPECT_EQ(lab.ok(ue).action, Action::kDiscard) << "nothing was accepted";
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward);
}

struct Sm7Altered : testing::TestWithParam<const char*> {};

/// The value of the parameter in the first entry becomes another valid one.
std::string altered(std::string text, const std::string& parameter) {
  const size_t at = text.find(";" + parameter + "=");
  if (at == std::string::npos) return "";
  const size_t value = at + parameter.size() + 2;
  const size_t end = text.find_first_of(";,", value);
  const std::string was = text.substr(value, end - value);
  std::string now;
  if (parameter == "alg") now = was == "hmac-md5-96" ? "hmac-sha-1-96" : "hmac-md5-96";
  if (parameter == "ealg") now = was == "aes-cbc" ? "des-ede3-cbc" : "aes-cbc";
  if (parameter == "mod") now = was == "trans" ? "UDP-enc-tun" : "trans";
  if (parameter == "q") now = "0.111";
  if (parameter == "prot") now = "ah";
  if (now.empty()) now = std::to_string(std::stoul(was) ^ 1);
  return text.replace(value, end - value, now);
}

// Shows: R-7.2-08, R-6.1.1-02
TEST_P(Sm7Altered, InSecurityVerifyAbortsAndHarmsNothingOld) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const UeSet old = lab.register_in_clear(ue);
  const UeSet fresh = lab.begin_on(old, ue);
  const std::string verify = altered(ue.security_server, GetParam());
  ASSERT_NE(verify, "");
  ue.sm7 = "sm7";
  const Verdict verdict = lab.sm7_with(ue, ue.security_client, verify);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kVerifyMismatch);
  EXPECT_EQ(verdict.send.set, old.number);
  EXPECT_EQ(lab.ok(ue).action, Action::kForward) << "the answer may be repeated on the old set";
  EXPECT_EQ(lab.route(ue).send.set, old.number);
  EXPECT_EQ(lab.request(fresh.from_client()).action, Action::kDiscard);
  lab.pass(lab.manager.policy().linger_ms);
  EXPECT_FALSE(lab.lives(fresh));
  EXPECT_TRUE(lab.lives(old));
  EXPECT_EQ(lab.request(old.from_client()).action, Action::kForward);
}

INSTANTIATE_TEST_SUITE_P(EachParameter, Sm7Altered,
                         testing::Values("alg", "ealg", "mod", "q", "prot", "spi-c", "spi-s",
                                         "port-c", "port-s"));

struct Sm7AlteredClient : testing::TestWithParam<const char*> {};

// Shows: R-7.2-08
TEST_P(Sm7AlteredClient, AbortsToo) {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  lab.begin_in_clear(ue);
  const std::string client = altered(ue.security_client, GetParam());
  ASSERT_NE(client, "");
  ue.sm7 = "sm7";
  EXPECT_EQ(lab.sm7_with(ue, client, ue.security_server).refusal, Refusal::kVerifyMismatch);
  EXPECT_EQ(lab.ok(ue).is_repetition, true) << "only the failure can be repeated";
  EXPECT_EQ(lab.manager.totals().registrations, 0u);
}

INSTANTIATE_TEST_SUITE_P(EachParameter, Sm7AlteredClient,
                         testing::Values("alg", "ealg", "mod", "spi-c", "spi-s", "port-c",
                                         "port-s"));

// Shows: R-7.2-08
TEST_F(SetupFlow, Sm7WithoutTheHeadersAborts) {
  lab.begin_in_clear(ue);
  ue.sm7 = "sm7";
  EXPECT_EQ(lab.sm7_with(ue, ue.security_client, "").refusal, Refusal::kVerifyMismatch);
  lab.begin_in_clear(ue);
  ue.sm7 = "sm7 again";
  EXPECT_EQ(lab.sm7_with(ue, "", ue.security_server).refusal, Refusal::kVerifyMismatch);
}

// Shows: R-7.2-08, R-H-10
TEST_F(SetupFlow, Sm7MayWriteTheSameInOtherWords) {
  lab.begin_in_clear(ue);
  std::string verify;
  for (const char c : ue.security_server)
    verify += c == ';' ? std::string(" ; ") : std::string(1, static_cast<char>(std::toupper(c)));
  ue.sm7 = "sm7";
  EXPECT_EQ(lab.sm7_with(ue, ue.security_client, verify).action, Action::kForward);
}

// Shows: R-7.2-08
TEST(SetupFlowOfPolicy, BytewiseVerificationTakesTheSameBytesOnly) {
  Policy policy;
  policy.verifies_bytewise = true;
  SaLab lab(policy);
  Ue ue = ue_at(ipv4(1, 1));
  lab.begin_in_clear(ue);
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward);
  lab.begin_in_clear(ue);
  ue.sm7 = "sm7";
  EXPECT_EQ(lab.sm7_with(ue, ue.security_client, " " + ue.security_server).refusal,
            Refusal::kVerifyMismatch);
}

// Shows: R-7.2-09
TEST_F(SetupFlow, Sm1WithoutAUsableOfferHasAVerdictOfItsOwn) {
  RegisterRequest request{};
  request.arrival = ue.in_clear();
  request.impi = ue.impi;
  request.transaction = "none";
  EXPECT_EQ(lab.manager.on_register(request, lab.now_ms).refusal, Refusal::kNoAgreement);
  const std::string_view other[] = {"tls;q=0.5", "ipsec-ike"};
  request.security_client = other;
  const Verdict verdict = lab.manager.on_register(request, lab.now_ms);
  EXPECT_EQ(verdict.refusal, Refusal::kNoAgreement);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_TRUE(verdict.status == 421 || verdict.status == 494);
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-7.1-23
TEST_F(SetupFlow, AProtectedRegisterComesFromWhereItsViaSays) {
  const UeSet old = lab.register_in_clear(ue);
  ue.protects = old;
  ue.choose_anew();
  ue.via = ipv4(1, 2);
  const Verdict verdict = lab.sm1(ue);
  EXPECT_EQ(verdict.refusal, Refusal::kViaMismatch);
  EXPECT_EQ(verdict.action, Action::kReject);
  ue.via = ue.address;
  EXPECT_EQ(lab.sm1(ue).action, Action::kForward);
}

// Shows: R-7.1-23, R-D-S3
TEST(SetupFlowOfAddresses, Ipv6IsLikeIpv4) {
  SaLab lab;
  Ue ue = ue_at(ipv6(7));
  const UeSet old = lab.register_in_clear(ue);
  EXPECT_EQ(lab.sink.held.at(old.number).set.ue, ipv6(7));
  ue.protects = old;
  ue.choose_anew();
  ue.via = ipv6(8);
  EXPECT_EQ(lab.sm1(ue).refusal, Refusal::kViaMismatch);
  EXPECT_TRUE(same_host(ipv6(7), ipv6(7)));
  EXPECT_FALSE(same_host(ipv6(7), ipv6(8)));
  const Address mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 1, 1};
  EXPECT_TRUE(same_host(mapped, ipv4(1, 1)));
}

/// Everything that a procedure may take.
std::vector<size_t> takings(const SaLab& lab) {
  return {
      lab.manager.spis().taken(),    lab.manager.spis().resting(), lab.manager.table().entries(),
      lab.manager.table().resting(), lab.manager.sets(),           lab.manager.procedures(),
      lab.manager.contexts(),        lab.sink.held.size()};
}

// Shows: R-D-F1
TEST_F(SetupFlow, EveryEventOfATransactionMayComeThreeTimes) {
  EXPECT_FALSE(lab.sm1(ue).is_repetition);
  const std::vector<size_t> after_sm1 = takings(lab);
  for (int i = 0; i < 2; ++i) {
    const Verdict again = lab.repeat_sm1(ue);
    EXPECT_EQ(again.action, Action::kForward);
    EXPECT_TRUE(again.is_repetition);
  }
  EXPECT_EQ(takings(lab), after_sm1);

  const std::string sm6 = lab.challenge(ue).security_server;
  const UeSet fresh = ue.fresh;
  const std::vector<size_t> after_sm4 = takings(lab);
  for (int i = 0; i < 2; ++i) {
    const Verdict again = lab.sm4(ue, lab.last_ik, lab.last_ck);
    EXPECT_EQ(again.action, Action::kForward);
    EXPECT_EQ(again.security_server, sm6);
    EXPECT_TRUE(again.is_repetition);
  }
  EXPECT_EQ(lab.repeat_sm1(ue).action, Action::kForward) << "a late copy of SM1";
  EXPECT_EQ(takings(lab), after_sm4);

  EXPECT_FALSE(lab.sm7(ue).is_repetition);
  for (int i = 0; i < 2; ++i) {
    const Verdict again = lab.repeat_sm7(ue);
    EXPECT_EQ(again.action, Action::kForward);
    EXPECT_TRUE(again.is_integrity_protected);
    EXPECT_TRUE(again.is_repetition);
  }
  EXPECT_EQ(takings(lab), after_sm4);

  EXPECT_EQ(lab.ok(ue).send.set, fresh.number);
  const std::vector<size_t> after_sm12 = takings(lab);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(lab.ok(ue).send.set, fresh.number);
  EXPECT_EQ(takings(lab), after_sm12);
  EXPECT_EQ(lab.manager.totals().registrations, 1u);
}

// Shows: R-D-F1
TEST_F(SetupFlow, Sm4TwiceBeforeTheAcknowledgementMakesOneSetAndTwoAnswers) {
  lab.acknowledges = false;
  lab.sm1(ue);
  lab.challenge(ue);
  EXPECT_EQ(lab.sm4(ue, lab.last_ik, lab.last_ck).action, Action::kWait);
  EXPECT_EQ(lab.sink.held.size(), 1u);
  lab.acknowledge(ue);
  ASSERT_EQ(lab.sink.answers.size(), 2u);
  EXPECT_EQ(lab.sink.answers[0].second.security_server, lab.sink.answers[1].second.security_server);
}

// Shows: R-D-F1
TEST_F(SetupFlow, AProtectedSm1WithoutAChallengeTakesNothing) {
  const UeSet old = lab.register_in_clear(ue);
  const std::vector<size_t> before = takings(lab);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(lab.refresh_on(old, ue, kHour_ms).send.set, old.number);
  EXPECT_EQ(takings(lab), before);
}

// Shows: R-D-F3
TEST(SetupFlowFlood, OfAMillionSm1TouchesNoLiveSet) {
  Policy policy;
  policy.procedures_max = 1'000;
  SaLab lab(policy);
  Ue ue = ue_at(ipv4(1, 1));
  const UeSet old = lab.register_in_clear(ue);
  Ue challenged = ue_at(ipv4(1, 2), "challenged@ims.example");
  lab.begin_in_clear(challenged);
  RegisterRequest request{};
  const std::string client = Ue(ue_at(ipv4(2, 2))).offer();
  const std::string_view line = client;
  request.security_client = {&line, 1};
  for (uint32_t i = 0; i < 1'000'000; ++i) {
    const std::string name = "flood " + std::to_string(i);
    request.impi = request.transaction = name;
    request.arrival = {ipv4(2, static_cast<uint8_t>(i)), kPcscf, 5060, 5060, false};
    ASSERT_EQ(lab.manager.on_register(request, lab.now_ms).action, Action::kForward);
    ASSERT_LE(lab.manager.procedures(), 1'001u);
  }
  EXPECT_LE(lab.manager.contexts(), 1'002u);
  EXPECT_EQ(lab.sink.held.size(), 2u);
  EXPECT_EQ(lab.request(old.from_client()).action, Action::kForward);
  EXPECT_EQ(lab.sm7(challenged).action, Action::kForward) << "SM6 is out: it may be completed";
  EXPECT_EQ(lab.ok(challenged).action, Action::kForward);
  lab.pass(policy.temporary_lifetime_ms);
  EXPECT_EQ(lab.manager.procedures(), 0u);
  EXPECT_EQ(lab.manager.contexts(), 2u);
}

// Shows: R-D-F3
TEST_F(SetupFlow, OneUserHasAFewProceduresAtATime) {
  for (int i = 0; i < 100; ++i) {
    ue.choose_anew();
    EXPECT_EQ(lab.sm1(ue).action, Action::kForward);
    EXPECT_LE(lab.manager.procedures(), lab.manager.policy().procedures_per_context_max);
  }
  lab.challenge(ue);
  EXPECT_EQ(lab.sm7(ue).action, Action::kForward) << "the latest is the one that counts";
}

}  // namespace
}  // namespace gmesp::sa
