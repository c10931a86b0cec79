// Clear IP datagrams and Ethernet frames, made byte by byte from the RFCs: nothing here is shared
// with the code under test.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gmesp::test {

using Bytes = std::vector<uint8_t>;

/// An address as it stands in a packet: 4 or 16 bytes.
struct Ip {
  Bytes bytes;
  bool is_v4() const { return bytes.size() == 4; }
  friend bool operator==(const Ip&, const Ip&) = default;
};
Ip ip(const std::string& text);

inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpAck = 0x10;

struct ExtensionHeader {
  uint8_t number;
  Bytes bytes;  ///< the first, "next header", is filled in
};

/// A UDP datagram, a TCP segment, or (any other protocol) `payload` right behind the IP header.
struct Datagram {
  Ip source = {};
  Ip destination = {};
  uint8_t protocol = 17;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  Bytes payload = {};

  uint8_t tos = 0;  ///< or traffic class
  uint8_t ttl = 64;
  bool dont_fragment = false;
  uint16_t identification = 1;
  Bytes ipv4_options = {};  ///< a multiple of 4
  std::vector<ExtensionHeader> extensions = {};

  uint8_t tcp_flags = kTcpAck;
  uint32_t tcp_sequence = 1000;
  Bytes tcp_options = {};  ///< a multiple of 4

  uint16_t l4_checksum_error = 0;  ///< xored into the right one
  bool without_udp_checksum = false;
};

Bytes ip_packet(const Datagram& datagram);

/// An ICMP or ICMPv6 message (by the family of `source`): type, code, the four bytes behind the
/// checksum, the rest.
Bytes icmp_packet(const Ip& source, const Ip& destination, uint8_t type, uint8_t code,
                  uint32_t second_word, const Bytes& rest);
/// "Too big": type 3 code 4, or ICMPv6 type 2, quoting the first bytes of `quoted`.
Bytes too_big(const Ip& source, const Ip& destination, uint32_t mtu, const Bytes& quoted);
/// "Port unreachable" about `quoted`.
Bytes port_unreachable(const Ip& source, const Ip& destination, const Bytes& quoted);

/// Ethernet around an IP packet; two tags are 802.1ad around 802.1Q. EtherType by the version.
Bytes frame_to_host(const Bytes& packet, const std::vector<uint16_t>& vlans = {});
Bytes frame_from_host(const Bytes& packet, const std::vector<uint16_t>& vlans = {});
Bytes frame_of_type(uint16_t ether_type, const Bytes& payload);
/// Filled up to `bytes` with `fill`, as Ethernet does with short frames (64 bytes and their FCS).
Bytes padded(Bytes frame, size_t bytes = 60, uint8_t fill = 0);

/// Bytes [offset, offset + count) of what follows the IP header of `packet`, as a fragment. IPv6:
/// the fragment header stands right behind the fixed header.
Bytes fragment(const Bytes& packet, uint32_t identification, uint32_t offset, uint32_t count,
               bool more_fragments);
/// All of `packet` in fragments of `step` bytes of payload, a multiple of 8.
std::vector<Bytes> cut(const Bytes& packet, uint32_t identification, uint32_t step);

/// Folded sum of 16-bit words (RFC 1071), `start` first; 0xffff over bytes with a right checksum.
uint16_t internet_sum(std::span<const uint8_t> bytes, uint64_t start = 0);
/// Of the pseudo header (RFC 768, RFC 8200 8.1).
uint64_t pseudo_sum(const Ip& source, const Ip& destination, uint8_t protocol, size_t bytes);
/// Writes the IPv4 header checksum of `packet` anew.
void mend_ipv4_checksum(Bytes& packet);

/// Bytes of which no two stretches look alike: 0, 1, 2, ... with the index mixed in.
Bytes pattern(size_t bytes, uint32_t seed = 0);

uint16_t get16(std::span<const uint8_t> bytes, size_t at);
uint32_t get32(std::span<const uint8_t> bytes, size_t at);
void put16(Bytes& bytes, size_t at, uint32_t value);
void put32(Bytes& bytes, size_t at, uint32_t value);
void append16(Bytes& bytes, uint32_t value);
void append32(Bytes& bytes, uint32_t value);
void append(Bytes& bytes, std::span<const uint8_t> more);

}  // namespace gmesp::test
