// Exact selectors: a valid key opens exactly one pair of addresses and ports, and which SA a packet
// leaves on follows from exactly these (TS 33.203 7.1; RFC 2401 5.2.1).
#include <gtest/gtest.h>

#include <algorithm>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using ipsec::Statistic;
using shm::SaRole;

constexpr auto kTunnel = shm::Mode::kUdpEncapsulatedTunnel;

Ip neighbour(Ip address) {
  address.bytes.back() ^= 0x40;
  return address;
}

/// `datagram` with one field off, and why it must be dropped.
struct Deviation {
  const char* what;
  Datagram datagram;
  DropReason reason;
};

std::vector<Deviation> deviations(const Registration& ue, const Datagram& right) {
  std::vector<Deviation> all;
  const auto add = [&](const char* what, DropReason reason, auto change) {
    all.push_back({what, right, reason});
    change(all.back().datagram);
  };
  add("source address", DropReason::kSelectorAddress,
      [](Datagram& d) { d.source = neighbour(d.source); });
  add("source port", DropReason::kSelectorPort, [](Datagram& d) { d.source_port ^= 1; });
  add("other port of the UE", DropReason::kSelectorPort,
      [&](Datagram& d) { d.source_port = d.source_port == ue.port_uc ? ue.port_us : ue.port_uc; });
  add("destination port", DropReason::kSelectorPort, [](Datagram& d) { d.destination_port ^= 1; });
  add("other port of ours", DropReason::kSelectorPort, [&](Datagram& d) {
    d.destination_port = d.destination_port == ue.port_ps ? ue.port_pc : ue.port_ps;
  });
  add("ports exchanged", DropReason::kSelectorPort,
      [](Datagram& d) { std::swap(d.source_port, d.destination_port); });
  if (!ue.is_tunnel()) return all;
  // In transport mode another destination finds no SA at all; in the tunnel it is checked inside.
  add("destination address", DropReason::kSelectorAddress,
      [](Datagram& d) { d.destination = neighbour(d.destination); });
  return all;
}

// Shows: R-7.1-05, R-D-S2, R-M-05
TEST(Selectors, EachFieldOffUnderAValidKeyIsDropped) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    uint32_t sequence = 0;
    for (const SaRole role : {SaRole::kInUcPs, SaRole::kInUsPc})
      for (const uint8_t protocol : {17, 6})
        for (const Deviation& off : deviations(ue, ue.datagram(role, pattern(50), protocol))) {
          const uint64_t before = lab.count(off.reason);
          const Bytes packet = seal(ue.sa(role), ++sequence, ip_packet(off.datagram));
          EXPECT_TRUE(lab.from_network(frame_to_host(packet)).empty()) << off.what;
          EXPECT_EQ(lab.count(off.reason), before + 1)
              << off.what << ", " << kind(ue) << ": " << lab.drops();
        }
    EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUcPs, ++sequence, pattern(50))).size(), 1u);
  }
}

// Shows: R-7.1-08
TEST(Selectors, TransportModeTakesTcpAndUdpOnly) {
  const Registration ue = make_registration(1);
  Lab lab;
  lab.install(ue);
  const Bytes clear = ue.clear(SaRole::kInUcPs, pattern(50));
  uint32_t sequence = 0;
  for (uint32_t next_header = 0; next_header < 256; ++next_header) {
    if (next_header == 6 || next_header == 17 || next_header == 59) continue;
    const Bytes packet = seal(ue.sa(SaRole::kInUcPs), ++sequence, clear,
                              {.next_header = static_cast<uint8_t>(next_header)});
    EXPECT_TRUE(lab.from_network(frame_to_host(packet)).empty()) << next_header;
  }
  EXPECT_EQ(lab.count(DropReason::kNextHeaderRefused), 253u) << lab.drops();
}

// Shows: R-3948-03
TEST(Selectors, TunnelModeTakesIpOfItsFamilyOnly) {
  for (const bool is_v4 : {true, false}) {
    const Registration ue = make_registration(1, kTunnel, is_v4);
    Lab lab;
    lab.install(ue);
    const Bytes clear = ue.clear(SaRole::kInUcPs, pattern(50));
    uint32_t sequence = 0;
    for (uint32_t next_header = 0; next_header < 256; ++next_header) {
      if (next_header == (is_v4 ? 4 : 41) || next_header == 59) continue;
      const Bytes packet = seal(ue.sa(SaRole::kInUcPs), ++sequence, clear,
                                {.next_header = static_cast<uint8_t>(next_header)});
      EXPECT_TRUE(lab.from_network(frame_to_host(packet)).empty()) << next_header;
    }
    EXPECT_EQ(lab.dropped(), 254u) << lab.drops();
    EXPECT_GE(lab.count(DropReason::kNextHeaderRefused), 253u) << lab.drops();
  }
}

