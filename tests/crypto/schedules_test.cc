// Key schedules made in the packet path against those of IPsec-MB and of the standard, and that
// nothing of them stays.
#include <gtest/gtest.h>
#include <intel-ipsec-mb.h>

#include <algorithm>
#include <memory>

#include "crypto/aes_schedule.h"
#include "crypto/cbc_lanes.h"
#include "crypto/des_schedule.h"
#include "crypto/ipsec_mb_manager.h"
#include "crypto/job_chain.h"
#include "crypto/job_stages.h"
#include "crypto/lane_order.h"
#include "reference.h"

namespace gmesp::crypto::test {
namespace {

constexpr uint32_t kAesKeyBytes = 16;

class Schedules : public testing::Test {
 protected:
  AesSchedule aes_encryption(const Bytes& key) { return both(key)[0]; }
  AesSchedule aes_decryption(const Bytes& key) { return both(key)[1]; }
  DesSchedule des(const Bytes& key) {
    DesSchedule schedule;
    IMB_DES_KEYSCHED(manager_.get(), schedule.data(), key.data());
    return schedule;
  }
  static std::span<const uint8_t> bytes_of(const DesSchedule& schedule) {
    return {reinterpret_cast<const uint8_t*>(schedule.data()), sizeof schedule};
  }

  const Manager manager_ = make_manager(VectorArch::kAuto);
  const Manager old_manager_ = make_manager(VectorArch::kSse);
  Random random_{11};

