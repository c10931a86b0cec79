// No way of writing a packet hides its port from the filter: fragments, IPv4 options, IPv6
// extension headers, VLAN tags (R-D-U1).
#include <gtest/gtest.h>

#include <algorithm>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using ipsec::Statistic;

enum class From { kNetwork, kHost };

struct Direction {
  const char* name;
  bool is_v4;
  From from;
};

class BypassTest : public testing::TestWithParam<Direction> {
 protected:
  /// A datagram for a protected port (network) or from one (host).
  Datagram forbidden(uint8_t protocol = 17, size_t payload_bytes = 100) const {
    const Registration ue = make_registration(1, shm::Mode::kTransport, GetParam().is_v4);
    Datagram datagram = ue.datagram(is_network() ? shm::SaRole::kInUcPs : shm::SaRole::kOutPsUc,
                                    pattern(payload_bytes), protocol);
    return datagram;
  }
  /// The same to or from an ordinary port.
  Datagram allowed(uint8_t protocol = 17, size_t payload_bytes = 100) const {
    Datagram datagram = forbidden(protocol, payload_bytes);
    datagram.source_port = datagram.destination_port = 5060;
    return datagram;
  }
  bool is_network() const { return GetParam().from == From::kNetwork; }
  std::vector<Sent> feed(const Bytes& packet, const std::vector<uint16_t>& vlans = {}) {
    return is_network() ? lab.from_network(frame_to_host(packet, vlans))
                        : lab.from_host(frame_from_host(packet, vlans));
  }
  std::vector<Sent> feed_all(const std::vector<Bytes>& packets) {
    std::vector<Sent> all;
    for (const Bytes& packet : packets) {
      const std::vector<Sent> sent = feed(packet);
      all.insert(all.end(), sent.begin(), sent.end());
    }
    return all;
  }
  uint64_t stopped() {
    return lab.count(is_network() ? DropReason::kClearToProtectedPort
                                  : DropReason::kNoSaForProtectedPort);
  }
  Side other_side() const { return is_network() ? Side::kHost : Side::kAccess; }

  Lab lab;
};

INSTANTIATE_TEST_SUITE_P(BothWays, BypassTest,
                         testing::Values(Direction{"FromNetworkIPv4", true, From::kNetwork},
                                         Direction{"FromNetworkIPv6", false, From::kNetwork},
                                         Direction{"FromHostIPv4", true, From::kHost},
                                         Direction{"FromHostIPv6", false, From::kHost}),
                         [](const auto& info) { return info.param.name; });

// Shows: R-D-U1, R-7.1-18, R-7.1-19
TEST_P(BypassTest, VlanTagsHideNothing) {
  const std::vector<std::vector<uint16_t>> tags = {{7}, {0}, {0xe001}, {100, 200}};
  for (const std::vector<uint16_t>& vlans : tags)
    EXPECT_TRUE(feed(ip_packet(forbidden()), vlans).empty());
  EXPECT_EQ(stopped(), tags.size());
  EXPECT_TRUE(feed(ip_packet(forbidden()), {1, 2, 3}).empty()) << "cannot be looked into";
}

// Shows: R-D-U1
TEST_P(BypassTest, TinyFragmentsHideNothing) {
  for (const uint8_t protocol : {17, 6}) {
    const Bytes packet = ip_packet(forbidden(protocol));
    std::vector<Bytes> pieces = cut(packet, 77u + protocol, 8);
    EXPECT_TRUE(feed_all(pieces).empty());
    std::reverse(pieces.begin(), pieces.end());
    for (Bytes& piece : pieces) {  // another datagram of the same bytes
      if (GetParam().is_v4) {
        put16(piece, 4, 177u + protocol);
        mend_ipv4_checksum(piece);
      } else {
        put32(piece, 44, 177u + protocol);
      }
    }
    EXPECT_TRUE(feed_all(pieces).empty());
  }
  EXPECT_EQ(stopped(), 4u) << lab.drops();
  EXPECT_EQ(lab.waiting(), 0);
}

