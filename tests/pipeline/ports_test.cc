// Protected ports take nothing clear and let nothing clear out; all other traffic passes untouched
// (TS 33.203 7.1 "use of ports").
#include <gtest/gtest.h>

#include "dissection.h"
#include "lab.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using ipsec::Statistic;
using shm::SaRole;

Registration in_family(bool is_v4) {
  return make_registration(1, shm::Mode::kTransport, is_v4);
}

std::vector<uint16_t> protected_ports() {
  std::vector<uint16_t> ports(std::begin(kClientPorts), std::end(kClientPorts));
  ports.push_back(kServerPort);
  return ports;
}

/// TCP and UDP as an attacker or a confused UE sends them.
std::vector<Datagram> attempts(const Ip& source, const Ip& destination, uint16_t source_port,
                               uint16_t destination_port) {
  Datagram datagram{.source = source, .destination = destination};
  datagram.source_port = source_port;
  datagram.destination_port = destination_port;
  std::vector<Datagram> all;
  datagram.payload = pattern(40);
  all.push_back(datagram);  // UDP
  datagram.protocol = 6;
  all.push_back(datagram);  // TCP data
  datagram.payload.clear();
  for (const uint8_t flags : {kTcpSyn, kTcpFin, kTcpRst, uint8_t{kTcpRst | kTcpAck}}) {
    datagram.tcp_flags = flags;
    all.push_back(datagram);
  }
  return all;
}

class PortsTest : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(BothFamilies, PortsTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "IPv4" : "IPv6"; });

// Shows: R-7.1-18, R-2401-01
TEST_P(PortsTest, ClearToAProtectedPortNeverReachesTheHost) {
  const Registration ue = in_family(GetParam());
  Lab lab;
  uint64_t tried = 0;
  for (int round = 0; round < 3; ++round) {  // before a set exists, while it lives, afterwards
    const uint64_t set_id = round == 1 ? lab.install(ue) : 0;
    for (const uint16_t port : protected_ports())
      for (const Datagram& datagram : attempts(ue.ue, ue.local, ue.port_uc, port)) {
        EXPECT_TRUE(lab.from_network(frame_to_host(ip_packet(datagram))).empty());
        ++tried;
      }
    if (round == 1) lab.remove(set_id);
  }
  EXPECT_EQ(lab.count(DropReason::kClearToProtectedPort), tried);
}

// Shows: R-D-U1
TEST_P(PortsTest, NoOtherLocalAddressOpensThem) {
  const bool is_v4 = GetParam();
  Lab lab;
  const std::vector<std::string> addresses =
      is_v4 ? std::vector<std::string>{"192.0.2.11", "255.255.255.255", "224.0.1.75", "10.1.1.1"}
            : std::vector<std::string>{"2001:db8:1::11", "ff02::1", "fe80::1"};
  for (const std::string& address : addresses) {
    const Datagram datagram =
        attempts(in_family(is_v4).ue, ip(address), 40000, kServerPort).front();
    EXPECT_TRUE(lab.from_network(frame_to_host(ip_packet(datagram))).empty()) << address;
  }
  EXPECT_EQ(lab.count(DropReason::kClearToProtectedPort), addresses.size());
}

// Shows: R-7.1-19, R-2401-01, R-D-T1
TEST_P(PortsTest, NothingLeavesInClearWhateverTheHostDoes) {
  const Registration ue = in_family(GetParam());
  Lab lab;
  uint64_t tried = 0;
  for (int round = 0; round < 2; ++round) {
    if (round == 1) lab.remove(lab.install(ue));  // connections of a deleted set die silently
    for (const uint16_t port : protected_ports())
      for (const Datagram& datagram : attempts(ue.local, ue.ue, port, ue.port_uc)) {
        EXPECT_TRUE(lab.from_host(frame_from_host(ip_packet(datagram))).empty());
        ++tried;
      }
  }
  EXPECT_EQ(lab.count(DropReason::kNoSaForProtectedPort), tried);
}

// Shows: R-7.1-19
TEST_P(PortsTest, RstAndFinOfTheHostGoOutUnderEspOnly) {
  const Registration ue = in_family(GetParam());
  Lab lab;
  lab.install(ue);
  for (const uint8_t flags : {kTcpRst, kTcpFin}) {
    Datagram datagram = ue.datagram(SaRole::kOutPsUc, {}, 6);
    datagram.tcp_flags = flags;
    const Bytes frame = only(lab.from_host(frame_from_host(ip_packet(datagram))), Side::kAccess);
    EXPECT_EQ(open(ue.sa(SaRole::kOutPsUc), packet_in(frame)).clear, ip_packet(datagram));
  }
}

// Shows: R-7.1-19
TEST_P(PortsTest, IcmpErrorsOfTheHostCarryNoProtectedBytes) {
  const Registration ue = in_family(GetParam());
  Lab lab;
  lab.install(ue);
  const auto refuse = [&](const Bytes& quoted) {
    const Bytes error = port_unreachable(ue.local, ue.ue, quoted);
    EXPECT_TRUE(lab.from_host(frame_from_host(error)).empty());
  };
  refuse(ue.clear(SaRole::kInUcPs, pattern(60)));
  refuse(ue.clear(SaRole::kInUsPc, pattern(60), 6));
  refuse(packet_in(ue.uplink(SaRole::kInUcPs, 1, pattern(60))));
  Bytes ports_cut_off = ue.clear(SaRole::kInUcPs, pattern(60));
  ports_cut_off.resize(ports_cut_off.size() - 67);
  refuse(ports_cut_off);
  EXPECT_EQ(lab.count(DropReason::kIcmpQuotesProtected), 4u);
}