// Shows: R-7.1-06, R-7.5-02
TEST(Selectors, KeysDoNotMoveToAnotherAddress) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    Registration moved = ue;
    moved.ue = moved.outer_ue = neighbour(ue.ue);
    EXPECT_TRUE(lab.from_network(moved.uplink(SaRole::kInUcPs, 1, pattern(50))).empty());
    EXPECT_EQ(lab.count(DropReason::kSelectorAddress), 1u) << kind(ue) << ": " << lab.drops();
  }
}

// Shows: R-7.1-07
TEST(Selectors, OneSpiOnTwoLocalAddressesIsTwoSas) {
  Registration first = make_registration(1);
  Registration second = make_registration(2);
  second.local = second.outer_local = ip("192.0.2.11");
  second.spi_ps = first.spi_ps;
  second.spi_pc = first.spi_pc;
  Lab lab;
  lab.install(first);
  lab.install(second);
  for (const Registration& ue : {first, second}) {
    const Bytes frame =
        only(lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(50))), Side::kHost);
    EXPECT_EQ(packet_in(frame), ue.clear(SaRole::kInUcPs, pattern(50)));
  }
  Registration crossed = first;  // keys of one, address of the other
  crossed.local = second.local;
  EXPECT_TRUE(lab.from_network(crossed.uplink(SaRole::kInUcPs, 2, pattern(50))).empty());
  EXPECT_EQ(lab.count(DropReason::kIcvWrong), 1u);
}

/// Two UEs behind one NAT: one public address, the same SPIs, other ports.
// Shows: R-D-S1, R-M-11
TEST(Selectors, UesBehindOneNatWithEqualSpisAreBothReached) {
  for (const bool is_v4 : {true, false}) {
    const Registration first = make_registration(1, kTunnel, is_v4);
    Registration second = make_registration(2, kTunnel, is_v4);
    second.ue = second.outer_ue = first.ue;
    second.spi_uc = first.spi_uc;
    second.spi_us = first.spi_us;
    Lab lab;
    lab.install(first);
    lab.install(second);
    for (const Registration& ue : {first, second})
      EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(50))).size(), 1u);
    for (const Registration& ue : {first, second})
      for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs}) {
        const Bytes clear = ue.clear(role, pattern(50));
        const Bytes frame = only(lab.from_host(frame_from_host(clear)), Side::kAccess);
        EXPECT_EQ(open(ue.sa(role), packet_in(frame)).clear, clear);
        EXPECT_EQ(dissect(frame)->destination_port, ue.nat_port);
      }
  }
}

// Shows: R-M-11
TEST(Selectors, AThousandUesBehindOneNat) {
  LabOptions options;
  options.database.capacity_sets = 1000;
  Lab lab(options);
  std::vector<Registration> ues;
  for (uint32_t number = 1; number <= 1000; ++number) {
    ues.push_back(make_registration(number, kTunnel));
    ues.back().ue = ues.back().outer_ue = ip("203.0.113.77");
    ues.back().spi_uc = 0x1000 + number % 7;
    ues.back().spi_us = 0x2000 + number % 7;
    lab.install(ues.back());
  }
  for (const Registration& ue : ues) {
    ASSERT_EQ(lab.from_network(ue.uplink(SaRole::kInUsPc, 1, pattern(50))).size(), 1u);
    const Bytes clear = ue.clear(SaRole::kOutPcUs, pattern(50));
    const Bytes frame = only(lab.from_host(frame_from_host(clear)), Side::kAccess);
    ASSERT_EQ(open(ue.sa(SaRole::kOutPcUs), packet_in(frame)).clear, clear);
    ASSERT_EQ(dissect(frame)->destination_port, ue.nat_port);
  }
  EXPECT_EQ(lab.dropped(), 0u) << lab.drops();
}

// Shows: R-6.3-01, R-7.1-10, R-7.1-11, R-D-S3
TEST(Selectors, FourSasCarryTheirPortPairsWithTheirSpis) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    uint64_t udp_on_tcp_sas = 0;
    for (const uint8_t protocol : {17, 6})
      for (const SaRole role : {SaRole::kInUcPs, SaRole::kInUsPc}) {
        const uint32_t sequence = protocol == 17 ? 1 : 2;
        const Bytes clear = ue.clear(role, pattern(50), protocol);
        const Bytes in = frame_to_host(seal(ue.sa(role), sequence, clear));
        EXPECT_EQ(only(lab.from_network(in), Side::kHost), frame_to_host(clear)) << kind(ue);
        if (protocol == 17 && role == SaRole::kInUsPc) ++udp_on_tcp_sas;
      }
    for (const uint8_t protocol : {17, 6})
      for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs}) {
        const Bytes clear = ue.clear(role, pattern(50), protocol);
        const Bytes out = only(lab.from_host(frame_from_host(clear)), Side::kAccess);
        const Opened opened = open(ue.sa(role), packet_in(out));
        EXPECT_EQ(opened.clear, clear) << kind(ue);
        if (protocol == 17 && role == SaRole::kOutPsUc) ++udp_on_tcp_sas;
      }
    EXPECT_EQ(lab.dropped(), 0u) << lab.drops();
    // UDP goes uplink on SA-a, downlink on SA-d; on the others it is let through and counted.
    EXPECT_EQ(lab.count(Statistic::kUdpOnTcpSa), udp_on_tcp_sas) << kind(ue);
  }
}

