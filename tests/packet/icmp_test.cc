// ICMP errors made by scapy, cut at every byte, and our own too-big message against scapy's.
#include "dataplane/ipsec/icmp.h"

#include <gtest/gtest.h>

#include "dataplane/ipsec/byte_order.h"
#include "frame.h"

namespace gmesp::ipsec {
namespace {

constexpr uint16_t kEncapsulationPort = 4500;

IcmpQuote read(const Bytes& bytes) {
  Frame frame(bytes);
  EXPECT_EQ(parse(frame.packet), DropReason::kNone);
  return read_icmp(frame.packet, kEncapsulationPort);
}

// Shows: R-2401-03, R-4301-01
TEST(Icmp, ReadsWhatScapyQuotes) {
  struct Row {
    const char* name;
    IcmpKind kind;
    uint32_t mtu_bytes;
    bool has_packet, has_ports, has_spi;
    uint8_t protocol;
    uint16_t source_port, destination_port;
    uint32_t spi;
  };
  using enum IcmpKind;
  const Row rows[] = {
      {"icmp4.too_big.esp", kTooBig, 1400, true, false, true, 50, 0, 0, 0xcafe0001},
      {"icmp4.too_big.nat", kTooBig, 1400, true, true, true, 17, 4500, 31000, 0xcafe0002},
      {"icmp4.unreachable.udp", kOtherError, 0, true, true, false, 17, 5060, 6060, 0},
      {"icmp4.time_exceeded.options", kOtherError, 0, true, true, false, 6, 5061, 6061, 0},
      {"icmp4.later_fragment", kOtherError, 0, true, false, false, 17, 0, 0, 0},
      {"icmp4.echo", kNotAnError, 0, false, false, false, 0, 0, 0, 0},
      {"icmp6.too_big.esp", kTooBig, 1300, true, false, true, 50, 0, 0, 0xcafe0003},
      {"icmp6.too_big.nat", kTooBig, 1300, true, true, true, 17, 4500, 31000, 0xcafe0002},
      {"icmp6.unreachable.tcp", kOtherError, 0, true, true, false, 6, 5061, 6061, 0},
      {"icmp6.later_fragment", kOtherError, 0, true, false, false, 17, 0, 0, 0},
      {"icmp6.later_fragment.chain", kOtherError, 0, false, false, false, 60, 0, 0, 0},
      {"icmp6.echo", kNotAnError, 0, false, false, false, 0, 0, 0, 0},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const IcmpQuote quote = read(golden(row.name));
    EXPECT_EQ(quote.kind, row.kind);
    EXPECT_EQ(quote.mtu_bytes, row.mtu_bytes);
    EXPECT_EQ(quote.has_packet, row.has_packet);
    EXPECT_EQ(quote.has_ports, row.has_ports);
    EXPECT_EQ(quote.has_spi, row.has_spi);
    EXPECT_EQ(quote.protocol, row.protocol);
    EXPECT_EQ(quote.source_port, row.source_port);
    EXPECT_EQ(quote.destination_port, row.destination_port);
    EXPECT_EQ(quote.spi, row.spi);
    if (!row.has_packet) continue;
    const bool is_ipv4 = quote.source.is_ipv4();
    EXPECT_EQ(text(quote.source), is_ipv4 ? "198.51.100.2" : "2001:db8:1::2");
    EXPECT_EQ(text(quote.destination), is_ipv4 ? "192.0.2.1" : "2001:db8::1");
  }
}

/// An ICMP message with a right checksum.
Bytes message(bool is_ipv4, const Bytes& icmp) {
  DatagramShape shape;
  shape.is_ipv4 = is_ipv4;
  shape.protocol = is_ipv4 ? kProtocolIcmp : kProtocolIcmpv6;
  Bytes bytes = make_datagram(shape, icmp);
  Frame frame(bytes);
  EXPECT_EQ(parse(frame.packet), DropReason::kNone);
  if (icmp.size() < 4) return bytes;
  const uint16_t sum = is_ipv4 ? naive_sum(icmp) : naive_l4_sum(frame.packet);
  store_be16(bytes.data() + frame.packet.layers.l4_offset + 2, static_cast<uint16_t>(~sum));
  return bytes;
}

/// The ICMP part of a golden message, its checksum zero.
Bytes icmp_of(const char* name) {
  Frame frame(golden(name));
  EXPECT_EQ(parse(frame.packet), DropReason::kNone);
  Bytes icmp(frame.packet.at(frame.packet.layers.l4_offset),
             frame.packet.data + frame.packet.length);
  icmp[2] = icmp[3] = 0;
  return icmp;
}

// Shows: R-2401-03, R-2406-07
TEST(Icmp, QuotesCutAnywhere) {
  for (const char* name : {"icmp4.too_big.esp", "icmp4.too_big.nat", "icmp6.too_big.esp",
                           "icmp6.too_big.nat", "icmp6.unreachable.tcp"}) {
    const Bytes icmp = icmp_of(name);
    const bool is_ipv4 = name[4] == '4';
    const bool is_too_big = std::string_view(name).find("too_big") != std::string_view::npos;
    const bool is_esp = std::string_view(name).find("esp") != std::string_view::npos;
    const bool is_nat = std::string_view(name).find("nat") != std::string_view::npos;
    // Where the quoted L4 starts; icmp6.too_big.esp has 16 bytes of destination options before it.
    const uint32_t l4_at = 8 + (is_ipv4 ? 20 : 40) + (!is_ipv4 && is_esp ? 16 : 0);
    for (uint32_t length = 0; length <= icmp.size(); ++length) {
      SCOPED_TRACE(testing::Message() << name << " cut to " << length);
      const IcmpQuote quote = read(message(is_ipv4, Bytes(icmp.begin(), icmp.begin() + length)));
      if (length < 2) {
        EXPECT_EQ(quote.kind, IcmpKind::kNotAnError);
        continue;
      }
      EXPECT_EQ(quote.kind, is_too_big && length >= 8 ? IcmpKind::kTooBig : IcmpKind::kOtherError);
      EXPECT_EQ(quote.has_packet, length >= l4_at);
      EXPECT_EQ(quote.has_ports, !is_esp && length >= l4_at + 4);
      EXPECT_EQ(quote.has_spi, (is_esp && length >= l4_at + 4) || (is_nat && length >= l4_at + 12));
    }
  }
}

// Shows: R-4301-01
TEST(Icmp, WrongChecksumQuotesNothing) {
  for (const char* name : {"icmp4.too_big.esp", "icmp6.too_big.esp"}) {
    Bytes bytes = golden(name);
    bytes.back() ^= 1;
    const IcmpQuote quote = read(bytes);
    EXPECT_EQ(quote.kind, IcmpKind::kOtherError);
    EXPECT_FALSE(quote.has_packet);
    EXPECT_EQ(quote.mtu_bytes, 0u);
  }
}

// Shows: R-4301-01
TEST(Icmp, Kinds) {
  for (const bool is_ipv4 : {true, false}) {
    for (uint32_t type = 0; type < 256; ++type) {
      for (const uint8_t code : {0, 4}) {
        Bytes icmp(8, 0);
        icmp[0] = static_cast<uint8_t>(type);
        icmp[1] = code;
        IcmpKind wanted = IcmpKind::kNotAnError;
        if (is_ipv4 ? type == 3 || type == 4 || type == 5 || type == 11 || type == 12 : type < 128)
          wanted = IcmpKind::kOtherError;
        if (is_ipv4 ? type == 3 && code == 4 : type == 2) wanted = IcmpKind::kTooBig;
        EXPECT_EQ(read(message(is_ipv4, icmp)).kind, wanted) << type << "/" << int{code};
      }
    }
  }
}

// Shows: R-4301-01
TEST(Icmp, OtherFamilysIcmpIsNone) {
  DatagramShape shape;
  shape.protocol = kProtocolIcmpv6;
  EXPECT_EQ(read(make_datagram(shape, {1, 0, 0, 0, 0, 0, 0, 0})).kind, IcmpKind::kNotAnError);
  shape.is_ipv4 = false;
  shape.protocol = kProtocolIcmp;
  EXPECT_EQ(read(make_datagram(shape, {3, 0, 0, 0, 0, 0, 0, 0})).kind, IcmpKind::kNotAnError);
}

// Shows: R-2401-03
TEST(Icmp, OddQuotes) {
  struct Row {
    const char* what;
    const char* name;
    uint32_t at;  ///< in the ICMP message
    uint8_t value;
    bool has_packet, has_spi;
  };
  const Row rows[] = {
      {"IP version of the other family", "icmp4.too_big.esp", 8, 0x65, false, false},
      {"header length below 20", "icmp4.too_big.esp", 8, 0x44, false, false},
      {"header length beyond the quote", "icmp4.too_big.esp", 8, 0x4f, false, false},
      {"total length below the header", "icmp4.too_big.esp", 11, 19, false, false},
      {"total length ends inside the SPI", "icmp4.too_big.esp", 11, 23, true, false},
      {"IKE marker instead of an SPI", "icmp4.too_big.nat", 36, 0xca, true, true},
      {"IP version of the other family", "icmp6.too_big.esp", 8, 0x40, false, false},
      {"extension header too long", "icmp6.too_big.esp", 49, 200, false, false},
      {"payload ends in an extension header", "icmp6.too_big.esp", 13, 12, false, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Bytes icmp = icmp_of(row.name);
    icmp[row.at] = row.value;
    const IcmpQuote quote = read(message(row.name[4] == '4', icmp));
    EXPECT_EQ(quote.kind, IcmpKind::kTooBig);
    EXPECT_EQ(quote.has_packet, row.has_packet);
    EXPECT_EQ(quote.has_spi, row.has_spi);
  }
}

// Shows: R-2401-03
TEST(Icmp, EndlessExtensionHeadersAreNotFollowed) {
  Bytes icmp = {1, 0, 0, 0, 0, 0, 0, 0};
  DatagramShape shape;
  shape.is_ipv4 = false;
  shape.protocol = kProtocolDestinationOptions;
  Bytes options;
  for (uint32_t i = 0; i < 20; ++i)
    options.insert(options.end(), {kProtocolDestinationOptions, 0, 1, 4, 0, 0, 0, 0});
  const Bytes quoted = make_datagram(shape, options);
  icmp.insert(icmp.end(), quoted.begin() + 14, quoted.end());
  const IcmpQuote quote = read(message(false, icmp));
  EXPECT_EQ(quote.kind, IcmpKind::kOtherError);
  EXPECT_FALSE(quote.has_packet);
}

// Shows: R-2401-03
TEST(Icmp, MarkerOfIkeIsNoSpi) {
  Bytes icmp = icmp_of("icmp4.too_big.nat");
  std::fill_n(icmp.begin() + 36, 4, uint8_t{0});
  const IcmpQuote quote = read(message(true, icmp));
  EXPECT_TRUE(quote.has_ports);
  EXPECT_FALSE(quote.has_spi);
}

// Shows: R-2401-02
TEST(TooBig, EqualsScapys) {
  for (const std::string name : {"too_big4", "too_big6"}) {
    Frame offending(golden(name + ".offending"));
    ASSERT_EQ(parse(offending.packet), DropReason::kNone);
    const Bytes& wanted = golden(name + ".reply");
    Frame reply = Frame::empty(static_cast<uint32_t>(wanted.size()) + 5);
    ASSERT_TRUE(write_too_big(offending.packet, 1386, 5, reply.packet));
    EXPECT_EQ(reply.packet.headroom(), 5u);
    EXPECT_EQ(reply.bytes(), wanted);
    EXPECT_FALSE(write_too_big(offending.packet, 1386, 6, reply.packet));
    EXPECT_FALSE(write_too_big(offending.packet, 1386, 5000, reply.packet));
  }
}

// Shows: R-2401-02
TEST(TooBig, QuotesAllOfAShortPacketAndIsReadBack) {
  for (const char* name : {"udp4", "udp6"}) {
    Frame offending(golden(name));
    ASSERT_EQ(parse(offending.packet), DropReason::kNone);
    Frame reply = Frame::empty(2000);
    ASSERT_TRUE(write_too_big(offending.packet, 1280, 0, reply.packet));
    ASSERT_EQ(parse(reply.packet), DropReason::kNone);
    const Layers& layers = reply.packet.layers;
    EXPECT_EQ(reply.packet.l4_bytes(), 8 + offending.packet.layers.l3_bytes);
    EXPECT_TRUE(layers.source == offending.packet.layers.destination);
    EXPECT_TRUE(layers.destination == offending.packet.layers.source);
    const IcmpQuote quote = read_icmp(reply.packet, kEncapsulationPort);
    EXPECT_EQ(quote.kind, IcmpKind::kTooBig);
    EXPECT_EQ(quote.mtu_bytes, 1280u);
    EXPECT_EQ(quote.source_port, 5060);
  }
}

// Shows: R-2401-02
TEST(TooBig, NotAboutEverything) {
  struct Row {
    const char* what;
    const char* name;
    std::vector<std::pair<uint32_t, uint8_t>> changes;  ///< offset in the frame, byte
    bool sent;
  };
  const Row rows[] = {
      {"plain", "tcp4", {}, true},
      {"echo", "icmp4.echo", {}, true},
      {"error", "icmp4.unreachable.udp", {}, false},
      {"error", "icmp6.too_big.esp", {}, false},
      {"echo", "icmp6.echo", {}, true},
      {"redirect", "icmp6.echo", {{54, 137}}, false},
      {"first fragment", "whole4.0", {}, true},
      {"later fragment", "whole4.1", {}, false},
      {"later fragment", "whole6.1", {}, false},
      {"frame to a group", "udp4", {{0, 3}}, false},
      {"to multicast", "udp6", {{38, 0xff}}, false},
      {"from nowhere to broadcast", "dhcp4", {}, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::Message() << row.what << ": " << row.name);
    Bytes bytes = golden(row.name);
    for (const auto& [at, value] : row.changes) bytes[at] = value;
    Frame offending(bytes);
    ASSERT_EQ(parse(offending.packet), DropReason::kNone);
    Frame reply = Frame::empty(2000);
    EXPECT_EQ(write_too_big(offending.packet, 1280, 0, reply.packet), row.sent);
  }
}

// Shows: R-2401-02
TEST(TooBig, NotToOrFromAddressesThatAreNoHost) {
  for (const char* name : {"tcp4", "tcp6"}) {
    for (const char* bad : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"}) {
      for (const bool is_source : {true, false}) {
        Frame offending(golden(name));
        ASSERT_EQ(parse(offending.packet), DropReason::kNone);
        Layers& layers = offending.packet.layers;
        Address address;
        ASSERT_TRUE(parse_address(bad, address));
        if (address.is_ipv4() != layers.is_ipv4) continue;
        (is_source ? layers.source : layers.destination) = address;
        const bool is_unspecified_destination =
            !is_source && (bad[0] == '0' || bad == std::string("::"));
        Frame reply = Frame::empty(2000);
        EXPECT_EQ(write_too_big(offending.packet, 1280, 0, reply.packet),
                  is_unspecified_destination)
            << bad;
      }
    }
  }
}

}  // namespace
}  // namespace gmesp::ipsec
