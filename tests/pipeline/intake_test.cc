// How a worker takes from its queue: all of it and in order, and under a flood what is protected
// first and in groups.
#include "dataplane/ipsec/intake.h"

#include <gtest/gtest.h>

#include <deque>

#include "screen_lab.h"

namespace gmesp::test {
namespace {

using ipsec::Intake;
using ipsec::Side;
using ipsec::Statistic;

class IntakeTest : public testing::Test {
 protected:
  IntakeTest() {
    LabOptions options;
    add_screen(options);
    lab = std::make_unique<Lab>(options);
    lab->install(ue);
  }
  Bytes text(uint32_t number) { return pattern(100 + number % 50); }
  void add_protected() {
    const uint32_t number = ++sequence;
    queue.push_back(ue.uplink(shm::SaRole::kInUcPs, number, text(number)));
    expected.push_back(ue.clear(shm::SaRole::kInUcPs, text(number)));
  }
  void add_clear(uint32_t count) {
    queue.insert(queue.end(), count, frame_of(clear_sip(ue, sip_request("REGISTER"))));
  }
  /// With so many protected packets in it.
  void add_flood(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      add_clear(20);
      add_protected();
    }
  }
  /// What came out to the host of one poll; the protected ones are noted apart.
  size_t poll(Intake& intake, size_t driver_burst = SIZE_MAX) {
    const auto next = [this](Bytes& frame) {
      if (queue.empty()) return false;
      frame = std::move(queue.front());
      queue.pop_front();
      return true;
    };
    const std::vector<Bytes> frames = to(lab->poll(intake, next, driver_burst), Side::kHost);
    for (const Bytes& frame : frames)
      if (const Bytes packet = packet_in(frame); packet != clear) deciphered.push_back(packet);
    return frames.size();
  }
  void poll_to_the_end(Intake& intake) {
    while (!queue.empty() || intake.waiting() != 0) poll(intake);
  }
  void overload(Intake& intake) {
    add_clear(600);
    poll(intake);
    ASSERT_TRUE(lab->pipeline().is_overloaded());
  }

  const Registration ue = make_registration(1);
  const Bytes clear = packet_in(frame_of(clear_sip(ue, sip_request("REGISTER"))));
  std::unique_ptr<Lab> lab;
  std::deque<Bytes> queue;
  uint32_t sequence = 0;
  std::vector<Bytes> expected, deciphered;
};

TEST_F(IntakeTest, GivesAllInOrderAndABurstAtMost) {
  Intake intake({.burst_packets = 16, .overload_packets = 512});
  for (int i = 0; i < 200; ++i) add_protected();
  for (size_t i = 0; i < 200; i += 16) {
    EXPECT_EQ(poll(intake), std::min<size_t>(16, 200 - i));
    EXPECT_EQ(intake.received(), i == 0 ? 200u : 0u) << "it looks how many there are";
  }
  EXPECT_EQ(poll(intake), 0u);
  EXPECT_EQ(deciphered, expected);
  EXPECT_EQ(lab->drops(), "");
}

TEST_F(IntakeTest, MoreComesWhileSomeWaits) {
  Intake intake({.burst_packets = 8, .overload_packets = 64});
  uint32_t given = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < round % 13; ++i) add_protected();
    given += static_cast<uint32_t>(poll(intake));
  }
  while (intake.waiting() != 0) given += static_cast<uint32_t>(poll(intake));
  EXPECT_EQ(given, sequence);
  EXPECT_EQ(deciphered, expected);
}

// Shows: R-7.1-21
TEST_F(IntakeTest, ProtectedBehindAFloodGoesFirstAndNothingOfItIsLost) {
  Intake intake({.burst_packets = 64, .overload_packets = 512});
  add_flood(100);
  poll(intake);
  EXPECT_TRUE(lab->pipeline().is_overloaded());
  EXPECT_EQ(deciphered.size(), 512u / 21) << "those of the look that found the flood";
  poll_to_the_end(intake);
  EXPECT_EQ(deciphered, expected);
  const uint64_t passed = lab->count(Statistic::kSipMethodAllowed);
  EXPECT_EQ(passed, 2100u / 256);
  EXPECT_EQ(lab->drops(), "clear_overload " + std::to_string(2000 - passed));
}

