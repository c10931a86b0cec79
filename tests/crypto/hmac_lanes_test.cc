// ICVs of many packets at once against OpenSSL's HMAC(): every length, any number, any mixture; and
// what is left in memory behind a call.
#include "crypto/hmac_lanes.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "reference.h"

namespace gmesp::crypto::test {
namespace {

constexpr uint8_t kGuard = 0xa5;
constexpr uint32_t kGuardBytes = 32;

/// Messages with a key of their own each, at odd addresses, and room for ICVs between guards.
class Messages {
 public:
  Messages(Integrity integrity, const std::vector<uint32_t>& lengths, Random& random)
      : integrity_(integrity), icvs_(lengths.size() * kSlotBytes, kGuard) {
    for (size_t i = 0; i < lengths.size(); ++i) {
      associations_.push_back(random_association({integrity, Cipher::kNull}, random));
      bytes_.push_back(random_bytes(random, lengths[i] + 1));
    }
    for (size_t i = 0; i < lengths.size(); ++i)
      messages_.push_back({&associations_[i].keys, bytes_[i].data() + 1, lengths[i],
                           icvs_.data() + i * kSlotBytes + kGuardBytes});
  }

  void write() { write_icvs(integrity_, messages_); }

  void expect_icvs() const {
    for (size_t i = 0; i < messages_.size(); ++i) {
      const Bytes expected =
          icv(integrity_, associations_[i].integrity_key, {messages_[i].bytes, messages_[i].count});
      ASSERT_EQ(std::memcmp(expected.data(), messages_[i].icv, kIcvBytes), 0)
          << messages_[i].count << " bytes, message " << i << " of " << messages_.size();
      ASSERT_TRUE(are_guards(messages_[i].icv - kGuardBytes, kGuardBytes));
      ASSERT_TRUE(are_guards(messages_[i].icv + kIcvBytes, kGuardBytes));
    }
  }

 private:
  static constexpr size_t kSlotBytes = kGuardBytes + kIcvBytes + kGuardBytes;

  static bool are_guards(const uint8_t* at, size_t count) {
    return std::all_of(at, at + count, [](uint8_t byte) { return byte == kGuard; });
  }

  Integrity integrity_;
  std::vector<Association> associations_;
  std::vector<Bytes> bytes_;
  Bytes icvs_;
  std::vector<HmacMessage> messages_;
};

class HmacLanes : public testing::TestWithParam<Integrity> {
 protected:
  void SetUp() override {
    if (!has_hmac_lanes()) GTEST_SKIP() << "no AVX-512 on this CPU";
  }
  Random random_{7};
};

INSTANTIATE_TEST_SUITE_P(Algorithms, HmacLanes,
                         testing::Values(Integrity::kHmacMd5_96, Integrity::kHmacSha1_96),
                         [](const auto& integrity) {
                           return integrity.param == Integrity::kHmacMd5_96 ? "Md5" : "Sha1";
                         });

/// Around each block the padding takes one block or two.
// Shows: R-7.1-01
TEST_P(HmacLanes, EveryLengthInOneBatchAfterTheOther) {
  for (uint32_t from = 0; from < 20 * 64; from += kHmacMessagesMax) {
    std::vector<uint32_t> lengths;
    for (uint32_t i = 0; i < kHmacMessagesMax; ++i) lengths.push_back(from + i);
    Messages messages(GetParam(), lengths, random_);
    messages.write();
    messages.expect_icvs();
  }
}

// Shows: R-7.1-01
TEST_P(HmacLanes, EveryNumberOfMessages) {
  for (uint32_t count = 0; count <= kHmacMessagesMax; ++count) {
    Messages messages(GetParam(), std::vector<uint32_t>(count, 312), random_);
    messages.write();
    messages.expect_icvs();
  }
}

/// Long ones beside short ones: those that end first must stay as they are.
// Shows: R-7.1-01
TEST_P(HmacLanes, AnyMixtureOfLengths) {
  rc::check([&] {
    const auto lengths = *rc::gen::resize(
        kHmacMessagesMax,
        rc::gen::container<std::vector<uint32_t>>(rc::gen::weightedOneOf<uint32_t>(
            {{8, rc::gen::inRange(0u, 1600u)}, {1, rc::gen::inRange(0u, 65'536u)}})));
    RC_PRE(lengths.size() <= kHmacMessagesMax);
    Messages messages(GetParam(), lengths, random_);
    messages.write();
    messages.expect_icvs();
  });
}

/// A stack on which a call is made by a thread of its own, to be looked through afterwards.
class Stack {
 public:
  void call(Integrity integrity, const std::vector<HmacMessage>& messages) {
    Call call{integrity, messages};
    pthread_attr_t attributes;
    ASSERT_EQ(pthread_attr_init(&attributes), 0);
    ASSERT_EQ(pthread_attr_setstack(&attributes, bytes_.get(), kBytes), 0);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, &attributes, run, &call), 0);
    ASSERT_EQ(pthread_join(thread, nullptr), 0);
    pthread_attr_destroy(&attributes);
  }

  bool is_used() const {
    return std::any_of(begin(), end(), [](uint8_t byte) { return byte != 0; });
  }
  bool has(std::span<const uint8_t> bytes) const {
    return std::search(begin(), end(), bytes.begin(), bytes.end()) != end();
  }

 private:
  struct Call {
    Integrity integrity;
    const std::vector<HmacMessage>& messages;
  };
  static constexpr size_t kBytes = 1 << 20;

  static void* run(void* argument) {
    const Call& call = *static_cast<Call*>(argument);
    write_icvs(call.integrity, call.messages);
    return nullptr;
  }
  const uint8_t* begin() const { return bytes_.get(); }
  const uint8_t* end() const { return bytes_.get() + kBytes; }

  std::unique_ptr<uint8_t, decltype(&std::free)> bytes_{
      static_cast<uint8_t*>(std::memset(std::aligned_alloc(4096, kBytes), 0, kBytes)), std::free};
};

/// Whoever has the states after both padded keys can make ICVs. All lanes have the same key here,
/// so that a register of states is one word again and again.
// Shows: R-7.1-01
TEST_P(HmacLanes, NothingOfTheKeysIsLeftOnTheStack) {
  const Association association = random_association({GetParam(), Cipher::kNull}, random_);
  const Bytes bytes = random_bytes(random_, 312);
  Bytes icv(kIcvBytes);
  const HmacMessage message = {&association.keys, bytes.data(), static_cast<uint32_t>(bytes.size()),
                               icv.data()};
  const uint32_t words = GetParam() == Integrity::kHmacMd5_96 ? 4 : 5;
  for (const uint32_t count : {1u, 16u, 32u, kHmacMessagesMax}) {
    Stack stack;
    stack.call(GetParam(), std::vector<HmacMessage>(count, message));
    ASSERT_TRUE(stack.is_used());
    for (uint32_t at = 0; at < words; ++at)
      for (const uint32_t word :
           {association.keys.hmac_inner[at], association.keys.hmac_outer[at]}) {
        const std::array<uint32_t, 4> lanes = {word, word, word, word};
        EXPECT_FALSE(stack.has({reinterpret_cast<const uint8_t*>(lanes.data()), sizeof lanes}))
            << "word " << at << ", " << count << " messages";
      }
  }
}

}  // namespace
}  // namespace gmesp::crypto::test
