// What calls for many packets leave on the stack. Of the product's machine code, so not built with
// sanitizers: in theirs, every parameter of an inlined function has a place of its own.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>

#include "crypto/aes_schedule.h"
#include "crypto/cbc_lanes.h"
#include "crypto/hmac_lanes.h"
#include "crypto/ipsec_mb_manager.h"
#include "reference.h"
#include "with_hmac_lanes.h"

namespace gmesp::crypto::test {
namespace {

/// A stack on which a call is made by a thread of its own, to be looked through afterwards.
class Stack {
 public:
  using Work = std::function<void()>;

  void call(Work work) {
    pthread_attr_t attributes;
    ASSERT_EQ(pthread_attr_init(&attributes), 0);
    ASSERT_EQ(pthread_attr_setstack(&attributes, bytes_.get(), kBytes), 0);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, &attributes, run, &work), 0);
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
  static constexpr size_t kBytes = 1 << 20;

  static void* run(void* work) {
    (*static_cast<Work*>(work))();
    return nullptr;
  }
  const uint8_t* begin() const { return bytes_.get(); }
  const uint8_t* end() const { return bytes_.get() + kBytes; }

  std::unique_ptr<uint8_t, decltype(&std::free)> bytes_{
      static_cast<uint8_t*>(std::memset(std::aligned_alloc(4096, kBytes), 0, kBytes)), std::free};
};

using HmacStack = WithHmacLanes;
INSTANTIATE_TEST_SUITE_P(Algorithms, HmacStack, HmacStack::algorithms(), HmacStack::name);

/// Whoever has the states after both padded keys can make ICVs. All lanes have the same key here,
/// so that a register of states is one word again and again.
// Shows: R-7.1-01
TEST_P(HmacStack, NothingOfTheKeysIsLeft) {
  const Association association = random_association({integrity(), Cipher::kNull}, random_);
  const Bytes bytes = random_bytes(random_, 312);
  Bytes icv(kIcvBytes);
  const HmacMessage message = {&association.keys, bytes.data(), static_cast<uint32_t>(bytes.size()),
                               icv.data()};
  const uint32_t words = integrity() == Integrity::kHmacMd5_96 ? 4 : 5;
  for (const uint32_t count : {1u, 16u, 32u, kLaneMessagesMax}) {
    Stack stack;
    const std::vector<HmacMessage> messages(count, message);
    stack.call([&] { write_icvs(width(), integrity(), messages); });
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

/// Any of the round keys gives the key itself.
class AesStack : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cbc_lanes()) GTEST_SKIP() << "no AVX-512 with AES on this CPU";
    const Manager manager = make_manager(VectorArch::kAuto);
    make_schedules(manager.get(), key_.data(), encryption_, decryption_);
  }
  void expect_none(const Stack& stack, const AesSchedule& schedule) const {
    ASSERT_TRUE(stack.is_used());
    for (size_t at = 0; at < schedule.round_keys.size(); at += key_.size())
      EXPECT_FALSE(stack.has(std::span(schedule.round_keys).subspan(at, key_.size())))
          << "round " << at / key_.size();
  }

  Random random_{7};
  const Bytes key_ = random_bytes(random_, 16);
  AesSchedule encryption_, decryption_;
};

// Shows: R-7.1-01
TEST_F(AesStack, EncryptionLeavesNothingOfTheKeys) {
  const Bytes iv = random_bytes(random_, 16);
  for (const LaneWidth width : {LaneWidth::kNarrow, LaneWidth::kWide})
    for (const uint32_t blocks : {7u, 8u})
      for (const uint32_t count : {1u, 16u, 32u, kLaneMessagesMax}) {
        SCOPED_TRACE(lane_width_name(width) + ", " + std::to_string(count) + " messages of " +
                     std::to_string(blocks) + " blocks");
        Bytes texts = random_bytes(random_, size_t{count} * blocks * 16);
        std::vector<CbcMessage> messages;
        for (uint32_t i = 0; i < count; ++i)
          messages.push_back(
              {key_.data(), iv.data(), texts.data() + size_t{i} * blocks * 16, blocks});
        Stack stack;
        stack.call([&] { encrypt_cbc(width, messages); });
        expect_none(stack, encryption_);
      }
}

// Shows: R-7.1-01
TEST_F(AesStack, MakingSchedulesLeavesNothingOfThem) {
  for (const uint32_t count : {1u, 16u, kLaneMessagesMax}) {
    SCOPED_TRACE(std::to_string(count) + " schedules");
    const std::vector<const uint8_t*> keys(count, key_.data());
    std::vector<AesSchedule> schedules(count);
    Stack stack;
    stack.call([&] { make_decryption_schedules(keys, schedules.data()); });
    expect_none(stack, encryption_);
    expect_none(stack, decryption_);
  }
}

}  // namespace
}  // namespace gmesp::crypto::test
