// ICVs of many packets at once against OpenSSL's HMAC(): every length, any number, any mixture.
#include "crypto/hmac_lanes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "reference.h"
#include "with_hmac_lanes.h"

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

  void write(LaneWidth width) { write_icvs(width, integrity_, messages_); }

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

/// A page between two that nobody may read.
class LonelyPage {
 public:
  LonelyPage()
      : bytes_(static_cast<uint64_t>(sysconf(_SC_PAGESIZE))),
        memory_(static_cast<uint8_t*>(
            mmap(nullptr, 3 * bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    if (memory_ == MAP_FAILED || mprotect(begin(), bytes_, PROT_READ | PROT_WRITE) != 0)
      throw std::runtime_error("no memory");
  }
  ~LonelyPage() { munmap(memory_, 3 * bytes_); }
  LonelyPage(const LonelyPage&) = delete;
  LonelyPage& operator=(const LonelyPage&) = delete;

  uint8_t* begin() const { return memory_ + bytes_; }
  uint8_t* end() const { return begin() + bytes_; }

 private:
  const size_t bytes_;
  uint8_t* const memory_;
};

using HmacLanes = WithHmacLanes;
INSTANTIATE_TEST_SUITE_P(Algorithms, HmacLanes, HmacLanes::algorithms(), HmacLanes::name);

/// Around each block the padding takes one block or two.
// Shows: R-7.1-01
TEST_P(HmacLanes, EveryLengthInOneBatchAfterTheOther) {
  for (uint32_t from = 0; from < 20 * 64; from += kLaneMessagesMax) {
    std::vector<uint32_t> lengths;
    for (uint32_t i = 0; i < kLaneMessagesMax; ++i) lengths.push_back(from + i);
    Messages messages(integrity(), lengths, random_);
    messages.write(width());
    messages.expect_icvs();
  }
}

// Shows: R-7.1-01
TEST_P(HmacLanes, EveryNumberOfMessages) {
  for (uint32_t count = 0; count <= kLaneMessagesMax; ++count) {
    Messages messages(integrity(), std::vector<uint32_t>(count, 312), random_);
    messages.write(width());
    messages.expect_icvs();
  }
}

// Shows: R-7.1-01
TEST_P(HmacLanes, NothingOutsideAMessageIsNeeded) {
  const LonelyPage page;
  const Association association = random_association({integrity(), Cipher::kNull}, random_);
  const Bytes text = random_bytes(random_, 200);
  for (uint32_t count = 0; count <= text.size(); ++count)
    for (uint8_t* at : {page.begin(), page.end() - count}) {
      std::copy_n(text.begin(), count, at);
      std::array<uint8_t, kIcvBytes> found;
      const HmacMessage message = {&association.keys, at, count, found.data()};
      write_icvs(width(), integrity(), {&message, 1});
      const Bytes expected = icv(integrity(), association.integrity_key, {at, count});
      ASSERT_TRUE(std::equal(found.begin(), found.end(), expected.begin())) << count << " bytes";
    }
}

/// Long ones beside short ones: those that end first must stay as they are.
// Shows: R-7.1-01
TEST_P(HmacLanes, AnyMixtureOfLengths) {
  rc::check([&] {
    const auto lengths = *rc::gen::resize(
        kLaneMessagesMax,
        rc::gen::container<std::vector<uint32_t>>(rc::gen::weightedOneOf<uint32_t>(
            {{8, rc::gen::inRange(0u, 1600u)}, {1, rc::gen::inRange(0u, 65'536u)}})));
    RC_PRE(lengths.size() <= kLaneMessagesMax);
    Messages messages(integrity(), lengths, random_);
    messages.write(width());
    messages.expect_icvs();
  });
}

}  // namespace
}  // namespace gmesp::crypto::test
