// Properties of cutting and joining: the same bytes come back in any order, and no overlap ever
// delivers bytes that were not sent.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <optional>
#include <random>

#include "dataplane/ipsec/fragmenter.h"
#include "dataplane/ipsec/reassembler.h"
#include "frame.h"

namespace gmesp::ipsec {
namespace {

using Outcome = Reassembler::Outcome;

ReassemblerOptions roomy() {
  return {.datagrams_max = 4, .datagram_bytes_max = 17000};
}

DatagramShape any_shape() {
  DatagramShape shape;
  shape.is_ipv4 = *rc::gen::arbitrary<bool>();
  shape.vlan_tags = *rc::gen::inRange(0u, 3u);
  if (*rc::gen::arbitrary<bool>()) shape.ipv4_options = {148, 4, 0, 0, 7, 4, 4, 0};
  shape.has_hop_by_hop = *rc::gen::arbitrary<bool>();
  shape.has_routing = *rc::gen::arbitrary<bool>();
  shape.has_destination_options = *rc::gen::arbitrary<bool>();
  return shape;
}

/// What the reassembler makes of `frame`, if it is complete now.
std::optional<Bytes> add(Reassembler& reassembler, const Bytes& frame,
                         Reassembler::Result& result) {
  Frame fragment(frame);
  RC_ASSERT(parse(fragment.packet) == DropReason::kNone);
  result = reassembler.add(fragment.packet, 1);
  if (result.outcome != Outcome::kComplete) return std::nullopt;
  Frame whole = Frame::empty(17000 + 64);
  uint32_t fragments = 0;
  RC_ASSERT(reassembler.take(result.slot, whole.packet, 64, fragments));
  return whole.bytes();
}

std::vector<Bytes> cut_all(const Packet& whole, uint32_t mtu_bytes) {
  std::vector<Bytes> fragments;
  const uint32_t count = fragment_count(whole, mtu_bytes);
  for (uint32_t index = 0; index < count; ++index) {
    Frame fragment = Frame::empty(whole.layers.l3_offset + mtu_bytes);
    RC_ASSERT(write_fragment(whole, mtu_bytes, index, 99, 0, fragment.packet));
    RC_ASSERT(parse(fragment.packet) == DropReason::kNone);
    RC_ASSERT(fragment.packet.layers.l3_bytes <= mtu_bytes);
    fragments.push_back(fragment.bytes());
  }
  return fragments;
}

// Shows: R-D-U1, R-2406-11, R-2406-12
TEST(Join, CutThenJoinedInAnyOrderIsTheSame) {
  Reassembler reassembler(roomy());
  EXPECT_TRUE(rc::check([&reassembler] {
    const DatagramShape shape = any_shape();
    const Bytes bytes = make_datagram(shape, pattern(*rc::gen::inRange(0u, 16001u)));
    Frame whole(bytes);
    RC_ASSERT(parse(whole.packet) == DropReason::kNone);
    std::vector<Bytes> fragments = cut_all(whole.packet, *rc::gen::inRange(576u, 1501u));
    if (fragments.size() == 1) {
      RC_ASSERT(fragments[0] == bytes);
      return;
    }
    std::shuffle(fragments.begin(), fragments.end(), std::mt19937(*rc::gen::arbitrary<uint32_t>()));
    const size_t repeated = *rc::gen::inRange<size_t>(0, fragments.size() - 1);
    Reassembler::Result result;
    for (size_t i = 0; i + 1 < fragments.size(); ++i) {
      RC_ASSERT(!add(reassembler, fragments[i], result));
      RC_ASSERT(result.outcome == Outcome::kStored);
      if (i != repeated) continue;
      RC_ASSERT(!add(reassembler, fragments[i], result));
      RC_ASSERT(result.reason == DropReason::kFragmentOverlap && result.fragments_dropped == 1);
    }
    RC_ASSERT(add(reassembler, fragments.back(), result) == bytes);
    RC_ASSERT(reassembler.waiting() == 0u);
  }));
}

// Shows: R-2406-11
TEST(Join, EverySizeAroundOneFragment) {
  for (const bool is_ipv4 : {true, false}) {
    DatagramShape shape;
    shape.is_ipv4 = is_ipv4;
    Reassembler reassembler(roomy());
    for (uint32_t payload_bytes = 540; payload_bytes < 1200; ++payload_bytes) {
      const Bytes bytes = make_datagram(shape, pattern(payload_bytes));
      Frame whole(bytes);
      ASSERT_EQ(parse(whole.packet), DropReason::kNone);
      const std::vector<Bytes> fragments = cut_all(whole.packet, 576);
      Reassembler::Result result{};
      std::optional<Bytes> joined = fragments[0];
      if (fragments.size() > 1)
        for (const Bytes& fragment : fragments) joined = add(reassembler, fragment, result);
      ASSERT_TRUE(joined == bytes) << payload_bytes;
    }
  }
}

/// The rules of RFC 5722 on a list of pieces, slow and plain.
class Oracle {
 public:
  struct Piece {
    uint32_t from, to;
    Bytes bytes;
    bool operator==(const Piece&) const = default;
  };

