// ESP on the way in, made by the reference implementation: the host gets what the UE sent, and
// nothing that the UE could not have meant.
#include <gtest/gtest.h>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using shm::SaRole;

constexpr SaRole kSaA = SaRole::kInUcPs;

struct Uplink {
  explicit Uplink(const Registration& registration) : ue(registration) { set_id = lab.install(ue); }
  std::vector<Sent> feed(const Bytes& clear, const EspShape& shape = {}) {
    return lab.from_network(frame_to_host(seal(ue.sa(kSaA), ++sequence, clear, shape)));
  }
  Lab lab;
  Registration ue;
  uint64_t set_id;
  uint32_t sequence = 0;
};

// Shows: R-7.1-01, R-7.1-02, R-2406-07, R-D-S3
TEST(EspInbound, EverySizeInEveryCombinationArrivesUnchanged) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    for (size_t bytes = 0; bytes <= 1380; bytes += bytes < 70 ? 1 : 131) {
      const Bytes clear = ue.clear(kSaA, pattern(bytes), bytes % 2 == 0 ? 17 : 6);
      ASSERT_EQ(only(uplink.feed(clear), Side::kHost), frame_to_host(clear))
          << kind(ue) << ", " << bytes << " bytes";
    }
    EXPECT_EQ(uplink.lab.dropped(), 0u) << uplink.lab.drops();
  }
}

// Shows: R-2406-13
TEST(EspInbound, TransportModeKeepsTheIpv4Header) {
  Uplink uplink(make_registration(1));
  Datagram datagram = uplink.ue.datagram(kSaA, pattern(100));
  datagram.tos = 0xba;
  datagram.ttl = 1;
  datagram.dont_fragment = true;
  datagram.identification = 0xabcd;
  datagram.ipv4_options = {148, 4, 0, 0, 1, 1, 1, 0};
  EXPECT_EQ(packet_in(only(uplink.feed(ip_packet(datagram)), Side::kHost)), ip_packet(datagram));
}

// Shows: R-2406-14
TEST(EspInbound, TransportModeTakesEspBehindIpv6ExtensionHeaders) {
  Uplink uplink(make_registration(1, shm::Mode::kTransport, false));
  Bytes routing = {0, 2, 2, 0, 0, 0, 0, 0};
  routing.resize(24);
  Datagram datagram = uplink.ue.datagram(kSaA, pattern(100));
  datagram.extensions = {{0, {0, 0, 5, 2, 0, 0, 1, 0}}, {43, routing}};
  EXPECT_EQ(packet_in(only(uplink.feed(ip_packet(datagram)), Side::kHost)), ip_packet(datagram));
}

// Shows: R-2406-14
TEST(EspInbound, ExtensionHeadersInsideEspAreRefused) {
  for (const uint8_t next_header : {0, 43, 44, 60}) {
    Uplink uplink(make_registration(1, shm::Mode::kTransport, false));
    EXPECT_TRUE(
        uplink.feed(uplink.ue.clear(kSaA, pattern(64)), {.next_header = next_header}).empty());
    EXPECT_EQ(uplink.lab.drops(), "next_header_refused 1");
  }
  Uplink uplink(make_registration(1, shm::Mode::kTransport, false));
  Datagram datagram = uplink.ue.datagram(kSaA, pattern(64));
  datagram.extensions = {{43, {0, 2, 0, 1}}};
  datagram.extensions[0].bytes.resize(24);
  EXPECT_TRUE(uplink.feed(ip_packet(datagram)).empty());
  EXPECT_EQ(uplink.lab.drops(), "routing_type_0 1");
}

// Shows: R-2406-14, R-6.3-01
TEST(EspInbound, EspInEspIsRefusedInTheTunnelToo) {
  for (const bool is_v4 : {true, false}) {
    Uplink uplink(make_registration(1, shm::Mode::kUdpEncapsulatedTunnel, is_v4));
    EspSa bare = uplink.ue.sa(kSaA);
    bare.is_tunnel = false;
    EXPECT_TRUE(uplink.feed(seal(bare, 99, uplink.ue.clear(kSaA, pattern(40)))).empty());
    EXPECT_EQ(uplink.lab.drops(), "selector_protocol 1");
  }
}

// Shows: R-2406-08
TEST(EspInbound, EveryFlippedBitIsNoticed) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    const Bytes clear = ue.clear(kSaA, pattern(5));
    const auto bits = static_cast<uint32_t>(esp_bytes(seal(ue.sa(kSaA), 1, clear)).size() * 8);
    for (uint32_t bit = 0; bit < bits; ++bit)
      EXPECT_TRUE(uplink.feed(clear, {.flipped_bit = bit}).empty()) << kind(ue) << ", bit " << bit;
    // The first word names another SA, or none; all the rest fails the integrity check.
    EXPECT_EQ(uplink.lab.dropped(), bits);
    EXPECT_GE(uplink.lab.count(DropReason::kIcvWrong) + uplink.lab.count(DropReason::kReplayOld) +
                  uplink.lab.count(DropReason::kSequenceZero),
              bits - 32)
        << uplink.lab.drops();
    EXPECT_EQ(uplink.lab.view(uplink.set_id).sa[0].packets, 0u);
  }
}

