// The ring alone, in ordinary memory: order, wrap of the indices, a lying peer, two threads.
#include "control/shm/ring.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace gmesp::shm {
namespace {

struct Slot {
  uint64_t number;
  uint64_t copies[3];
};

constexpr uint32_t kSlots = 8;

struct Ring {
  explicit Ring(uint32_t start = 0)
      : producer(&indices, slots.data(), kSlots, start),
        consumer(&indices, slots.data(), kSlots, start) {
    indices.head = start;
    indices.tail = start;
  }
  RingIndices indices{};
  std::array<Slot, kSlots> slots{};
  RingProducer<Slot> producer;
  RingConsumer<Slot> consumer;
};

// Shows: R-C-02
TEST(Ring, KeepsOrderAndKnowsFullAndEmpty) {
  Ring ring;
  Slot slot{};
  EXPECT_EQ(ring.consumer.pop(slot), RingResult::kBusy);
  for (uint64_t i = 0; i < kSlots; ++i)
    EXPECT_EQ(ring.producer.push({i, {i, i, i}}), RingResult::kDone);
  EXPECT_EQ(ring.producer.push({99, {}}), RingResult::kBusy);
  for (uint64_t i = 0; i < kSlots; ++i) {
    EXPECT_EQ(ring.consumer.pop(slot), RingResult::kDone);
    EXPECT_EQ(slot.number, i);
  }
  EXPECT_EQ(ring.consumer.pop(slot), RingResult::kBusy);
}

// Shows: R-C-02
TEST(Ring, IndicesRunThroughTwoToTheThirtyTwo) {
  Ring ring(UINT32_MAX - 2);
  Slot slot{};
  for (uint64_t round = 0; round < 5 * kSlots; ++round) {
    ASSERT_EQ(ring.producer.push({round, {}}), RingResult::kDone);
    ASSERT_EQ(ring.producer.push({round + 1000, {}}), RingResult::kDone);
    ASSERT_EQ(ring.consumer.pop(slot), RingResult::kDone);
    ASSERT_EQ(slot.number, round);
    ASSERT_EQ(ring.consumer.pop(slot), RingResult::kDone);
    ASSERT_EQ(slot.number, round + 1000);
  }
}

// Shows: R-C-02
TEST(Ring, AnIndexThatClaimsTooMuchIsCorrupt) {
  Slot slot{};
  for (const uint32_t lie : {kSlots + 1, 1u << 31, UINT32_MAX}) {
    Ring ring;
    ring.indices.tail = lie;
    EXPECT_EQ(ring.consumer.pop(slot), RingResult::kCorrupt) << lie;
  }
  for (const uint32_t lie : {kSlots + 1, 1u << 31, 1u}) {
    Ring ring;
    for (uint64_t i = 0; i < kSlots; ++i) (void)ring.producer.push({i, {}});
    ring.indices.head = kSlots + lie;  // ahead of what was filled
    EXPECT_EQ(ring.producer.push({0, {}}), RingResult::kCorrupt) << lie;
  }
}

// Shows: R-D-K2
TEST(Ring, PopAndWipeLeavesNothing) {
  Ring ring;
  Slot slot{};
  (void)ring.producer.push({7, {8, 9, 10}});
  EXPECT_EQ(ring.consumer.pop_and_wipe(slot), RingResult::kDone);
  EXPECT_EQ(slot.copies[2], 10u);
  EXPECT_EQ(ring.slots[0].number | ring.slots[0].copies[0] | ring.slots[0].copies[2], 0u);
}

// Shows: R-C-02
TEST(Ring, BellIsAskedForOnce) {
  Ring ring;
  EXPECT_FALSE(ring.producer.peer_sleeps());
  ring.consumer.arm();
  EXPECT_TRUE(ring.producer.peer_sleeps());
  EXPECT_FALSE(ring.producer.peer_sleeps());
  ring.producer.arm();
  EXPECT_TRUE(ring.consumer.peer_waits());
  EXPECT_FALSE(ring.consumer.peer_waits());
}

// Shows: R-C-02
TEST(Ring, TwoThreadsSeeWholeSlotsInOrder) {
  constexpr uint64_t kCount = 200'000;
  Ring ring;
  std::thread producer([&ring] {
    for (uint64_t i = 0; i < kCount;) {
      if (ring.producer.push({i, {i, ~i, i * 3}}) == RingResult::kDone)
        ++i;
      else
        std::this_thread::yield();
    }
  });
  Slot slot{};
  uint64_t torn = 0;
  for (uint64_t i = 0; i < kCount;) {
    if (ring.consumer.pop_and_wipe(slot) != RingResult::kDone) {
      std::this_thread::yield();
      continue;
    }
    torn +=
        slot.number != i || slot.copies[0] != i || slot.copies[1] != ~i || slot.copies[2] != i * 3;
    ++i;
  }
  producer.join();
  EXPECT_EQ(torn, 0u);
}

}  // namespace
}  // namespace gmesp::shm