// Shows: R-6.3-02, R-6.3-01
TEST(Selectors, UdpAndTcpShareOneSequenceAndOneWindow) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    const uint64_t set_id = lab.install(ue);
    for (uint32_t sequence = 1; sequence <= 40; ++sequence) {
      const uint8_t protocol = sequence % 3 == 0 ? 6 : 17;
      const Bytes clear = ue.clear(SaRole::kInUcPs, pattern(sequence), protocol);
      const Bytes in = frame_to_host(seal(ue.sa(SaRole::kInUcPs), sequence, clear));
      EXPECT_EQ(only(lab.from_network(in), Side::kHost), frame_to_host(clear));
      // A number that one protocol used up is not free for the other.
      const Bytes other = ue.clear(SaRole::kInUcPs, pattern(9), protocol == 6 ? 17 : 6);
      const Bytes again = frame_to_host(seal(ue.sa(SaRole::kInUcPs), sequence, other));
      EXPECT_TRUE(lab.from_network(again).empty());
      const Bytes down = ue.clear(SaRole::kOutPcUs, pattern(20), protocol);
      const Bytes out = only(lab.from_host(frame_from_host(down)), Side::kAccess);
      EXPECT_EQ(open(ue.sa(SaRole::kOutPcUs), packet_in(out)).sequence, sequence);
    }
    EXPECT_EQ(lab.count(DropReason::kReplaySeen), 40u) << lab.drops();
    EXPECT_EQ(lab.view(set_id).sa[0].packets, 40u);
    EXPECT_EQ(lab.view(set_id).sa[0].sequence, 40u);
    EXPECT_EQ(lab.view(set_id).sa[0].replays, 40u);
    EXPECT_EQ(lab.view(set_id).sa[3].packets, 40u);
  }
}

/// `packet` turned round, as an attacker on the path may do: no ICV of transport mode covers the
/// addresses, none of tunnel mode the outer header.
Bytes turned_round(const Registration& ue, Bytes packet) {
  const ptrdiff_t at = ue.is_v4() ? 12 : 8;
  const ptrdiff_t bytes = ue.is_v4() ? 4 : 16;
  std::swap_ranges(packet.begin() + at, packet.begin() + at + bytes, packet.begin() + at + bytes);
  if (!ue.is_tunnel()) return packet;
  put16(packet, ue.is_v4() ? 20 : 40, ue.nat_port);
  put16(packet, ue.is_v4() ? 22 : 42, 4500);
  put16(packet, ue.is_v4() ? 26 : 46, 0);
  return packet;
}

/// The same keys serve both directions: what we sent must not come back as if the UE had.
// Shows: R-5.1.4-01
TEST(Selectors, OwnPacketsReflectedAreNotAccepted) {
  for (const Registration& ue : all_kinds()) {
    Lab lab;
    lab.install(ue);
    EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(9))).size(), 1u);
    for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs}) {
      const Bytes clear = ue.clear(role, pattern(50));
      const Bytes out = packet_in(only(lab.from_host(frame_from_host(clear)), Side::kAccess));
      ASSERT_FALSE(out.empty());
      EXPECT_TRUE(lab.from_network(frame_to_host(turned_round(ue, out))).empty()) << kind(ue);
      // As it is, it is for the UE: bare ESP for nobody here, or some UDP datagram.
      const std::vector<Sent> sent = lab.from_network(frame_to_host(out));
      EXPECT_EQ(sent.size(), ue.is_tunnel() ? 1u : 0u) << kind(ue);
      for (const Sent& one : sent) EXPECT_EQ(one.frame, frame_to_host(out)) << "not opened";
    }
    EXPECT_EQ(lab.count(DropReason::kUnknownSpi), ue.is_tunnel() ? 2u : 4u) << lab.drops();
    EXPECT_EQ(lab.count(Statistic::kEspInPackets), 1u);
  }
}

/// Were the SPIs of both directions equal, a reflected packet would find an SA with its own keys.
// Shows: R-5.1.4-01, R-7.1-12
TEST(Selectors, ASetWhoseDirectionsShareAnSpiIsNotInstalled) {
  Lab lab;
  Registration ue = make_registration(1);
  ue.spi_us = ue.spi_pc;
  uint64_t set_id = 0;
  std::string detail;
  EXPECT_EQ(lab.database().install(ue.record(), lab.now_ms, set_id, detail),
            shm::Status::kSpiRepeated);
}

}  // namespace
}  // namespace gmesp::test
