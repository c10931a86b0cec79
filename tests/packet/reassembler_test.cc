// Joining, row by row: what is delivered, and under which reason everything else goes.
#include "dataplane/ipsec/reassembler.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "frame.h"

namespace gmesp::ipsec {
namespace {

using Outcome = Reassembler::Outcome;

class ReassemblerTest : public testing::TestWithParam<bool> {
 protected:
  ReassemblerTest() { shape_.is_ipv4 = GetParam(); }

  Reassembler::Result add(const Bytes& bytes, uint32_t context = 0) {
    Frame frame(bytes);
    EXPECT_EQ(parse(frame.packet), DropReason::kNone);
    EXPECT_TRUE(frame.packet.layers.is_fragment);
    return reassembler_.add(frame.packet, context, now_ms_);
  }
  /// A fragment of datagram 1 with the bytes that belong there.
  Bytes piece(uint32_t offset, uint32_t count, bool more) const {
    const Bytes all = pattern(offset + count);
    return make_fragment(shape_, 1, offset, more, Bytes(all.begin() + offset, all.end()));
  }
  Reassembler::Result add_piece(uint32_t offset, uint32_t count, bool more) {
    return add(piece(offset, count, more));
  }
  void expect_stored(const Reassembler::Result& result) {
    EXPECT_EQ(result.outcome, Outcome::kStored);
  }
  void expect_dropped(const Reassembler::Result& result, DropReason reason, uint32_t fragments) {
    EXPECT_EQ(result.outcome, Outcome::kDropped);
    EXPECT_EQ(info(result.reason).name, info(reason).name);
    EXPECT_EQ(result.fragments_dropped, fragments);
  }
  /// Takes what is complete and compares it with the datagram of `shape` and `payload_bytes`.
  void expect_joined(const Reassembler::Result& result, uint32_t payload_bytes, uint32_t pieces) {
    ASSERT_EQ(result.outcome, Outcome::kComplete);
    const Bytes wanted = make_datagram(shape_, pattern(payload_bytes));
    Frame whole = Frame::empty(static_cast<uint32_t>(wanted.size()) + 10);
    uint32_t fragments = 0;
    ASSERT_TRUE(reassembler_.take(result.slot, whole.packet, 10, fragments));
    EXPECT_EQ(fragments, pieces);
    EXPECT_EQ(whole.packet.headroom(), 10u);
    EXPECT_EQ(whole.bytes(), wanted);
    EXPECT_EQ(parse(whole.packet), DropReason::kNone);
  }