// Shows: R-7.1-21
TEST_F(IntakeTest, OverloadedItGathersGroupsForTheEngine) {
  Intake intake({.burst_packets = 64, .overload_packets = 512});
  ASSERT_NO_FATAL_FAILURE(overload(intake));
  add_flood(96);
  const uint64_t calls = lab->count(Statistic::kEngineCalls);
  poll_to_the_end(intake);
  EXPECT_EQ(deciphered, expected);
  EXPECT_LE(lab->count(Statistic::kEngineCalls) - calls, 96 * 21 / (21 * 22) + 1u);
}

// Shows: R-7.1-21
TEST_F(IntakeTest, OverloadedItEmptiesTheQueueBeforeItWorks) {
  Intake intake({.burst_packets = 64, .overload_packets = 512});
  ASSERT_NO_FATAL_FAILURE(overload(intake));
  add_flood(80);
  poll(intake);
  EXPECT_TRUE(queue.empty());
  EXPECT_GE(intake.waiting(), 80 - Intake::kGroupPackets);
  poll_to_the_end(intake);
  EXPECT_EQ(deciphered, expected);
}

/// Small groups are for floods, and cost the engine a sixth of its speed.
TEST_F(IntakeTest, OverloadedByProtectedPacketsAloneItGivesWholeBursts) {
  Intake intake({.burst_packets = 64, .overload_packets = 512});
  for (int i = 0; i < 1000; ++i) add_protected();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(poll(intake), 64u);
  EXPECT_TRUE(lab->pipeline().is_overloaded());
  poll_to_the_end(intake);
  add_flood(40);
  EXPECT_LE(poll(intake), Intake::kGroupPackets) << "a flood was found";
  EXPECT_GE(intake.waiting(), 40 - Intake::kGroupPackets);
  poll_to_the_end(intake);
  EXPECT_EQ(deciphered, expected);
}

TEST_F(IntakeTest, OverloadEndsWhenTheQueueStaysShortForAWhile) {
  Intake intake({.burst_packets = 64, .overload_packets = 128});
  add_clear(200);
  poll(intake);
  poll_to_the_end(intake);
  lab->now_ms += Intake::kEndMs - 1;
  poll(intake);
  EXPECT_TRUE(lab->pipeline().is_overloaded()) << "shedding empties the queue";
  ++lab->now_ms;
  poll(intake);
  EXPECT_FALSE(lab->pipeline().is_overloaded());
  add_clear(20);
  EXPECT_EQ(poll(intake), 20u);
}

TEST_F(IntakeTest, ALookUnderOverloadHasAnEnd) {
  Intake intake({.burst_packets = 64, .overload_packets = 64});
  add_clear(10'000);
  poll(intake);
  poll(intake);
  EXPECT_EQ(intake.received(), Intake::kLookPackets);
}

TEST_F(IntakeTest, TheSmallestSettingsHaveRoomForAGroup) {
  Intake intake({.burst_packets = 1, .overload_packets = 1});
  for (int i = 0; i < 100; ++i) add_protected();
  poll_to_the_end(intake);
  EXPECT_EQ(deciphered, expected);
}

TEST_F(IntakeTest, DriverWithSmallBurstsShowsItsOverloadToo) {
  Intake intake({.burst_packets = 64, .overload_packets = 512});
  add_clear(600);
  poll(intake, 32);
  EXPECT_TRUE(lab->pipeline().is_overloaded());
}

TEST_F(IntakeTest, ZeroShedsNothing) {
  Intake intake({.burst_packets = 64, .overload_packets = 0});
  add_clear(1000);
  size_t passed = 0;
  while (!queue.empty() || intake.waiting() != 0) passed += poll(intake);
  EXPECT_EQ(passed, 1000u);
  EXPECT_EQ(lab->drops(), "");
}

TEST_F(IntakeTest, DrainGivesWhatWaits) {
  Intake intake({.burst_packets = 16, .overload_packets = 512});
  add_clear(40);
  poll(intake);
  std::span<ipsec::Packet> rest = intake.drain();
  EXPECT_EQ(rest.size(), 24u);
  for (const ipsec::Packet& packet : rest) lab->release(packet.owner);
  EXPECT_EQ(intake.waiting(), 0u);
  EXPECT_EQ(poll(intake), 0u);
}

}  // namespace
}  // namespace gmesp::test