/// RFC 3128: a second fragment at offset 8 rewrites the flags that the filter saw.
// Shows: R-D-U1
TEST_P(BypassTest, OverlappingFragmentsHideNothing) {
  const Bytes packet = ip_packet(forbidden(6));
  const Bytes decoy = ip_packet(allowed(6));
  EXPECT_TRUE(feed(fragment(decoy, 9, 0, 16, true)).empty());
  EXPECT_TRUE(feed(fragment(packet, 9, 8, 112, false)).empty());
  EXPECT_TRUE(feed(fragment(packet, 9, 0, 8, true)).empty());
  EXPECT_TRUE(feed(fragment(decoy, 9, 16, 104, false)).empty());
  EXPECT_EQ(lab.count(DropReason::kFragmentOverlap), 4u) << lab.drops();
}

/// Two first fragments: one for the filter, one for the host.
// Shows: R-D-U1
TEST_P(BypassTest, TwoFirstFragmentsHideNothing) {
  const Bytes packet = ip_packet(forbidden());
  const Bytes decoy = ip_packet(allowed());
  EXPECT_TRUE(feed(fragment(decoy, 9, 0, 24, true)).empty());
  EXPECT_TRUE(feed(fragment(packet, 9, 0, 24, true)).empty());
  EXPECT_TRUE(feed(fragment(packet, 9, 24, 84, false)).empty());
  EXPECT_EQ(lab.count(DropReason::kFragmentOverlap), 3u) << lab.drops();
}

// Shows: R-D-U1, R-2406-12
TEST_P(BypassTest, NoFragmentPassesAlone) {
  const Bytes packet = ip_packet(allowed());
  EXPECT_TRUE(feed(fragment(packet, 9, 24, 84, false)).empty());
  EXPECT_TRUE(feed(fragment(packet, 10, 0, 24, true)).empty());
  EXPECT_EQ(lab.waiting(), 2);
  lab.now_ms += 3000;
  lab.pipeline().expire(lab.now_ms);
  EXPECT_EQ(lab.count(DropReason::kFragmentTimeout), 2u);
  EXPECT_EQ(lab.waiting(), 0);
}

// Shows: R-7.1-20, R-D-U1
TEST_P(BypassTest, FragmentsForOtherPortsArriveWhole) {
  const Bytes packet = ip_packet(allowed());
  const std::vector<Sent> sent = feed_all(cut(packet, 12, 16));
  const std::optional<Dissection> seen = dissect(only(sent, other_side()));
  ASSERT_TRUE(seen);
  EXPECT_FALSE(seen->is_fragment);
  EXPECT_EQ(seen->payload, allowed().payload);
  EXPECT_TRUE(seen->header_checksum_good);
  EXPECT_TRUE(seen->l4_checksum_good);
}

/// RFC 6946: a fragment that is the whole datagram.
// Shows: R-D-U1
TEST_P(BypassTest, AtomicFragmentHidesNothing) {
  if (GetParam().is_v4) {
    // IPv4 has none: offset 0 and no more fragments is no fragment at all.
    EXPECT_TRUE(feed(ip_packet(forbidden())).empty());
  } else {
    const Bytes packet = ip_packet(forbidden());
    const auto bytes = static_cast<uint32_t>(packet.size() - 40);
    EXPECT_TRUE(feed(fragment(packet, 3, 0, bytes, false)).empty());
  }
  EXPECT_EQ(stopped(), 1u) << lab.drops();
}