  DatagramShape shape_;
  uint64_t now_ms_ = 1'000'000;
  Reassembler reassembler_{
      {.datagrams_max = 8, .datagram_bytes_max = 4000, .per_source_max = 4, .timeout_ms = 3000}};
};

INSTANTIATE_TEST_SUITE_P(BothFamilies, ReassemblerTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Ipv4" : "Ipv6"; });

// Shows: R-D-U1, R-2406-11, R-2406-12
TEST_P(ReassemblerTest, JoinsInAnyOrder) {
  expect_stored(add_piece(16, 8, true));
  expect_stored(add_piece(24, 5, false));
  expect_stored(add_piece(8, 8, true));
  EXPECT_EQ(reassembler_.waiting(), 1u);
  expect_joined(add_piece(0, 8, true), 29, 4);
  EXPECT_EQ(reassembler_.waiting(), 0u);
}

// Shows: R-D-U1, R-2406-14
TEST_P(ReassemblerTest, KeepsTagsOptionsAndExtensionHeaders) {
  shape_.vlan_tags = 2;
  shape_.ipv4_options = {148, 4, 0, 0};
  shape_.has_hop_by_hop = shape_.has_routing = true;
  expect_stored(add_piece(1000, 100, false));
  expect_joined(add_piece(0, 1000, true), 1100, 2);
}

// Shows: R-2406-12
TEST_P(ReassemblerTest, ClearsDontFragment) {
  DatagramShape shape = shape_;
  shape.ipv4_fragment = 0x4000;
  expect_stored(add(make_fragment(shape, 1, 0, true, pattern(8))));
  expect_joined(add_piece(8, 8, false), 16, 2);
}

// Shows: R-2406-12
TEST_P(ReassemblerTest, RepetitionGoesAlone) {
  expect_stored(add_piece(0, 16, true));
  expect_stored(add_piece(32, 8, true));
  expect_stored(add_piece(40, 3, false));
  expect_dropped(add_piece(0, 16, true), DropReason::kFragmentOverlap, 1);
  expect_dropped(add_piece(32, 8, true), DropReason::kFragmentOverlap, 1);
  expect_dropped(add_piece(40, 3, false), DropReason::kFragmentOverlap, 1);
  expect_joined(add_piece(16, 16, true), 43, 4);
}

// Shows: R-D-U1, R-2406-12
TEST_P(ReassemblerTest, OverlapTakesTheDatagramAlong) {
  struct Row {
    const char* what;
    uint32_t offset, count;
    bool more;
    bool altered;
  };
  // There already: [16, 48), [48, 64) and the last [80, 85).
  const Row rows[] = {
      {"same place, other bytes", 16, 32, true, true},
      {"one byte of the last is other", 80, 5, false, true},
      {"from before into the first", 8, 16, true, false},
      {"into the gap", 56, 24, true, false},
      {"inside", 24, 8, true, false},
      {"front part", 16, 8, true, false},
      {"back part", 40, 8, true, false},
      {"two at once", 16, 48, true, false},
      {"around everything", 0, 80, true, false},
      {"the last, made longer at its front", 72, 13, false, false},
      {"a last where another is", 48, 16, false, false},
      {"the last shorter", 80, 4, false, false},
      {"the last longer", 80, 6, false, false},
      {"a last behind the last", 88, 5, false, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    expect_stored(add_piece(16, 32, true));
    expect_stored(add_piece(48, 16, true));
    expect_stored(add_piece(80, 5, false));
    Bytes bytes = piece(row.offset, row.count, row.more);
    if (row.altered) bytes.back() ^= 1;
    expect_dropped(add(bytes), DropReason::kFragmentOverlap, 4);
    // RFC 5722: what is left cannot become a datagram.
    expect_dropped(add_piece(0, 16, true), DropReason::kFragmentOverlap, 1);
    expect_dropped(add_piece(64, 16, true), DropReason::kFragmentOverlap, 1);
    EXPECT_EQ(reassembler_.waiting(), 1u);
    now_ms_ += 3000;
    EXPECT_EQ(reassembler_.expire(now_ms_, 8), 0u);  // all were counted
    EXPECT_EQ(reassembler_.waiting(), 0u);
  }
}

// Shows: R-2406-12
TEST_P(ReassemblerTest, MalformedFragmentGoesAlone) {
  expect_stored(add_piece(0, 16, true));
  expect_dropped(add_piece(16, 12, true), DropReason::kFragmentBad, 1);  // not a multiple of 8
  expect_dropped(add_piece(16, 0, true), DropReason::kFragmentBad, 1);
  expect_dropped(add_piece(16, 0, false), DropReason::kFragmentBad, 1);
  // Beyond 65,535 bytes, which only headers can do that the offset does not count.
  expect_dropped(add_piece(65528, 8, false), DropReason::kFragmentBad, 1);
  expect_joined(add_piece(16, 12, false), 28, 2);
}

// Shows: R-2406-12
TEST_P(ReassemblerTest, DatagramMayNotBeLongerThanItsLastFragmentSays) {
  expect_stored(add_piece(16, 16, false));
  expect_dropped(add_piece(32, 8, true), DropReason::kFragmentBad, 2);
  expect_dropped(add_piece(0, 16, true), DropReason::kFragmentBad, 1);
  now_ms_ += 3000;
  EXPECT_EQ(reassembler_.expire(now_ms_, 8), 0u);
  expect_stored(add_piece(32, 8, true));
  expect_dropped(add_piece(16, 8, false), DropReason::kFragmentBad, 2);
}

// Shows: R-2406-12
TEST_P(ReassemblerTest, DatagramMayNotExceedItsBound) {
  const uint32_t headers = 14 + (shape_.is_ipv4 ? 20 : 40);
  const uint32_t largest = 4000 - headers;
  const uint32_t most = largest / 8 * 8 - 8;
  expect_stored(add_piece(most, largest - most, false));
  expect_joined(add_piece(0, most, true), largest, 2);

  // One byte more: seen when the headers come to the payload.
  expect_stored(add_piece(most, largest + 1 - most, false));
  expect_dropped(add_piece(0, most, true), DropReason::kFragmentTooLarge, 2);
  now_ms_ += 3000;
  EXPECT_EQ(reassembler_.expire(now_ms_, 8), 0u);

  expect_stored(add_piece(0, 8, true));
  expect_dropped(add_piece(4000, 8, true), DropReason::kFragmentTooLarge, 2);
  expect_dropped(add_piece(8, 8, true), DropReason::kFragmentTooLarge, 1);
}

// Shows: R-2406-12
TEST_P(ReassemblerTest, CongestionMarks) {
  struct Row {
    uint8_t first, second;
    bool joined;
    uint8_t wanted;
  };
  const Row rows[] = {{0, 0, true, 0}, {1, 1, true, 1}, {2, 2, true, 2},  {3, 3, true, 3},
                      {2, 3, true, 3}, {3, 2, true, 3}, {1, 3, true, 3},  {2, 1, true, 2},
                      {0, 2, true, 0}, {2, 0, true, 2}, {0, 3, false, 0}, {3, 0, false, 0}};
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::Message() << int{row.first} << " and " << int{row.second});
    now_ms_ += 3000;
    reassembler_.expire(now_ms_, 8);
    DatagramShape second = shape_;
    shape_.type_of_service = 0xb8 | row.first;
    second.type_of_service = 0xb8 | row.second;
    expect_stored(add_piece(0, 8, true));
    const Bytes all = pattern(16);
    const auto result = add(make_fragment(second, 1, 8, false, Bytes(all.begin() + 8, all.end())));
    if (row.joined) {
      shape_.type_of_service = 0xb8 | row.wanted;
      expect_joined(result, 16, 2);
    } else {
      expect_dropped(result, DropReason::kFragmentBad, 2);
    }
  }
}

// Shows: R-2406-12
TEST_P(ReassemblerTest, WholeThatDoesNotFitIsFreedAllTheSame) {
  expect_stored(add_piece(0, 8, true));
  const auto result = add_piece(8, 8, false);
  ASSERT_EQ(result.outcome, Outcome::kComplete);
  const uint32_t length = 14 + (shape_.is_ipv4 ? 20 : 40) + 16;
  Frame whole = Frame::empty(length + 9);
  uint32_t fragments = 0;
  EXPECT_FALSE(reassembler_.take(result.slot, whole.packet, 10, fragments));
  EXPECT_EQ(fragments, 2u);
  EXPECT_EQ(reassembler_.waiting(), 0u);
  EXPECT_FALSE(reassembler_.take(result.slot, whole.packet, 0, fragments));
  EXPECT_EQ(fragments, 0u);
}

// Shows: R-2406-12
TEST(Reassembler, JoinsWhatScapyCut) {
  for (const std::string name : {"whole4", "whole6"}) {
    SCOPED_TRACE(name);
    Reassembler reassembler({});
    for (const uint32_t index : {1, 2, 0}) {
      Frame fragment(golden(name + "." + std::to_string(index)));
      ASSERT_EQ(parse(fragment.packet), DropReason::kNone);
      const auto result = reassembler.add(fragment.packet, 5);
      if (index != 0) {
        EXPECT_EQ(result.outcome, Outcome::kStored);
        continue;
      }
      ASSERT_EQ(result.outcome, Outcome::kComplete);
      Frame whole = Frame::empty(8000);
      uint32_t fragments = 0;
      ASSERT_TRUE(reassembler.take(result.slot, whole.packet, 128, fragments));
      EXPECT_EQ(whole.bytes(), golden(name));
    }
  }
}

Frame atomic() {
  Frame frame(golden("atomic6"));
  EXPECT_EQ(parse(frame.packet), DropReason::kNone);
  return frame;
}

// Shows: R-D-U1
TEST(Reassembler, AtomicFragmentsComeOutAtOnce) {
  Reassembler reassembler({.datagrams_max = 2});
  const Frame fragment = atomic();
  const auto first = reassembler.add(fragment.packet, 5);
  const auto second = reassembler.add(fragment.packet, 5);
  ASSERT_EQ(first.outcome, Outcome::kComplete);
  ASSERT_EQ(second.outcome, Outcome::kComplete);
  const auto third = reassembler.add(fragment.packet, 5);
  EXPECT_EQ(third.outcome, Outcome::kDropped);
  EXPECT_EQ(third.reason, DropReason::kFragmentTableFull);
  for (const uint32_t slot : {first.slot, second.slot}) {
    Frame whole = Frame::empty(2000);
    uint32_t fragments = 0;
    ASSERT_TRUE(reassembler.take(slot, whole.packet, 0, fragments));
    EXPECT_EQ(fragments, 1u);
    EXPECT_EQ(whole.bytes(), golden("atomic6.whole"));
  }
  EXPECT_EQ(reassembler.waiting(), 0u);
}

// Shows: R-D-U1
TEST(Reassembler, AtomicFragmentWithoutPayload) {
  Reassembler reassembler({});
  DatagramShape shape;
  shape.is_ipv4 = false;
  shape.protocol = kProtocolNoNext;
  Frame fragment(make_fragment(shape, 1, 0, false, {}));
  ASSERT_EQ(parse(fragment.packet), DropReason::kNone);
  const auto result = reassembler.add(fragment.packet, 5);
  ASSERT_EQ(result.outcome, Outcome::kComplete);
  Frame whole = Frame::empty(54);
  uint32_t fragments = 0;
  ASSERT_TRUE(reassembler.take(result.slot, whole.packet, 0, fragments));
  EXPECT_EQ(whole.bytes(), make_datagram(shape, {}));
}

// Shows: R-D-U1
TEST(Reassembler, AtomicFragmentMayNotExceedTheBound) {
  Reassembler reassembler({.datagrams_max = 1, .datagram_bytes_max = 1280});
  DatagramShape shape;
  shape.is_ipv4 = false;
  for (const uint32_t payload_bytes : {1280u - 54, 1280u - 53}) {
    Frame fragment(make_fragment(shape, 1, 0, false, pattern(payload_bytes)));
    ASSERT_EQ(parse(fragment.packet), DropReason::kNone);
    const auto result = reassembler.add(fragment.packet, 5);
    EXPECT_EQ(result.reason,
              payload_bytes == 1280 - 54 ? DropReason::kNone : DropReason::kFragmentTooLarge);
    if (result.outcome != Outcome::kComplete) continue;
    Frame whole = Frame::empty(1280);
    uint32_t fragments = 0;
    EXPECT_TRUE(reassembler.take(result.slot, whole.packet, 0, fragments));
  }
}

// Shows: R-D-U1
TEST(Reassembler, FragmentHeaderInsideAFragmentedDatagram) {
  // Directly behind the first, or behind destination options; in one piece, or cut in two.
  const Bytes second_header = {17, 0, 0, 0, 0, 0, 0, 9};
  Bytes behind_options = {44, 0, 1, 4, 0, 0, 0, 0};
  behind_options.insert(behind_options.end(), second_header.begin(), second_header.end());
  for (const bool has_options : {false, true}) {
    for (const bool is_atomic : {true, false}) {
      Reassembler reassembler({});
      DatagramShape shape;
      shape.is_ipv4 = false;
      shape.protocol = has_options ? kProtocolDestinationOptions : kProtocolFragment;
      const Bytes& payload = has_options ? behind_options : second_header;
      Frame first(make_fragment(shape, 1, 0, !is_atomic, payload));
      ASSERT_EQ(parse(first.packet), DropReason::kNone);
      auto result = reassembler.add(first.packet, 5);
      if (!is_atomic) {
        EXPECT_EQ(result.outcome, Outcome::kStored);
        Frame last(
            make_fragment(shape, 1, static_cast<uint32_t>(payload.size()), false, pattern(8)));
        ASSERT_EQ(parse(last.packet), DropReason::kNone);
        result = reassembler.add(last.packet, 5);
      }
      EXPECT_EQ(result.outcome, Outcome::kDropped);
      EXPECT_EQ(result.reason, DropReason::kFragmentBad);
      EXPECT_EQ(result.fragments_dropped, is_atomic ? 1u : 2u);
    }
  }
}

// Shows: R-2406-12
TEST(Reassembler, RefusesOptionsOutOfRange) {
  EXPECT_THROW(Reassembler({.datagrams_max = 0}), std::invalid_argument);
  EXPECT_THROW(Reassembler({.datagrams_max = 1u << 21}), std::invalid_argument);
  EXPECT_THROW(Reassembler({.datagram_bytes_max = 1279}), std::invalid_argument);
  EXPECT_THROW(Reassembler({.datagram_bytes_max = 65536}), std::invalid_argument);
  EXPECT_THROW(Reassembler({.per_source_max = 0}), std::invalid_argument);
}

}  // namespace
}  // namespace gmesp::ipsec