  /// How many fragments the reassembler must drop now; 0 if it must store this one.
  uint32_t add(const Piece& piece) {
    if (is_dropped_) return 1;
    for (const Piece& other : pieces_)
      if (other == piece) return 1;
    for (const Piece& other : pieces_) {
      if (other.to <= piece.from || piece.to <= other.from) continue;
      is_dropped_ = true;
      return static_cast<uint32_t>(pieces_.size()) + 1;
    }
    pieces_.push_back(piece);
    return 0;
  }
  std::optional<Bytes> payload(uint32_t count) const {
    Bytes joined(count);
    uint32_t covered = 0;
    for (const Piece& piece : pieces_) {
      std::copy(piece.bytes.begin(), piece.bytes.end(), joined.begin() + piece.from);
      covered += piece.to - piece.from;
    }
    return covered == count ? std::optional(joined) : std::nullopt;
  }

 private:
  std::vector<Piece> pieces_;
  bool is_dropped_ = false;
};

/// Mostly a cell of a grid, so that datagrams become whole; now and then moved or altered.
Oracle::Piece any_piece(const Bytes& payload, uint32_t cell_blocks) {
  const auto count = static_cast<uint32_t>(payload.size());
  const uint32_t blocks = (count + 7) / 8;
  uint32_t first = *rc::gen::inRange(0u, blocks);
  uint32_t end = first + *rc::gen::inRange(1u, 6u);
  if (*rc::gen::inRange(0, 12) != 0) {
    first = first / cell_blocks * cell_blocks;
    end = first + cell_blocks;
  }
  Oracle::Piece piece = {first * 8, std::min(count, end * 8), {}};
  piece.bytes.assign(payload.begin() + piece.from, payload.begin() + piece.to);
  if (*rc::gen::inRange(0, 12) == 0)
    piece.bytes[*rc::gen::inRange<size_t>(0, piece.bytes.size())] ^= 0x10;
  return piece;
}

// Shows: R-D-U1, R-2406-12
TEST(Join, OverlapsNeverDeliverAlteredBytes) {
  EXPECT_TRUE(rc::check([] {
    DatagramShape shape;
    shape.is_ipv4 = *rc::gen::arbitrary<bool>();
    Reassembler reassembler(roomy());
    Oracle oracle;
    const Bytes payload = pattern(*rc::gen::inRange(9u, 200u));
    const auto payload_bytes = static_cast<uint32_t>(payload.size());
    const uint32_t cell_blocks = *rc::gen::inRange(1u, std::min((payload_bytes + 7) / 8, 6u));
    uint32_t sent = 0, dropped = 0;
    for (const int count = *rc::gen::inRange(1, 40); static_cast<int>(sent) < count;) {
      const Oracle::Piece piece = any_piece(payload, cell_blocks);
      if (piece.to - piece.from == payload_bytes) continue;  // that is no fragment
      ++sent;
      const uint32_t must_drop = oracle.add(piece);
      Reassembler::Result result;
      const auto joined =
          add(reassembler,
              make_fragment(shape, 1, piece.from, piece.to != payload_bytes, piece.bytes), result);
      RC_ASSERT((result.outcome == Outcome::kDropped) == (must_drop != 0));
      RC_ASSERT(result.fragments_dropped == must_drop);
      dropped += must_drop;
      const auto wanted = must_drop == 0 ? oracle.payload(payload_bytes) : std::nullopt;
      RC_ASSERT(joined.has_value() == wanted.has_value());
      if (!joined) continue;
      RC_TAG("delivered");
      RC_ASSERT(*joined == make_datagram(shape, *wanted));
      return;
    }
    RC_ASSERT(dropped + reassembler.expire(UINT64_MAX, 4) == sent);
  }));
}

}  // namespace
}  // namespace gmesp::ipsec