// Shows: R-2406-10, R-2406-07
TEST(EspInbound, EveryTruncationIsNoticed) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    const Bytes clear = ue.clear(kSaA, pattern(40));
    const auto bytes = static_cast<uint32_t>(esp_bytes(seal(ue.sa(kSaA), 1, clear)).size());
    for (uint32_t missing = 1; missing <= bytes; ++missing)
      EXPECT_TRUE(uplink.feed(clear, {.missing = missing}).empty()) << kind(ue) << " " << missing;
    EXPECT_EQ(uplink.lab.dropped(), bytes) << uplink.lab.drops();
    EXPECT_EQ(uplink.feed(clear).size(), 1u);
  }
}

/// Under a valid ICV, so only the trailer checks stand between these and the host.
// Shows: R-2406-09
TEST(EspInbound, PaddingMustCountAndFit) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    const Bytes clear = ue.clear(kSaA, pattern(40));
    for (uint32_t at = 0; at < 48; ++at)
      EXPECT_TRUE(uplink.feed(clear, {.extra_padding = 48, .bad_padding_at = at}).empty());
    EXPECT_EQ(uplink.lab.drops(), "padding_bad 48") << kind(ue);
    for (const uint8_t length : {130, 200, 255})
      EXPECT_TRUE(uplink.feed(clear, {.pad_length = length}).empty());
    EXPECT_EQ(uplink.lab.drops(), "padding_bad 51") << kind(ue);
    for (uint32_t extra = 0; extra + 16 <= 255; extra += 16)
      EXPECT_EQ(only(uplink.feed(clear, {.extra_padding = extra}), Side::kHost),
                frame_to_host(clear))
          << kind(ue) << ", " << extra << " bytes more than needed";
  }
}

// Shows: R-4303-01
TEST(EspInbound, DummyPacketsVanishSilently) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    EXPECT_TRUE(uplink.feed(ue.clear(kSaA, pattern(40)), {.next_header = 59}).empty());
    EXPECT_EQ(uplink.lab.drops(), "dummy_packet 1") << kind(ue);
    EXPECT_TRUE(uplink.lab.notices(shm::EventKind::kAudit).empty());
    EXPECT_EQ(uplink.feed(ue.clear(kSaA, pattern(40))).size(), 1u);
  }
}

/// A dummy packet may carry anything, a lone trailer too (RFC 4303 2.6).
// Shows: R-4303-01
TEST(EspInbound, DummyPacketOfRubbishIsStillADummy) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    if (ue.is_tunnel()) {
      EXPECT_TRUE(uplink.feed({}, {.next_header = 59}).empty());
      EXPECT_TRUE(uplink.feed(Bytes(7, 0xab), {.next_header = 59}).empty());
      EXPECT_EQ(uplink.lab.drops(), "dummy_packet 2") << kind(ue);
    } else {
      Datagram rubbish = ue.datagram(kSaA, {});
      rubbish.protocol = 59;
      rubbish.payload = Bytes(7, 0xab);
      EXPECT_TRUE(uplink.feed(ip_packet(rubbish)).empty());
      rubbish.payload = {};
      EXPECT_TRUE(uplink.feed(ip_packet(rubbish)).empty());
      EXPECT_EQ(uplink.lab.drops(), "dummy_packet 2") << kind(ue);
    }
  }
}

// Shows: R-4303-01
TEST(EspInbound, FlowPaddingIsCutOff) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    // TCP has no length of its own: in transport mode nothing can be behind it (RFC 4303 2.7).
    const Bytes clear = ue.clear(kSaA, pattern(40), ue.is_tunnel() ? 6 : 17);
    for (const size_t bytes : {1u, 16u, 300u, 1000u})
      EXPECT_EQ(only(uplink.feed(clear, {.flow_padding = Bytes(bytes, 0xcc)}), Side::kHost),
                frame_to_host(clear))
          << kind(ue) << ", " << bytes;
  }
}

// Shows: R-D-X1
TEST(EspInbound, EthernetPaddingIsNoPartOfThePacket) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    for (const size_t extra : {1u, 4u, 12u, 40u}) {
      const Bytes sealed = ue.uplink(kSaA, static_cast<uint32_t>(extra), {});
      const Bytes longer = padded(sealed, sealed.size() + extra, 0xee);
      EXPECT_EQ(only(lab.from_network(longer), Side::kHost), frame_to_host(ue.clear(kSaA, {})))
          << kind(ue);
    }
    EXPECT_EQ(lab.dropped(), 0u) << lab.drops();
  }
}