// Shows: R-7.1-20
TEST_P(PortsTest, IcmpErrorsAboutOtherPortsPass) {
  const Registration ue = in_family(GetParam());
  Lab lab;
  Datagram theirs{.source = ue.ue, .destination = ue.local};
  theirs.source_port = 33333;
  theirs.destination_port = 53;
  const Bytes frame = frame_from_host(port_unreachable(ue.local, ue.ue, ip_packet(theirs)));
  EXPECT_EQ(only(lab.from_host(frame), Side::kAccess), frame);
}

/// What a P-CSCF's network sees beside protected SIP.
std::vector<Bytes> other_traffic(bool is_v4) {
  const Registration ue = in_family(is_v4);
  std::vector<Bytes> packets;
  Datagram datagram{.source = ue.ue, .destination = ue.local};
  for (const uint16_t port : {5060, 5061, 53, 22, 65535}) {
    datagram.source_port = 40000;
    datagram.destination_port = port;
    datagram.payload = pattern(500);
    datagram.protocol = 17;
    packets.push_back(ip_packet(datagram));
    datagram.protocol = 6;
    packets.push_back(ip_packet(datagram));
  }
  datagram.protocol = 132;  // SCTP: no selector of TS 33.203 names it
  packets.push_back(ip_packet(datagram));
  packets.push_back(icmp_packet(ue.ue, ue.local, is_v4 ? 8 : 128, 0, 1, pattern(56)));
  if (!is_v4) {
    Bytes solicitation = Bytes(ue.local.bytes);
    append(solicitation, Bytes{1, 1, 2, 0, 0, 0, 0, 2});
    packets.push_back(icmp_packet(ue.ue, ip("ff02::1:ff00:10"), 135, 0, 0, solicitation));
  }
  return packets;
}

// Shows: R-7.1-20
TEST_P(PortsTest, OtherTrafficPassesByteForByte) {
  Lab lab;
  const std::vector<Bytes> packets = other_traffic(GetParam());
  const std::vector<std::vector<uint16_t>> tags = {{}, {100}, {0x2001, 5}};
  for (const Bytes& packet : packets)
    for (const std::vector<uint16_t>& vlans : tags) {
      const Bytes in = frame_to_host(packet, vlans);
      EXPECT_EQ(only(lab.from_network(in), Side::kHost), in);
      const Bytes out = frame_from_host(packet, vlans);
      EXPECT_EQ(only(lab.from_host(out), Side::kAccess), out);
    }
  EXPECT_EQ(lab.count(Statistic::kClearInPackets), packets.size() * tags.size());
  EXPECT_EQ(lab.count(Statistic::kClearOutPackets), packets.size() * tags.size());
}

// Shows: R-7.1-20
TEST(Ports, ArpAndUnknownEtherTypesPassByteForByte) {
  Lab lab;
  for (const uint16_t type : {0x0806, 0x88cc, 0x8863, 0x05dc}) {
    const Bytes frame = padded(frame_of_type(type, pattern(28)));
    EXPECT_EQ(only(lab.from_network(frame), Side::kHost), frame);
    EXPECT_EQ(only(lab.from_host(frame), Side::kAccess), frame);
  }
}

// Shows: R-7.1-20
TEST(Ports, ClearRegisterKeepsEverythingButEthernetPadding) {
  Lab lab;
  Datagram datagram{.source = ip("198.51.100.7"), .destination = ip("192.0.2.10")};
  datagram.source_port = datagram.destination_port = 5060;
  const Bytes frame = frame_to_host(ip_packet(datagram));
  EXPECT_EQ(only(lab.from_network(padded(frame, 60, 0xee)), Side::kHost), frame);
}

// Shows: R-7.1-20
TEST(Ports, ClearTrafficIsLimitedAndNothingElse) {
  LabOptions options;
  options.pipeline.clear_packets_per_second = 100;
  Lab lab(options);
  const Registration ue = in_family(true);
  lab.install(ue);
  Datagram clear{.source = ue.ue, .destination = ue.local};
  clear.destination_port = 5060;
  const Bytes in = frame_to_host(ip_packet(clear));
  std::swap(clear.source, clear.destination);
  const Bytes out = frame_from_host(ip_packet(clear));
  uint32_t passed = 0;
  const uint64_t start_ms = lab.now_ms;
  for (; lab.now_ms < start_ms + 5000; ++lab.now_ms) {  // a thousand a second arrive
    passed += static_cast<uint32_t>(lab.from_network(in).size());
    EXPECT_EQ(lab.from_host(out).size(), 1u);
  }
  EXPECT_GE(passed, 490u);
  EXPECT_LE(passed, 520u);
  EXPECT_EQ(lab.count(DropReason::kClearRateLimited), 5000 - passed);
  EXPECT_EQ(lab.from_network(ue.uplink(SaRole::kInUcPs, 1, pattern(100))).size(), 1u)
      << "ESP has its own limits: keys";
}

}  // namespace
}  // namespace gmesp::test
