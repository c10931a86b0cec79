// AES-128-CBC of many packets at once against OpenSSL's one-shot encryption: every length, any
// number, any mixture.
#include "crypto/cbc_lanes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "lane_widths.h"
#include "reference.h"

namespace gmesp::crypto::test {
namespace {

constexpr Suite kAes{Integrity::kHmacSha1_96, Cipher::kAesCbc128};
constexpr uint32_t kBlockBytes = 16, kIvBytes = 16;
constexpr uint8_t kGuard = 0xa5;
constexpr uint32_t kGuardBytes = 40;

/// Texts with a key and an IV of their own each, at odd addresses between guards.
class Messages {
 public:
  Messages(const std::vector<uint32_t>& blocks, Random& random) {
    for (const uint32_t count : blocks) {
      associations_.push_back(random_association(kAes, random));
      clear_.push_back(random_packet(kAes, count * kBlockBytes, random));
      Bytes buffer(kGuardBytes, kGuard);
      buffer.insert(buffer.end(), text_of(clear_.back()),
                    text_of(clear_.back()) + count * kBlockBytes);
      buffer.insert(buffer.end(), kGuardBytes, kGuard);
      buffers_.push_back(std::move(buffer));
    }
    for (size_t i = 0; i < blocks.size(); ++i)
      messages_.push_back({associations_[i].keys.cipher_key.data(),
                           clear_[i].data() + kClearHeaderBytes, buffers_[i].data() + kGuardBytes,
                           blocks[i]});
  }

  void encrypt(LaneWidth width) { encrypt_cbc(width, messages_); }

  void expect_ciphered() const {
    for (size_t i = 0; i < messages_.size(); ++i) {
      const Bytes packet = protect(associations_[i], clear_[i]);
      Bytes expected(kGuardBytes, kGuard);
      expected.insert(expected.end(), text_of(packet),
                      text_of(packet) + messages_[i].blocks * kBlockBytes);
      expected.insert(expected.end(), kGuardBytes, kGuard);
      ASSERT_TRUE(buffers_[i] == expected)
          << messages_[i].blocks << " blocks, message " << i << " of " << messages_.size();
    }
  }

 private:
  static const uint8_t* text_of(const Bytes& packet) {
    return packet.data() + kClearHeaderBytes + kIvBytes;
  }

  std::vector<Association> associations_;
  std::vector<Bytes> clear_, buffers_;
  std::vector<CbcMessage> messages_;
};

class CbcLanes : public testing::TestWithParam<LaneWidth> {
 protected:
  void SetUp() override {
    if (!has_cbc_lanes()) GTEST_SKIP() << "no AVX-512 with AES on this CPU";
  }
  Random random_{7};
};
INSTANTIATE_TEST_SUITE_P(Widths, CbcLanes, lane_widths(),
                         [](const auto& info) { return lane_width_name(info.param); });

/// Odd and even numbers of blocks, up to more than a frame has.
// Shows: R-7.1-01
TEST_P(CbcLanes, EveryLength) {
  std::vector<uint32_t> blocks;
  for (uint32_t i = 0; i < kLaneMessagesMax; ++i) blocks.push_back(i);
  for (int round = 0; round < 4; ++round) {
    std::shuffle(blocks.begin(), blocks.end(), random_);
    Messages messages(blocks, random_);
    messages.encrypt(GetParam());
    messages.expect_ciphered();
  }
}

// Shows: R-7.1-01
TEST_P(CbcLanes, EveryNumberOfMessages) {
  for (uint32_t count = 0; count <= kLaneMessagesMax; ++count) {
    Messages messages(std::vector<uint32_t>(count, 19), random_);
    messages.encrypt(GetParam());
    messages.expect_ciphered();
  }
}

/// Long ones beside short ones: those that end first must stay as they are. Also longer than those
/// that are put in order.
// Shows: R-7.1-01
TEST_P(CbcLanes, AnyMixtureOfLengths) {
  rc::check([&] {
    const auto blocks =
        *rc::gen::resize(kLaneMessagesMax,
                         rc::gen::container<std::vector<uint32_t>>(rc::gen::weightedOneOf<uint32_t>(
                             {{8, rc::gen::inRange(0u, 100u)}, {1, rc::gen::inRange(0u, 4096u)}})));
    RC_PRE(blocks.size() <= kLaneMessagesMax);
    Messages messages(blocks, random_);
    messages.encrypt(GetParam());
    messages.expect_ciphered();
  });
}

}  // namespace
}  // namespace gmesp::crypto::test