// Shows: R-D-U1
TEST_P(BypassTest, OptionsAndExtensionHeadersHideNothing) {
  std::vector<Datagram> variants;
  Datagram datagram = forbidden();
  if (GetParam().is_v4) {
    for (size_t bytes = 4; bytes <= 40; bytes += 4) {
      datagram.ipv4_options = Bytes(bytes, 1);  // no-operation
      variants.push_back(datagram);
    }
    datagram.ipv4_options = {148, 4, 0, 0};  // router alert
    variants.push_back(datagram);
    datagram.ipv4_options = {0, 99, 99, 99};  // end of options, and rubbish
    variants.push_back(datagram);
  } else {
    Bytes routing = {0, 2, 2, 0, 0, 0, 0, 0};
    routing.resize(24);
    const ExtensionHeader hop = {0, {0, 0, 1, 4, 0, 0, 0, 0}};
    const ExtensionHeader options = {60, {0, 0, 1, 4, 0, 0, 0, 0}};
    const ExtensionHeader route = {43, routing};
    Bytes long_options = {0, 31, 1, 252};
    long_options.resize(256);
    const ExtensionHeader long_header = {60, long_options};
    for (const std::vector<ExtensionHeader>& chain :
         {std::vector{hop},
          {options},
          {route},
          {hop, options, route, options},
          {long_header},
          {options, options, options, options, options, options, options, options}}) {
      datagram.extensions = chain;
      variants.push_back(datagram);
    }
  }
  for (const Datagram& variant : variants) EXPECT_TRUE(feed(ip_packet(variant)).empty());
  EXPECT_EQ(stopped(), variants.size()) << lab.drops();
}

/// RFC 7112: the first fragment ends inside the header chain, the port is in the second.
// Shows: R-D-U1
TEST_P(BypassTest, HeaderChainAcrossFragmentsHidesNothing) {
  Datagram datagram = forbidden();
  if (GetParam().is_v4) {
    datagram.protocol = 6;
    EXPECT_TRUE(feed_all(cut(ip_packet(datagram), 5, 8)).empty());
  } else {
    datagram.extensions = {{60, Bytes{0, 2, 1, 20}}};
    datagram.extensions[0].bytes.resize(24);
    EXPECT_TRUE(feed_all(cut(ip_packet(datagram), 5, 8)).empty());
  }
  EXPECT_EQ(stopped(), 1u) << lab.drops();
}

/// A fragment header inside what fragments carried must not start the game again.
// Shows: R-D-U1
TEST_P(BypassTest, FragmentsOfFragmentsHideNothing) {
  if (GetParam().is_v4) {
    // IPv4 cannot nest them; a fragment of an already fragmented datagram is just a smaller one.
    const Bytes packet = ip_packet(forbidden());
    EXPECT_TRUE(feed(fragment(packet, 5, 0, 8, true)).empty());
    EXPECT_TRUE(feed(fragment(packet, 5, 8, 8, true)).empty());
    EXPECT_TRUE(feed(fragment(packet, 5, 16, 92, false)).empty());
    EXPECT_EQ(stopped(), 1u) << lab.drops();
    return;
  }
  const Bytes packet = ip_packet(forbidden());
  const Bytes atomic = fragment(packet, 3, 0, static_cast<uint32_t>(packet.size() - 40), false);
  const std::vector<Bytes> pieces = cut(atomic, 4, 16);
  EXPECT_TRUE(feed_all(pieces).empty());
  EXPECT_EQ(lab.count(DropReason::kFragmentBad), pieces.size()) << lab.drops();
}

// Shows: R-D-U1, R-2406-12
TEST_P(BypassTest, FragmentsOfTheOtherSideDoNotComplete) {
  const Bytes packet = ip_packet(allowed());
  EXPECT_TRUE(feed(fragment(packet, 9, 0, 24, true)).empty());
  const Bytes rest = fragment(packet, 9, 24, 84, false);
  EXPECT_TRUE(
      (is_network() ? lab.from_host(frame_from_host(rest)) : lab.from_network(frame_to_host(rest)))
          .empty());
  EXPECT_EQ(lab.count(Statistic::kDatagramsJoined), 0u);
}

// Shows: R-D-U1
TEST_P(BypassTest, FragmentsOfAnotherVlanDoNotComplete) {
  const Bytes packet = ip_packet(allowed());
  EXPECT_TRUE(feed(fragment(packet, 9, 0, 24, true), {5}).empty());
  EXPECT_TRUE(feed(fragment(packet, 9, 24, 84, false), {6}).empty());
  EXPECT_EQ(lab.count(Statistic::kDatagramsJoined), 0u);
  EXPECT_EQ(feed(fragment(packet, 9, 24, 84, false), {5}).size(), 1u);
}

}  // namespace
}  // namespace gmesp::test