 private:
  std::array<AesSchedule, 2> both(const Bytes& key) {
    std::array<AesSchedule, 2> schedules;
    make_schedules(manager_.get(), key.data(), schedules[0], schedules[1]);
    return schedules;
  }
};

/// FIPS 197 A.1: the last round key of encryption is the first of decryption.
// Shows: R-7.1-01
TEST_F(Schedules, OfTheKeyOfFips197) {
  if (!has_cbc_lanes()) GTEST_SKIP() << "no AVX-512 with AES on this CPU";
  const Bytes key = from_hex("2b7e151628aed2a6abf7158809cf4f3c");
  const uint8_t* keys[] = {key.data()};
  AesSchedule schedule;
  make_decryption_schedules(keys, &schedule);
  const std::span<const uint8_t> round_keys = schedule.round_keys;
  EXPECT_EQ(to_hex(round_keys.first(kAesKeyBytes)), "d014f9a8c9ee2589e13f0cc8b6630ca6");
  EXPECT_EQ(to_hex(round_keys.last(kAesKeyBytes)), to_hex(key));
}

// Shows: R-7.1-01
TEST_F(Schedules, OfEveryNumberOfAesKeysAreThoseOfTheLibrary) {
  if (!has_cbc_lanes()) GTEST_SKIP() << "no AVX-512 with AES on this CPU";
  for (uint32_t count = 0; count <= kLaneMessagesMax; ++count) {
    std::vector<Bytes> keys;
    std::vector<const uint8_t*> places;
    for (uint32_t i = 0; i < count; ++i) keys.push_back(random_bytes(random_, kAesKeyBytes));
    for (const Bytes& key : keys) places.push_back(key.data());
    std::vector<AesSchedule> schedules(count + 1);
    schedules[count].round_keys.fill(0xa5);
    make_decryption_schedules(places, schedules.data());
    for (uint32_t i = 0; i < count; ++i)
      ASSERT_TRUE(schedules[i].round_keys == aes_decryption(keys[i]).round_keys)
          << "key " << i << " of " << count;
    EXPECT_TRUE(std::ranges::all_of(schedules[count].round_keys,
                                    [](uint8_t byte) { return byte == 0xa5; }));
  }
}

/// Each bit alone, none, all, and many at random. Parity bits have no part in it.
// Shows: R-7.1-01, R-I-02
TEST_F(Schedules, OfDesAreThoseOfTheLibrary) {
  std::vector<Bytes> keys = {Bytes(kDesKeyBytes, 0), Bytes(kDesKeyBytes, 0xff)};
  for (uint32_t bit = 0; bit < kDesKeyBytes * 8; ++bit) {
    keys.emplace_back(kDesKeyBytes);
    keys.back()[bit / 8] = static_cast<uint8_t>(1 << bit % 8);
  }
  for (int i = 0; i < 2000; ++i) keys.push_back(random_bytes(random_, kDesKeyBytes));
  for (Bytes& key : keys) {
    DesSchedule schedule, by_library;
    make_schedule(manager_.get(), key.data(), schedule);
    make_schedule(old_manager_.get(), key.data(), by_library);
    ASSERT_TRUE(schedule == des(key) && schedule == by_library) << to_hex(key);
    for (uint8_t& byte : key) byte ^= 1;
    ASSERT_TRUE(schedule == des(key)) << to_hex(key);
  }
}

/// An engine's own memory, to be looked through when its call is over.
template <class Runner>
class Room {
 public:
  explicit Room(IMB_MGR* manager) : runner_(new (bytes_.get()) Runner(manager)) {}
  ~Room() { std::destroy_at(runner_); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  Runner& runner() { return *runner_; }
  bool has(std::span<const uint8_t> wanted) const {
    const uint8_t* end = bytes_.get() + sizeof(Runner);
    return std::search<const uint8_t*>(bytes_.get(), end, wanted.begin(), wanted.end()) != end;
  }

 private:
  std::unique_ptr<uint8_t[], decltype(&std::free)> bytes_{
      static_cast<uint8_t*>(std::aligned_alloc(64, (sizeof(Runner) + 63) / 64 * 64)), std::free};
  Runner* runner_;
};

/// Any of the round keys gives the key itself.
// Shows: R-D-K2
TEST_F(Schedules, NothingIsLeftInTheEnginesMemory) {
  for (const Suite suite : {Suite{Integrity::kHmacSha1_96, Cipher::kAesCbc128},
                            Suite{Integrity::kHmacMd5_96, Cipher::kAesCbc128},
                            Suite{Integrity::kHmacSha1_96, Cipher::kDesEde3Cbc}})
    for (const Direction direction : {Direction::kInbound, Direction::kOutbound})
      for (const VectorArch arch : {VectorArch::kSse, VectorArch::kAuto}) {
        SCOPED_TRACE(std::string(name(suite)) + " " + std::string(name(arch)));
        const Manager manager = make_manager(arch);
        Room<JobStages> stages(manager.get());
        Room<JobChain> chain(manager.get());
        const Association association = random_association(suite, random_);
        const Bytes clear = random_packet(suite, 64, random_);
        std::vector<Packet> packets(20, Packet(association, clear, direction));
        std::vector<CryptoJob> jobs;
        std::vector<CryptoJob*> places;
        for (Packet& packet : packets) jobs.push_back(packet.job());
        for (CryptoJob& job : jobs) places.push_back(&job);
        if (stages.runner().takes(suite))
          stages.runner().process(places);
        else
          chain.runner().process(places);
        for (const Packet& packet : packets) ASSERT_TRUE(packet.is_as_expected());
        const auto expect_none = [&](std::span<const uint8_t> round_key) {
          EXPECT_FALSE(stages.has(round_key) || chain.has(round_key));
        };
        const Bytes& key = association.cipher_key;
        if (suite.cipher == Cipher::kAesCbc128)
          for (const AesSchedule& schedule : {aes_encryption(key), aes_decryption(key)})
            for (size_t at = 0; at < schedule.round_keys.size(); at += kAesKeyBytes)
              expect_none(std::span(schedule.round_keys).subspan(at, kAesKeyBytes));
        else
          for (size_t at = 0; at < key.size(); at += kDesKeyBytes)
            expect_none(bytes_of(des({key.begin() + static_cast<ptrdiff_t>(at),
                                      key.begin() + static_cast<ptrdiff_t>(at + kDesKeyBytes)})));
      }
}

}  // namespace
}  // namespace gmesp::crypto::test
