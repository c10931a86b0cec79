// Keys of a set: Annex I through the SA manager, and which challenges are refused for their keys.
#include <algorithm>
#include <bit>

#include "sa_lab.h"

namespace gmesp::sa {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes counting(uint8_t first) {
  Bytes key(16);
  for (uint8_t& byte : key) byte = first += 7;
  return key;
}

Bytes with_odd_parity(Bytes key) {
  for (uint8_t& byte : key)
    if (std::popcount(byte) % 2 == 0) byte ^= 1;
  return key;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Bytes high(const Bytes& key) {
  return {key.begin(), key.begin() + 8};
}

Bytes low(const Bytes& key) {
  return {key.begin() + 8, key.end()};
}

struct SaKeys : testing::Test {
  SaLab lab;
  Ue ue = ue_at(ipv4(1, 1));
  const Bytes ik = counting(3), ck = counting(100);
};

// Shows: R-I-01, R-I-02, R-6.2-01
TEST_F(SaKeys, AreThoseOfAnnexI) {
  const Bytes des = with_odd_parity(high(ck) + low(ck) + high(ck));
  const Bytes zeros(4);
  struct {
    const char* pair;
    Bytes integrity, cipher;
  } const rows[] = {
      {"alg=hmac-md5-96", ik, {}},
      {"alg=hmac-md5-96;ealg=aes-cbc", ik, ck},
      {"alg=hmac-md5-96;ealg=des-ede3-cbc", ik, des},
      {"alg=hmac-sha-1-96", ik + zeros, {}},
      {"alg=hmac-sha-1-96;ealg=aes-cbc", ik + zeros, ck},
      {"alg=hmac-sha-1-96;ealg=des-ede3-cbc", ik + zeros, des},
  };
  for (const auto& row : rows) {
    SaLab lab;
    ue.offers = {row.pair};
    lab.sm1(ue);
    ASSERT_EQ(lab.challenge(ue, ik, ck).action, Action::kForward);
    ASSERT_EQ(lab.sink.held.size(), 1u) << "one record, so one key for all four SAs";
    const RecordingSink::Held& held = lab.sink.held.begin()->second;
    EXPECT_EQ(held.integrity_key, row.integrity) << row.pair;
    EXPECT_EQ(held.cipher_key, row.cipher) << row.pair;
  }
}

/// SM6 names no pair with DES-EDE3.
void expect_no_des(const Ue& ue) {
  EXPECT_EQ(ue.security_server.find("des-ede3"), std::string::npos);
}

// Shows: R-I-03
TEST_F(SaKeys, ThatMakeSingleDesMoveTheChoiceOn) {
  Bytes halves_equal = high(ck) + high(ck);
  Bytes equal_but_for_parity = halves_equal;
  for (size_t i = 8; i < 16; ++i) equal_but_for_parity[i] ^= 1;
  for (const Bytes& weak : {halves_equal, equal_but_for_parity}) {
    SaLab lab;
    ue.offers = {"alg=hmac-sha-1-96;ealg=des-ede3-cbc", "alg=hmac-md5-96"};
    lab.sm1(ue);
    EXPECT_EQ(lab.challenge(ue, ik, weak).action, Action::kForward);
    EXPECT_EQ(lab.set(ue.fresh)->algorithms.cipher, Cipher::kNull);
    EXPECT_EQ(lab.set(ue.fresh)->algorithms.integrity, Integrity::kHmacMd5_96);
    expect_no_des(ue);
  }
}

// Shows: R-I-03, R-D-P2
TEST_F(SaKeys, ThatMakeSingleDesEndTheRegistrationOfAUeWithNothingElse) {
  ue.offers = {"alg=hmac-sha-1-96;ealg=des-ede3-cbc"};
  lab.sm1(ue);
  const Verdict verdict = lab.challenge(ue, ik, high(ck) + high(ck));
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kNoCommonAlgorithm);
  EXPECT_TRUE(lab.sink.held.empty());
  EXPECT_EQ(lab.manager.spis().taken(), 0u);
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-I-03
TEST_F(SaKeys, OfHalvesThatDifferInABitThatCountsMakeDes) {
  Bytes different = high(ck) + high(ck);
  different[15] ^= 2;
  ue.offers = {"alg=hmac-sha-1-96;ealg=des-ede3-cbc"};
  lab.sm1(ue);
  EXPECT_EQ(lab.challenge(ue, ik, different).action, Action::kForward);
}

// Shows: R-6.1.1-01
TEST_F(SaKeys, OfAStoredSetAreRefused) {
  const UeSet old = lab.register_in_clear(ue);
  const Bytes old_ik = lab.last_ik, old_ck = lab.last_ck;
  for (const auto& [new_ik, new_ck] : {std::pair{old_ik, ck}, {ik, old_ck}, {old_ik, old_ck}}) {
    ue.protects = old;
    ue.choose_anew();
    lab.sm1(ue);
    const size_t taken = lab.manager.spis().taken();
    const Verdict verdict = lab.challenge(ue, new_ik, new_ck);
    EXPECT_EQ(verdict.action, Action::kReject);
    EXPECT_EQ(verdict.refusal, Refusal::kKeyReused);
    EXPECT_EQ(verdict.send.set, old.number) << "as SM1 came";
    EXPECT_EQ(lab.manager.spis().taken(), taken);
    EXPECT_EQ(lab.sink.held.size(), 1u);
  }
  lab.sm1(ue);
  EXPECT_EQ(lab.challenge(ue, ik, ck).action, Action::kForward);
}

// Shows: R-6.1.1-01
TEST_F(SaKeys, OfAnUnfinishedProcedureAreRefusedToo) {
  const UeSet unfinished = lab.begin_in_clear(ue);
  const Bytes used_ik = lab.last_ik;
  EXPECT_TRUE(lab.lives(unfinished));
  ue.choose_anew();
  lab.sm1(ue);
  EXPECT_EQ(lab.challenge(ue, used_ik, ck).refusal, Refusal::kKeyReused);
}

// Shows: R-6.1.1-01
TEST_F(SaKeys, OfAnotherUserAreNobodysBusiness) {
  lab.register_in_clear(ue);
  Ue other = ue_at(ipv4(1, 2), "other@ims.example");
  lab.sm1(other);
  EXPECT_EQ(lab.challenge(other, lab.last_ik, lab.last_ck).action, Action::kForward);
}

// Shows: R-8.1-01
TEST_F(SaKeys, WithoutCkOnlyNullCanBeChosen) {
  ue.offers = {"alg=hmac-sha-1-96"};
  lab.sm1(ue);
  EXPECT_EQ(lab.challenge(ue, ik, {}).action, Action::kForward);
  EXPECT_TRUE(lab.sink.held.at(ue.fresh.number).cipher_key.empty());

  Ue other = ue_at(ipv4(1, 2), "other@ims.example");
  other.offers = {"alg=hmac-sha-1-96;ealg=aes-cbc"};
  lab.sm1(other);
  const Verdict verdict = lab.challenge(other, ik, {});
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kKeyMissing);
  EXPECT_EQ(lab.sink.held.size(), 1u);
}

// Shows: R-7.1-02, R-8.1-01
TEST_F(SaKeys, OfOtherLengthsThan16AreRefused) {
  for (const size_t bytes : {0u, 15u, 17u, 24u, 32u}) {
    ue.choose_anew();
    lab.sm1(ue);
    EXPECT_EQ(lab.challenge(ue, Bytes(bytes, 1), ck).refusal, Refusal::kKeyMissing) << bytes;
    if (bytes == 0) continue;
    lab.sm1(ue);
    EXPECT_EQ(lab.challenge(ue, ik, Bytes(bytes, 1)).refusal, Refusal::kKeyMissing) << bytes;
  }
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-7.1-04, R-D-K1
TEST_F(SaKeys, OfAWithdrawnAlgorithmAreNotMadeAnyMore) {
  ue.offers = {"alg=hmac-md5-96", "alg=hmac-sha-1-96"};
  Ue only_md5 = ue_at(ipv4(1, 2), "other@ims.example");
  only_md5.offers = {"alg=hmac-md5-96"};
  const UeSet live = lab.register_in_clear(only_md5);
  lab.manager.withdraw(Integrity::kHmacMd5_96, false, lab.now_ms);
  EXPECT_TRUE(lab.lives(live)) << "until it is replaced";
  EXPECT_EQ(lab.request(live.from_client()).action, Action::kForward);

  const UeSet fresh = lab.register_in_clear(ue);
  EXPECT_EQ(lab.set(fresh)->algorithms.integrity, Integrity::kHmacSha1_96);
  EXPECT_EQ(ue.security_server.find("md5"), std::string::npos);

  only_md5.protects = live;
  only_md5.choose_anew();
  const Verdict verdict = lab.sm1(only_md5);
  EXPECT_EQ(verdict.action, Action::kReject);
  EXPECT_EQ(verdict.refusal, Refusal::kNoCommonAlgorithm);
  EXPECT_EQ(verdict.send.set, live.number);
}

// Shows: R-7.1-04
TEST_F(SaKeys, OfAnAlgorithmWithdrawnBetweenSm1AndSm4AreNotMade) {
  ue.offers = {"alg=hmac-sha-1-96;ealg=aes-cbc"};
  lab.sm1(ue);
  lab.manager.withdraw(Cipher::kAesCbc, false, lab.now_ms);
  EXPECT_EQ(lab.challenge(ue).refusal, Refusal::kNoCommonAlgorithm);
  EXPECT_EQ(lab.manager.contexts(), 0u);
}

// Shows: R-D-K1
TEST_F(SaKeys, OfAWithdrawnAlgorithmMayGoAtOnce) {
  const UeSet with_aes = lab.register_in_clear(ue);
  Ue other = ue_at(ipv4(1, 2), "other@ims.example");
  other.offers = {"alg=hmac-sha-1-96"};
  const UeSet without = lab.register_in_clear(other);
  Ue third = ue_at(ipv4(1, 3), "third@ims.example");
  lab.begin_in_clear(third);
  lab.manager.withdraw(Cipher::kAesCbc, true, lab.now_ms);
  EXPECT_FALSE(lab.lives(with_aes));
  EXPECT_EQ(lab.why_gone(with_aes), GoneBecause::kWithdrawn);
  EXPECT_FALSE(lab.lives(third.fresh));
  EXPECT_EQ(lab.sm7(third).action, Action::kDiscard);
  EXPECT_TRUE(lab.lives(without));
  EXPECT_EQ(lab.request(without.from_client()).action, Action::kForward);
}

}  // namespace
}  // namespace gmesp::sa
