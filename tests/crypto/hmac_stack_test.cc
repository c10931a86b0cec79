// What a call for many ICVs leaves on the stack. Of the product's machine code, so not built with
// sanitizers: in theirs, every parameter of an inlined function has a place of its own.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "crypto/hmac_lanes.h"
#include "reference.h"
#include "with_hmac_lanes.h"

namespace gmesp::crypto::test {
namespace {

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

using HmacStack = WithHmacLanes;
INSTANTIATE_TEST_SUITE_P(Algorithms, HmacStack, HmacStack::algorithms(), HmacStack::name);

/// Whoever has the states after both padded keys can make ICVs. All lanes have the same key here,
/// so that a register of states is one word again and again.
// Shows: R-7.1-01
TEST_P(HmacStack, NothingOfTheKeysIsLeft) {
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
