// The reassembler's table: which fragments meet, who may hold how many slots, and when they end.
#include <gtest/gtest.h>

#include "dataplane/ipsec/block_map.h"
#include "dataplane/ipsec/keyed_hash.h"
#include "dataplane/ipsec/reassembler.h"
#include "frame.h"

namespace gmesp::ipsec {
namespace {

using Outcome = Reassembler::Outcome;

Reassembler::Result add(Reassembler& reassembler, const Bytes& bytes, uint64_t now_ms,
                        uint32_t context = 0) {
  Frame frame(bytes);
  EXPECT_EQ(parse(frame.packet), DropReason::kNone);
  return reassembler.add(frame.packet, context, now_ms);
}

void take(Reassembler& reassembler, uint32_t slot) {
  Frame whole = Frame::empty(2000);
  uint32_t fragments = 0;
  EXPECT_TRUE(reassembler.take(slot, whole.packet, 0, fragments));
}

// Shows: R-D-U1, R-2406-12
TEST(ReassemblerTable, OnlyFragmentsOfOneDatagramMeet) {
  struct Row {
    const char* what;
    bool is_ipv4;
    void (*change)(DatagramShape& shape, uint32_t& identification, uint32_t& context);
    bool meets;
  };
  const Row rows[] = {
      {"nothing", true, [](auto&, auto&, auto&) {}, true},
      {"nothing", false, [](auto&, auto&, auto&) {}, true},
      {"identification", true, [](auto&, auto& id, auto&) { id = 2; }, false},
      {"high half of identification", false, [](auto&, auto& id, auto&) { id |= 1u << 31; }, false},
      {"source", true, [](auto& shape, auto&, auto&) { shape.source_host = 9; }, false},
      {"source", false, [](auto& shape, auto&, auto&) { shape.source_host = 9; }, false},
      {"protocol", true, [](auto& shape, auto&, auto&) { shape.protocol = 254; }, false},
      {"protocol, not part of IPv6's key", false,
       [](auto& shape, auto&, auto&) { shape.protocol = 254; }, true},
      {"context", true, [](auto&, auto&, auto& context) { context = 7; }, false},
      {"a VLAN tag less", true, [](auto& shape, auto&, auto&) { shape.vlan_tags = 1; }, false},
      {"type of service", true, [](auto& shape, auto&, auto&) { shape.type_of_service = 0x20; },
       true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Reassembler reassembler({.datagrams_max = 4});
    DatagramShape shape;
    shape.is_ipv4 = row.is_ipv4;
    shape.vlan_tags = 2;
    uint32_t identification = 1, context = 0;
    add(reassembler, make_fragment(shape, identification, 0, true, pattern(8)), 1, context);
    row.change(shape, identification, context);
    const auto result =
        add(reassembler, make_fragment(shape, identification, 8, false, pattern(8)), 1, context);
    EXPECT_EQ(result.outcome, row.meets ? Outcome::kComplete : Outcome::kStored);
  }
}

// Shows: R-2406-12
TEST(ReassemblerTable, OneSourceHasItsShare) {
  for (const bool is_ipv4 : {true, false}) {
    Reassembler reassembler({.datagrams_max = 8, .per_source_max = 3});
    DatagramShape shape;
    shape.is_ipv4 = is_ipv4;
    for (uint32_t id = 0; id < 3; ++id)
      EXPECT_EQ(add(reassembler, make_fragment(shape, id, 0, true, pattern(8)), 1).outcome,
                Outcome::kStored);
    const auto refused = add(reassembler, make_fragment(shape, 3, 0, true, pattern(8)), 1);
    EXPECT_EQ(refused.outcome, Outcome::kDropped);
    EXPECT_EQ(refused.reason, DropReason::kFragmentBudget);
    EXPECT_EQ(refused.fragments_dropped, 1u);
    // Those under way go on, others have their own share, and a finished one makes room.
    const auto joined = add(reassembler, make_fragment(shape, 0, 8, false, pattern(8)), 1);
    ASSERT_EQ(joined.outcome, Outcome::kComplete);
    take(reassembler, joined.slot);
    shape.source_host = 2;
    EXPECT_EQ(add(reassembler, make_fragment(shape, 3, 0, true, pattern(8)), 1).outcome,
              Outcome::kStored);
    shape.source_host = 1;
    EXPECT_EQ(add(reassembler, make_fragment(shape, 3, 0, true, pattern(8)), 1).outcome,
              Outcome::kStored);
  }
}

// Shows: R-2406-12
TEST(ReassemblerTable, AnIpv6PrefixIsOneSource) {
  Reassembler reassembler({.datagrams_max = 8, .per_source_max = 3});
  DatagramShape shape;
  shape.is_ipv4 = false;
  for (uint8_t host = 0; host < 4; ++host) {
    Bytes bytes = make_fragment(shape, host, 0, true, pattern(8));
    bytes[14 + 8 + 15] = host;  // last byte of the source address
    EXPECT_EQ(add(reassembler, bytes, 1).reason,
              host < 3 ? DropReason::kNone : DropReason::kFragmentBudget);
  }
}

// Shows: R-2406-12
TEST(ReassemblerTable, FullTableRefusesNewcomersOnly) {
  Reassembler reassembler({.datagrams_max = 8});
  DatagramShape shape;
  for (uint8_t host = 0; host < 8; ++host) {
    shape.source_host = host;
    add(reassembler, make_fragment(shape, 1, 0, true, pattern(8)), 1);
  }
  shape.source_host = 100;
  const auto refused = add(reassembler, make_fragment(shape, 1, 0, true, pattern(8)), 1);
  EXPECT_EQ(refused.outcome, Outcome::kDropped);
  EXPECT_EQ(refused.reason, DropReason::kFragmentTableFull);
  EXPECT_EQ(refused.fragments_dropped, 1u);
  for (uint8_t host = 0; host < 8; ++host) {
    shape.source_host = host;
    const auto joined = add(reassembler, make_fragment(shape, 1, 8, false, pattern(8)), 1);
    ASSERT_EQ(joined.outcome, Outcome::kComplete) << int{host};
    take(reassembler, joined.slot);
  }
}

// Shows: R-2406-12
TEST(ReassemblerTable, OverdueDatagramsGoOldestFirst) {
  Reassembler reassembler({.datagrams_max = 8, .timeout_ms = 3000});
  DatagramShape shape;
  for (uint32_t id = 0; id < 5; ++id) {
    add(reassembler, make_fragment(shape, id, 0, true, pattern(8)), 1000 + id);
    add(reassembler, make_fragment(shape, id, 16, true, pattern(8)), 1000 + id);
  }
  // From the middle of the list, from its front and from its end.
  for (const uint32_t id : {2, 0, 4}) {
    add(reassembler, make_fragment(shape, id, 8, true, pattern(8)), 1010);
    const auto joined = add(reassembler, make_fragment(shape, id, 24, false, pattern(8)), 1010);
    ASSERT_EQ(joined.outcome, Outcome::kComplete);
    take(reassembler, joined.slot);
  }
  EXPECT_EQ(reassembler.waiting(), 2u);
  EXPECT_EQ(reassembler.expire(4000, 8), 0u);
  EXPECT_EQ(reassembler.expire(4001, 8), 2u);
  EXPECT_EQ(reassembler.waiting(), 1u);
  EXPECT_EQ(reassembler.expire(5000, 0), 0u);
  EXPECT_EQ(reassembler.expire(5000, 1), 2u);
  EXPECT_EQ(reassembler.waiting(), 0u);
  EXPECT_EQ(reassembler.expire(9000, 8), 0u);
  // The late rest of a forgotten datagram starts a new one and completes nothing.
  EXPECT_EQ(add(reassembler, make_fragment(shape, 1, 24, false, pattern(8)), 9000).outcome,
            Outcome::kStored);
}

// Shows: R-2406-12
TEST(ReassemblerTable, SlotsComeBackForEver) {
  Reassembler reassembler({.datagrams_max = 3, .per_source_max = 2});
  for (uint32_t round = 0; round < 2000; ++round) {
    DatagramShape shape;
    shape.source_host = static_cast<uint8_t>(round % 7);
    const uint64_t now_ms = round * 1000;
    reassembler.expire(now_ms, 2);
    add(reassembler, make_fragment(shape, round, 0, true, pattern(8)), now_ms);
    if (round % 3 == 0) add(reassembler, make_fragment(shape, round, 0, true, pattern(16)), now_ms);
    if (round % 3 != 1) continue;
    const auto joined = add(reassembler, make_fragment(shape, round, 8, false, pattern(8)), now_ms);
    ASSERT_EQ(joined.outcome, Outcome::kComplete) << round;
    take(reassembler, joined.slot);
  }
  EXPECT_LE(reassembler.waiting(), 3u);
  reassembler.expire(UINT64_MAX, 3);
  EXPECT_EQ(reassembler.waiting(), 0u);
}

// Shows: R-2406-12
TEST(KeyedHash, IsSipHash) {
  // Aumasson and Bernstein, "SipHash: a fast short-input PRF", vectors_sip64 of the reference code.
  const KeyedHash hash({0x0706050403020100, 0x0f0e0d0c0b0a0908});
  EXPECT_EQ(hash(std::array<uint64_t, 0>{}), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(hash(std::array<uint64_t, 1>{0x0706050403020100}), 0x93f5f5799a932462u);
  EXPECT_EQ(hash(std::array<uint64_t, 2>{0x0706050403020100, 0x0f0e0d0c0b0a0908}),
            0x3f2acc7f57c29bdbu);
}

// Shows: R-2406-12
TEST(BlockMap, RangesEqualBitsOneByOne) {
  for (uint32_t from = 0; from < 192; from += 5) {
    for (uint32_t to = from + 1; to <= 192; to += 3) {
      uint64_t words[3] = {};
      BlockMap map{words};
      EXPECT_FALSE(map.any(0, 192));
      map.set_all(from, to);
      for (uint32_t block = 0; block < 192; ++block)
        ASSERT_EQ(map.get(block), block >= from && block < to);
      ASSERT_TRUE(map.all(from, to) && map.any(from, to));
      ASSERT_TRUE(from == 0 || (!map.any(0, from) && !map.all(from - 1, to)));
      ASSERT_TRUE(to == 192 || (!map.any(to, 192) && !map.all(from, to + 1)));
    }
  }
}

}  // namespace
}  // namespace gmesp::ipsec
