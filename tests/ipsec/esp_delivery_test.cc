// ESP on the way in: what of a good packet is kept, cut off and learned.
#include <gtest/gtest.h>

#include "dataplane/ipsec/esp_inbound.h"
#include "dataplane/ipsec/header_layout.h"
#include "uplink.h"

namespace gmesp::ipsec {
namespace {

using shm::SaRole;
using shm::SaSetRecord;

const RecordShape kTunnel = {.mode = shm::Mode::kUdpEncapsulatedTunnel};

// Shows: R-4303-01
TEST(EspDelivery, BytesBehindTheDatagramAreTrimmed) {
  for_each_shape([](Uplink& u) {
    const Bytes l4 = u.datagram(pattern(21));
    Seal what = u.sealing(1, l4);
    what.payload.resize(what.payload.size() + 37, 0xee);  // RFC 4303 2.7
    const Received received = u.lab.receive(u.wire(what));
    ASSERT_EQ(received.reason, DropReason::kNone) << info(received.reason).name;
    EXPECT_EQ(received.packet, ip_packet(u.inner(), l4));
    EXPECT_EQ(received.frame.size(), 14 + received.packet.size());
    EXPECT_EQ(u.lab.progress(kSaA).bytes, received.packet.size());
    // Behind UDP inside the inner IP packet, too.
    Bytes longer = l4;
    longer.resize(l4.size() + 11, 0xee);
    const Received inside = u.lab.receive(u.wire(u.sealing(2, longer)));
    ASSERT_EQ(inside.reason, DropReason::kNone);
    EXPECT_EQ(inside.packet, ip_packet(u.inner(), l4));
  });
}

/// A sender may cut before it encapsulates. The pieces are told apart from whole packets, and only
/// their addresses are judged yet.
// Shows: R-2406-12, R-D-U1
TEST(EspDelivery, InnerFragmentsAreNoDatagrams) {
  Uplink u(kTunnel);
  const Bytes l4 = u.datagram(pattern(64));
  IpShape first = u.inner();
  first.ipv4_flags = 0x2000;
  const Seal piece = {1, kProtocolIpv4, ip_packet(first, {l4.begin(), l4.begin() + 16})};
  const Received received = u.lab.receive(u.wire(piece));
  EXPECT_EQ(received.reason, DropReason::kNone);
  EXPECT_TRUE(received.news.inner_fragment);
  EXPECT_EQ(u.lab.progress(kSaA).bytes, 0u) << "nothing was delivered yet";
  first.source.bytes[15] ^= 1;
  const Seal spoofed = {2, kProtocolIpv4, ip_packet(first, {l4.begin(), l4.begin() + 16})};
  EXPECT_EQ(u.receive(spoofed), DropReason::kSelectorAddress);

  FrameBuffer whole(in_ethernet(ip_packet(u.inner(), l4)));
  ASSERT_EQ(parse(whole.packet), DropReason::kNone);
  EXPECT_EQ(check_inner(u.lab.database, 0, whole.packet), DropReason::kNone);
  EXPECT_EQ(u.lab.progress(kSaA).bytes, 20 + l4.size());
  EXPECT_EQ(check_inner(u.lab.database, 2, whole.packet), DropReason::kSelectorPort);
}

// Shows: R-2406-13
TEST(EspDelivery, TransportKeepsTheIpv4Header) {
  Uplink u({});
  const auto change = [](IpShape& shape) {
    shape.traffic_class = 0xb9;
    shape.ttl = 3;
    shape.ipv4_flags = 0x4000;
    shape.identification = 0x1234;
    shape.ipv4_options = {0x94, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0};
  };
  const Bytes l4 = u.datagram(pattern(40));
  const Bytes esp = seal(u.lab, kSaA, u.sealing(1, l4));
  const Received received = u.lab.receive(on_wire(u.record, esp, 0, change), 2);
  ASSERT_EQ(received.reason, DropReason::kNone);
  IpShape expected = u.inner();
  change(expected);
  EXPECT_EQ(received.packet, ip_packet(expected, l4));
  EXPECT_EQ(received.frame, in_ethernet(received.packet, 2)) << "MAC addresses and VLAN tags stay";
}

// Shows: R-2406-13, R-2406-14
TEST(EspDelivery, TransportKeepsIpv6ExtensionHeaders) {
  Uplink u({.is_ipv4 = false});
  const auto change = [](IpShape& shape) {
    shape.traffic_class = 0xb9;
    shape.ttl = 3;
    shape.extension_headers = {{kProtocolHopByHop, {0, 0, 1, 4, 0, 0, 0, 0}},
                               {kProtocolRouting, {0, 0, 3, 0, 0, 0, 0, 0}},
                               {kProtocolDestinationOptions, {0, 0, 1, 4, 0, 0, 0, 0}}};
  };
  const Bytes l4 = u.datagram(pattern(40));
  const Bytes esp = seal(u.lab, kSaA, u.sealing(1, l4));
  const Received received = u.lab.receive(on_wire(u.record, esp, 0, change));
  ASSERT_EQ(received.reason, DropReason::kNone);
  IpShape expected = u.inner();
  change(expected);
  EXPECT_EQ(received.packet, ip_packet(expected, l4));
}

// Shows: R-2401-04, R-3948-03
TEST(EspDelivery, TunnelDeliversTheInnerPacketUntouched) {
  for (const bool is_ipv4 : {true, false}) {
    Uplink u({.mode = shm::Mode::kUdpEncapsulatedTunnel, .is_ipv4 = is_ipv4});
    IpShape inner = u.inner();
    inner.ttl = 1;  // the tunnel ends in the host: not decremented
    inner.traffic_class = 0xb8;
    const Bytes l4 = udp(inner, u.record.port_uc, u.record.port_ps, pattern(33));
    for (const uint32_t tags : {0u, 1u, 2u}) {
      const Seal what = u.sealing(tags + 1, l4, inner);
      const Received received = u.lab.receive(u.wire(what), tags);
      ASSERT_EQ(received.reason, DropReason::kNone);
      EXPECT_EQ(received.packet, ip_packet(inner, l4));
      EXPECT_EQ(received.frame, in_ethernet(received.packet, tags));
    }
  }
}

/// RFC 6040 4.2, the column of the outer mark.
// Shows: R-2401-04
TEST(EspDelivery, CongestionIsCarriedIn) {
  for (const bool is_ipv4 : {true, false}) {
    Uplink u({.mode = shm::Mode::kUdpEncapsulatedTunnel, .is_ipv4 = is_ipv4});
    uint32_t sequence = 0;
    for (uint8_t outer = 0; outer < 4; ++outer) {
      for (uint8_t inner = 0; inner < 4; ++inner) {
        IpShape shape = u.inner();
        shape.traffic_class = static_cast<uint8_t>(0xb8 | inner);
        const Bytes l4 = udp(shape, u.record.port_uc, u.record.port_ps, pattern(9));
        const Bytes esp = seal(u.lab, kSaA, u.sealing(++sequence, l4, shape));
        const Received received = u.lab.receive(
            on_wire(u.record, esp, 4500, [=](IpShape& wire) { wire.traffic_class = outer; }));
        if (outer == 3 && inner == 0) {
          EXPECT_EQ(received.reason, DropReason::kEcnIllegal);
          continue;
        }
        ASSERT_EQ(received.reason, DropReason::kNone);
        if (outer == 3) shape.traffic_class |= 3;
        EXPECT_EQ(received.packet, ip_packet(shape, l4)) << outer + 0 << inner + 0;
      }
    }
  }
}

uint16_t peer_port(EspLab& lab, SaRole role) {
  return lab.hot(role).identity.outer_ue_port;
}

// Shows: R-M-08, R-M-07
TEST(EspDelivery, PeerPortIsLearnedFromAuthenticPacketsOnly) {
  Uplink u(kTunnel);
  const auto from = [&](uint16_t port, Bytes esp) {
    return u.lab.receive(on_wire(u.record, esp, port));
  };
  Bytes forged = seal(u.lab, kSaA, u.good(1));
  forged.back() ^= 1;
  EXPECT_FALSE(from(1111, forged).news.peer_port_learned);
  EXPECT_EQ(peer_port(u.lab, kSaA), 0u);
  const Received first = from(2222, seal(u.lab, kSaA, u.good(1)));
  EXPECT_TRUE(first.news.peer_port_learned);
  EXPECT_TRUE(first.news.first_packet);
  for (const SaRole role : {SaRole::kInUcPs, SaRole::kOutPsUc, SaRole::kInUsPc, SaRole::kOutPcUs})
    EXPECT_EQ(peer_port(u.lab, role), 2222u);
  const Received replayed = from(3333, seal(u.lab, kSaA, u.good(1)));
  EXPECT_EQ(replayed.reason, DropReason::kReplaySeen);
  EXPECT_EQ(peer_port(u.lab, kSaA), 2222u);
}

// Shows: R-M-09
TEST(EspDelivery, ChangedPeerPortIsKeptAndReportedOnce) {
  Uplink u(kTunnel);
  const auto from = [&](uint16_t port, uint32_t sequence) {
    return u.lab.receive(on_wire(u.record, seal(u.lab, kSaA, u.good(sequence)), port)).news;
  };
  EXPECT_TRUE(from(2222, 1).peer_port_learned);
  EXPECT_TRUE(from(3333, 2).peer_port_changed);
  EXPECT_FALSE(from(3333, 3).peer_port_changed) << "told already";
  EXPECT_TRUE(from(4444, 4).peer_port_changed);
  EXPECT_FALSE(from(2222, 5).peer_port_changed);
  EXPECT_EQ(peer_port(u.lab, SaRole::kOutPcUs), 2222u);
}

// Shows: R-M-09
TEST(EspDelivery, ChangedPeerPortIsFollowedToNewerPackets) {
  Uplink u(kTunnel);
  u.lab.inbound.follow_peer_port = true;
  const auto from = [&](uint16_t port, uint32_t sequence) {
    return u.lab.receive(on_wire(u.record, seal(u.lab, kSaA, u.good(sequence)), port)).news;
  };
  EXPECT_TRUE(from(2222, 10).peer_port_learned);
  EXPECT_TRUE(from(3333, 12).peer_port_changed);
  EXPECT_EQ(peer_port(u.lab, SaRole::kOutPcUs), 3333u);
  EXPECT_FALSE(from(2222, 11).peer_port_changed) << "an old packet that was late";
  EXPECT_EQ(peer_port(u.lab, SaRole::kOutPcUs), 3333u);
}

// Shows: R-M-06
TEST(EspDelivery, OuterSourceIsNoSelectorButCounted) {
  Uplink u(kTunnel);
  const Bytes esp = seal(u.lab, kSaA, u.good(1));
  const Received moved = u.lab.receive(
      on_wire(u.record, esp, 4500, [](IpShape& shape) { shape.source = address("203.0.113.77"); }));
  EXPECT_EQ(moved.reason, DropReason::kNone);
  EXPECT_TRUE(moved.news.outer_source_changed);
  EXPECT_FALSE(u.lab.receive(u.wire(u.good(2))).news.outer_source_changed);
}

// Shows: R-7.1-10
TEST(EspDelivery, UdpOnSaCPassesAndIsTold) {
  for (const RecordShape& shape : {RecordShape{}, kTunnel}) {
    EspLab lab(make_record(1, shape));
    const SaSetRecord record = make_record(1, shape);
    const IpShape inner = inner_shape(record, SaRole::kInUsPc, kProtocolUdp);
    const Bytes l4 = udp(inner, record.port_us, record.port_pc, pattern(4));
    const bool is_tunnel = shape.mode != shm::Mode::kTransport;
    const Seal what = {1, is_tunnel ? kProtocolIpv4 : kProtocolUdp,
                       is_tunnel ? ip_packet(inner, l4) : l4};
    const Received received = lab.receive(on_wire(record, seal(lab, SaRole::kInUsPc, what)));
    EXPECT_EQ(received.reason, DropReason::kNone);
    EXPECT_TRUE(received.news.udp_on_tcp_sa);
    Uplink u(shape);
    EXPECT_FALSE(u.lab.receive(u.wire(u.good(1))).news.udp_on_tcp_sa);
  }
}

}  // namespace
}  // namespace gmesp::ipsec