// Shows: R-D-X2
TEST(EspInbound, InnerChecksumIsVerifiedWhateverTheDeviceSays) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    uplink.lab.device_trusts_checksums = true;  // of the outer packet, which says nothing
    for (const uint8_t protocol : {17, 6}) {
      Datagram datagram = ue.datagram(kSaA, pattern(40), protocol);
      datagram.l4_checksum_error = 0x0100;
      EXPECT_TRUE(uplink.feed(ip_packet(datagram)).empty());
    }
    EXPECT_EQ(uplink.lab.drops(), "inner_checksum_bad 2") << kind(ue);
  }
}

// Shows: R-D-X2
TEST(EspInbound, AbsentInnerUdpChecksumIsFineOverIpv4Only) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    Datagram datagram = ue.datagram(kSaA, pattern(40));
    datagram.without_udp_checksum = true;
    EXPECT_EQ(uplink.feed(ip_packet(datagram)).size(), ue.is_v4() ? 1u : 0u) << kind(ue);
    EXPECT_EQ(uplink.lab.drops(), ue.is_v4() ? "" : "inner_checksum_bad 1") << kind(ue);
  }
}

/// Inner headers that lie, under a valid key.
// Shows: R-2406-07, R-7.1-05
TEST(EspInbound, InnerHeadersThatLieAreDropped) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    uint64_t lies = 0;
    const auto refuse = [&](const Bytes& clear, const char* what) {
      EXPECT_TRUE(uplink.feed(clear).empty()) << what << ", " << kind(ue);
      EXPECT_EQ(uplink.lab.dropped(), ++lies) << uplink.lab.drops();
    };
    const size_t l4 = ue.is_v4() ? 20 : 40;
    Bytes clear = ue.clear(kSaA, pattern(40));
    put16(clear, l4 + 4, 100);
    refuse(clear, "UDP longer than its packet");
    put16(clear, l4 + 4, 7);
    refuse(clear, "UDP shorter than its header");
    clear = ue.clear(kSaA, pattern(40), 6);
    clear[l4 + 12] = 0xf0;
    clear.resize(l4 + 40);
    put16(clear, ue.is_v4() ? 2 : 4, static_cast<uint32_t>(ue.is_v4() ? l4 + 40 : 40));
    if (ue.is_v4()) mend_ipv4_checksum(clear);
    refuse(clear, "TCP header longer than its packet");
    clear[l4 + 12] = 0x40;
    refuse(clear, "TCP header of 16 bytes");
    if (!ue.is_tunnel()) continue;
    clear = ue.clear(kSaA, pattern(40));
    clear[0] = 0x70;
    refuse(clear, "IP version 7");
    clear = ue.clear(kSaA, pattern(40));
    put16(clear, ue.is_v4() ? 2 : 4, 1200);
    if (ue.is_v4()) mend_ipv4_checksum(clear);
    refuse(clear, "IP longer than its tunnel");
    if (!ue.is_v4()) continue;
    clear = ue.clear(kSaA, pattern(40));
    clear[8] ^= 1;
    refuse(clear, "inner header checksum");
  }
}

// Shows: R-2406-15
TEST(EspInbound, CountersAndEventsOfTheSa) {
  for (const Registration& ue : all_kinds()) {
    Uplink uplink(ue);
    uint64_t bytes = 0;
    for (size_t size : {0u, 10u, 1000u}) {
      bytes += ue.clear(kSaA, pattern(size)).size();
      EXPECT_EQ(uplink.feed(ue.clear(kSaA, pattern(size))).size(), 1u);
    }
    uplink.feed(ue.clear(kSaA, {}), {.flipped_bit = 77});
    uplink.feed(ue.clear(kSaA, {}), {.next_header = 99});
    const shm::SetView view = uplink.lab.view(uplink.set_id);
    EXPECT_EQ(view.sa[0].packets, 4u) << kind(ue) << ": authentic ones, delivered or not";
    EXPECT_EQ(view.sa[0].bytes, bytes) << kind(ue) << ": of those delivered";
    EXPECT_EQ(view.sa[0].icv_failures, 1u);
    EXPECT_EQ(view.sa[0].other_drops, 1u);
    EXPECT_EQ(view.last_inbound_ms / 1000, uplink.lab.now_ms / 1000);
    EXPECT_EQ(uplink.lab.count(ipsec::Statistic::kEspInPackets), 3u);
    EXPECT_EQ(uplink.lab.count(ipsec::Statistic::kEspInBytes), bytes);
    EXPECT_EQ(uplink.lab.notices(shm::EventKind::kFirstInbound).size(), 1u) << "once per SA";
  }
}

}  // namespace
}  // namespace gmesp::test
