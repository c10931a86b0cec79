// The start-up test: silent on the table as built, and naming engine and suite for any wrong byte.
#include "crypto/known_answer_test.h"

#include <gtest/gtest.h>

#include <set>

#include "crypto/known_answers.h"
#include "reference.h"

namespace gmesp::crypto::test {
namespace {

// Shows: R-D-K3
TEST(KnownAnswerTest, BothEnginesPass) {
  for (const KnownAnswerFailure& failure : known_answer_test())
    ADD_FAILURE() << failure.engine << " " << failure.suite << ": " << failure.detail;
}

// Shows: R-D-K3
TEST(KnownAnswerTest, EverySuiteHasAnAnswer) {
  std::set<uint32_t> suites;
  for (const KnownAnswer& answer : known_answers()) suites.insert(index_of(answer.suite));
  EXPECT_EQ(suites.size(), kSuiteCount);
}

template <typename Pattern>
Bytes pattern_bytes(uint32_t count, const Pattern& pattern) {
  Bytes bytes;
  for (uint32_t i = 0; i < count; ++i) bytes.push_back(pattern(i));
  return bytes;
}

// The answers come from Python; OpenSSL's one-shot interfaces must agree with them.
// Shows: R-D-K3
TEST(KnownAnswerTest, TheTableAgreesWithAThirdImplementation) {
  for (const KnownAnswer& answer : known_answers()) {
    SCOPED_TRACE(std::string(name(answer.suite)) + " " + std::to_string(answer.text_bytes));
    const CipherInfo cipher = info(answer.suite.cipher);
    const Association association = make_association(
        answer.suite,
        pattern_bytes(info(answer.suite.integrity).key_bytes, known_answer_integrity_key),
        pattern_bytes(cipher.key_bytes, known_answer_cipher_key));
    Bytes clear = from_hex("c0ffee0100000001");
    const Bytes iv = pattern_bytes(cipher.iv_bytes, known_answer_iv);
    const Bytes text = pattern_bytes(answer.text_bytes, known_answer_text);
    clear.insert(clear.end(), iv.begin(), iv.end());
    clear.insert(clear.end(), text.begin(), text.end());
    clear.resize(clear.size() + kIcvBytes);
    const Bytes wire = protect(association, clear);
    const auto tail = std::span(wire).last(cipher.block_bytes + kIcvBytes);
    EXPECT_EQ(to_hex(tail.first(cipher.block_bytes)), answer.last_block);
    EXPECT_EQ(to_hex(tail.last(kIcvBytes)), answer.icv);
  }
}

void expect_both_engines_blame(const std::vector<KnownAnswer>& answers, Suite suite) {
  std::set<std::string> engines;
  for (const KnownAnswerFailure& failure : known_answer_test(answers)) {
    engines.insert(failure.engine);
    EXPECT_EQ(failure.suite, name(suite));
    EXPECT_FALSE(failure.detail.empty());
  }
  EXPECT_EQ(engines, (std::set<std::string>{"ipsec-mb", "openssl"}));
}

/// Runs the test with one digit of one field of row `row` changed.
void expect_wrong_digit_is_found(size_t row, std::string_view KnownAnswer::*field, size_t digit) {
  SCOPED_TRACE("row " + std::to_string(row) + " digit " + std::to_string(digit));
  std::vector<KnownAnswer> answers(known_answers().begin(), known_answers().end());
  std::string spoilt(answers[row].*field);
  spoilt[digit] = spoilt[digit] == '0' ? '1' : '0';
  answers[row].*field = spoilt;
  expect_both_engines_blame(answers, answers[row].suite);
}

// Shows: R-D-K3
TEST(KnownAnswerTest, AWrongDigitInAnyRowIsFound) {
  for (size_t row = 0; row < known_answers().size(); ++row)
    for (const auto field : {&KnownAnswer::last_block, &KnownAnswer::icv}) {
      const size_t digits = (known_answers()[row].*field).size();
      for (const size_t digit : {size_t{0}, digits - 1})
        expect_wrong_digit_is_found(row, field, digit);
    }
}

// Shows: R-D-K3
TEST(KnownAnswerTest, AnotherLengthOrALengthNoEngineTakesIsFound) {
  for (const bool is_whole_block : {false, true}) {
    std::vector<KnownAnswer> answers(known_answers().begin(), known_answers().end());
    KnownAnswer& answer = answers.back();
    answer.text_bytes += is_whole_block ? info(answer.suite.cipher).block_bytes : 1;
    expect_both_engines_blame(answers, answer.suite);
  }
}

}  // namespace
}  // namespace gmesp::crypto::test
