// Who waits for company and for how long, against calls of any size that bring any number of them.
#include "dataplane/ipsec/waiting_room.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <deque>

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kCompany = 16;
constexpr uint32_t kPacketsMax = 128;
constexpr uint32_t kBusy = WaitingRoom::kBusyPackets;

/// A room, and a pipeline around it that only looks at the order of packets. They are numbered.
class World {
 public:
  explicit World(uint32_t company = kCompany) : room(company, kPacketsMax) {}

  /// A call with `wanted` packets of the kind among `packets`. How many of the kind went on.
  uint32_t call(uint32_t packets, uint32_t wanted) {
    room.begin_call(packets);
    uint32_t went = 0;
    for (uint32_t i = 0; i < wanted; ++i) {
      Packet packet{};
      packet.length = next_++;
      if (!room.wants_next()) {
        went += goes(packet.length);
        continue;
      }
      room.add({&packet, 0, kNoSa, {}, Side::kAccess, false, 0, 0});
      waits_.push_back(call_);
    }
    while (const uint32_t due = room.due()) {
      for (uint32_t at = 0; at < due; ++at) {
        const Pending pending = room.waiting(at);
        EXPECT_TRUE(pending.has_waited);
        went += goes(pending.packet->length);
        longest_ = std::max(longest_, call_ - waits_.front());
        waits_.pop_front();
      }
      room.leave(due);
      EXPECT_EQ(room.count(), waits_.size());
    }
    ++call_;
    return went;
  }
  /// Calls that the last of them went through, beyond its own.
  uint32_t longest() const { return longest_; }
  bool is_in_order() const { return is_in_order_; }

  WaitingRoom room;

 private:
  uint32_t goes(uint32_t number) {
    is_in_order_ = is_in_order_ && number == gone_++;
    return 1;
  }

  std::deque<uint32_t> waits_;  ///< calls of their arrival
  uint32_t call_ = 0, longest_ = 0, next_ = 0, gone_ = 0;
  bool is_in_order_ = true;
};

TEST(WaitingRoom, WhoIsNotBusyLetsNobodyWait) {
  World world;
  EXPECT_EQ(world.call(kBusy - 1, 3), 3u);
  EXPECT_EQ(world.call(1, 1), 1u);
}

TEST(WaitingRoom, NobodyWaitsWhereCompanyIsWorthNothing) {
  World world(1);
  for (const uint32_t packets : {kBusy, kPacketsMax}) EXPECT_EQ(world.call(packets, 3), 3u);
}

TEST(WaitingRoom, CompanyGoesTogetherAndTheRestWaitsOn) {
  World world;
  EXPECT_EQ(world.call(kPacketsMax, 6), 0u);
  EXPECT_EQ(world.call(kPacketsMax, 6), 0u);
  EXPECT_EQ(world.call(kPacketsMax, 6), kCompany);
  EXPECT_EQ(world.room.count(), 2u);
  EXPECT_EQ(world.call(kPacketsMax, 40), 32u);
  EXPECT_EQ(world.room.count(), 10u);
}

TEST(WaitingRoom, AQuietCallLetsAllGo) {
  World world;
  EXPECT_EQ(world.call(kPacketsMax, 5), 0u);
  EXPECT_EQ(world.call(0, 0), 5u);
  EXPECT_EQ(world.call(kPacketsMax, 5), 0u);
  EXPECT_EQ(world.call(kBusy - 1, 2), 7u);
}

TEST(WaitingRoom, NobodyWaitsForEver) {
  World world;
  EXPECT_EQ(world.call(kPacketsMax, 2), 0u);
  for (uint32_t i = 1; i < WaitingRoom::kCallsMax; ++i) EXPECT_EQ(world.call(kPacketsMax, 0), 0u);
  EXPECT_EQ(world.call(kPacketsMax, 0), 2u);
}

TEST(WaitingRoom, WhereMostAreOfTheKindTheyGoAtOnce) {
  World world;
  EXPECT_EQ(world.call(kPacketsMax, kPacketsMax), kPacketsMax) << "whole companies";
  EXPECT_EQ(world.call(kPacketsMax, 20), 20u) << "none of them went through the room";
  EXPECT_EQ(world.call(kPacketsMax, 5), 5u);
  EXPECT_EQ(world.call(kPacketsMax, 5), 0u) << "there are few again";
}

RC_GTEST_PROP(WaitingRoom, KeepsTheOrderAndItsPromiseWhateverComes, ()) {
  World world;
  const auto calls = *rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange(0u, 1u << 16));
  for (const uint32_t call : calls) {
    const uint32_t packets = call % (kPacketsMax + 1);
    // Mostly few of the kind, at times all.
    const uint32_t share = call >> 8;
    const uint32_t wanted = share < 16 ? packets : std::min(packets, share % 8);
    world.call(packets, wanted);
    RC_ASSERT(world.room.count() < kCompany);
    RC_ASSERT(world.is_in_order());
  }
  world.call(0, 0);
  RC_ASSERT(world.room.count() == 0u);
  RC_ASSERT(world.longest() <= WaitingRoom::kCallsMax);
}

}  // namespace
}  // namespace gmesp::ipsec
