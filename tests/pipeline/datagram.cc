#include "datagram.h"

#include <arpa/inet.h>

#include <algorithm>
#include <stdexcept>

namespace gmesp::test {
namespace {

const Bytes kHostMac = {0x02, 0, 0, 0, 0, 0x01};
const Bytes kRouterMac = {0x02, 0, 0, 0, 0, 0x02};

Bytes frame(const Bytes& to, const Bytes& from, const std::vector<uint16_t>& vlans,
            const Bytes& packet) {
  Bytes made = to;
  append(made, from);
  for (size_t tag = 0; tag < vlans.size(); ++tag) {
    append16(made, vlans.size() == 2 && tag == 0 ? 0x88a8 : 0x8100);
    append16(made, vlans[tag]);
  }
  append16(made, packet[0] >> 4 == 6 ? 0x86dd : 0x0800);
  append(made, packet);
  return made;
}

Bytes udp(const Datagram& datagram) {
  const size_t udp_bytes = 8 + datagram.payload.size();
  Bytes l4;
  append16(l4, datagram.source_port);
  append16(l4, datagram.destination_port);
  append16(l4, static_cast<uint32_t>(udp_bytes));
  append16(l4, 0);
  append(l4, datagram.payload);
  if (datagram.without_udp_checksum) return l4;
  const uint64_t pseudo = pseudo_sum(datagram.source, datagram.destination, 17, udp_bytes);
  const auto sum = static_cast<uint16_t>(~internet_sum(l4, pseudo));
  put16(l4, 6, static_cast<uint16_t>((sum == 0 ? 0xffff : sum) ^ datagram.l4_checksum_error));
  return l4;
}

Bytes tcp(const Datagram& datagram) {
  Bytes l4;
  append16(l4, datagram.source_port);
  append16(l4, datagram.destination_port);
  append32(l4, datagram.tcp_sequence);
  append32(l4, (datagram.tcp_flags & kTcpAck) != 0 ? 77 : 0);
  const auto words = static_cast<uint8_t>(5 + datagram.tcp_options.size() / 4);
  append(l4, Bytes{static_cast<uint8_t>(words << 4), datagram.tcp_flags, 0x20, 0, 0, 0, 0, 0});
  append(l4, datagram.tcp_options);
  append(l4, datagram.payload);
  const uint64_t pseudo = pseudo_sum(datagram.source, datagram.destination, 6, l4.size());
  const auto sum = static_cast<uint16_t>(~internet_sum(l4, pseudo));
  put16(l4, 16, static_cast<uint16_t>(sum ^ datagram.l4_checksum_error));
  return l4;
}

Bytes l4_of(const Datagram& datagram) {
  if (datagram.protocol == 17) return udp(datagram);
  if (datagram.protocol == 6) return tcp(datagram);
  return datagram.payload;
}

Bytes ipv4_packet(const Datagram& datagram, const Bytes& l4) {
  const size_t header_bytes = 20 + datagram.ipv4_options.size();
  Bytes packet = {static_cast<uint8_t>(0x40 | header_bytes / 4), datagram.tos};
  append16(packet, static_cast<uint32_t>(header_bytes + l4.size()));
  append16(packet, datagram.identification);
  append16(packet, datagram.dont_fragment ? 0x4000 : 0);
  append(packet, Bytes{datagram.ttl, datagram.protocol, 0, 0});
  append(packet, datagram.source.bytes);
  append(packet, datagram.destination.bytes);
  append(packet, datagram.ipv4_options);
  mend_ipv4_checksum(packet);
  append(packet, l4);
  return packet;
}

Bytes ipv6_packet(const Datagram& datagram, const Bytes& l4) {
  Bytes chain;
  for (size_t i = 0; i < datagram.extensions.size(); ++i) {
    Bytes header = datagram.extensions[i].bytes;
    header[0] =
        i + 1 < datagram.extensions.size() ? datagram.extensions[i + 1].number : datagram.protocol;
    append(chain, header);
  }
  const uint8_t first =
      datagram.extensions.empty() ? datagram.protocol : datagram.extensions.front().number;
  Bytes packet = {static_cast<uint8_t>(0x60 | datagram.tos >> 4),
                  static_cast<uint8_t>(datagram.tos << 4), 0, 0};
  append16(packet, static_cast<uint32_t>(chain.size() + l4.size()));
  append(packet, Bytes{first, datagram.ttl});
  append(packet, datagram.source.bytes);
  append(packet, datagram.destination.bytes);
  append(packet, chain);
  append(packet, l4);
  return packet;
}

size_t header_bytes_of(const Bytes& packet) {
  return packet[0] >> 4 == 4 ? (packet[0] & 0x0f) * 4u : 40u;
}

}  // namespace

Ip ip(const std::string& text) {
  Ip address;
  address.bytes.resize(text.find(':') == std::string::npos ? 4 : 16);
  const int family = address.is_v4() ? AF_INET : AF_INET6;
  if (inet_pton(family, text.c_str(), address.bytes.data()) != 1)
    throw std::invalid_argument("no address: " + text);
  return address;
}

Bytes ip_packet(const Datagram& datagram) {
  const Bytes l4 = l4_of(datagram);
  return datagram.source.is_v4() ? ipv4_packet(datagram, l4) : ipv6_packet(datagram, l4);
}

Bytes icmp_packet(const Ip& source, const Ip& destination, uint8_t type, uint8_t code,
                  uint32_t second_word, const Bytes& rest) {
  Datagram datagram{.source = source, .destination = destination};
  datagram.protocol = source.is_v4() ? 1 : 58;
  datagram.payload = {type, code, 0, 0};
  append32(datagram.payload, second_word);
  append(datagram.payload, rest);
  const uint64_t pseudo =
      source.is_v4() ? 0 : pseudo_sum(source, destination, 58, datagram.payload.size());
  put16(datagram.payload, 2, static_cast<uint16_t>(~internet_sum(datagram.payload, pseudo)));
  return ip_packet(datagram);
}

Bytes too_big(const Ip& source, const Ip& destination, uint32_t mtu, const Bytes& quoted) {
  const size_t room = source.is_v4() ? 548 : 1232;
  const Bytes quote(quoted.begin(), quoted.begin() + std::min(room, quoted.size()));
  return source.is_v4() ? icmp_packet(source, destination, 3, 4, mtu & 0xffff, quote)
                        : icmp_packet(source, destination, 2, 0, mtu, quote);
}

Bytes port_unreachable(const Ip& source, const Ip& destination, const Bytes& quoted) {
  const size_t room = source.is_v4() ? 548 : 1232;
  const Bytes quote(quoted.begin(), quoted.begin() + std::min(room, quoted.size()));
  return source.is_v4() ? icmp_packet(source, destination, 3, 3, 0, quote)
                        : icmp_packet(source, destination, 1, 4, 0, quote);
}

Bytes frame_to_host(const Bytes& packet, const std::vector<uint16_t>& vlans) {
  return frame(kHostMac, kRouterMac, vlans, packet);
}

Bytes frame_from_host(const Bytes& packet, const std::vector<uint16_t>& vlans) {
  return frame(kRouterMac, kHostMac, vlans, packet);
}

Bytes frame_of_type(uint16_t ether_type, const Bytes& payload) {
  Bytes made = kHostMac;
  append(made, kRouterMac);
  append16(made, ether_type);
  append(made, payload);
  return made;
}

Bytes padded(Bytes frame, size_t bytes, uint8_t fill) {
  if (frame.size() < bytes) frame.resize(bytes, fill);
  return frame;
}

Bytes fragment(const Bytes& packet, uint32_t identification, uint32_t offset, uint32_t count,
               bool more_fragments) {
  const size_t header_bytes = header_bytes_of(packet);
  Bytes piece(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(header_bytes));
  const bool is_v4 = packet[0] >> 4 == 4;
  if (is_v4) {
    put16(piece, 2, static_cast<uint32_t>(header_bytes + count));
    put16(piece, 4, identification);
    put16(piece, 6, offset / 8 | (more_fragments ? 0x2000 : 0));
    mend_ipv4_checksum(piece);
  } else {
    const uint8_t next = piece[6];
    piece[6] = 44;
    put16(piece, 4, 8 + count);
    append(piece, Bytes{next, 0});
    append16(piece, offset | (more_fragments ? 1 : 0));
    append32(piece, identification);
  }
  const auto payload = packet.begin() + static_cast<ptrdiff_t>(header_bytes + offset);
  piece.insert(piece.end(), payload, payload + count);
  return piece;
}

std::vector<Bytes> cut(const Bytes& packet, uint32_t identification, uint32_t step) {
  std::vector<Bytes> pieces;
  const auto total = static_cast<uint32_t>(packet.size() - header_bytes_of(packet));
  for (uint32_t offset = 0; offset < total; offset += step) {
    const uint32_t count = std::min(step, total - offset);
    pieces.push_back(fragment(packet, identification, offset, count, offset + count < total));
  }
  return pieces;
}

uint16_t internet_sum(std::span<const uint8_t> bytes, uint64_t start) {
  uint64_t sum = start;
  for (size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

uint64_t pseudo_sum(const Ip& source, const Ip& destination, uint8_t protocol, size_t bytes) {
  return uint64_t{internet_sum(source.bytes)} + internet_sum(destination.bytes) + protocol +
         (bytes & 0xffff) + (bytes >> 16);
}

void mend_ipv4_checksum(Bytes& packet) {
  put16(packet, 10, 0);
  const size_t header_bytes = std::min<size_t>((packet[0] & 0x0f) * 4u, packet.size());
  put16(packet, 10, static_cast<uint16_t>(~internet_sum({packet.data(), header_bytes})));
}

Bytes pattern(size_t bytes, uint32_t seed) {
  Bytes made(bytes);
  for (size_t i = 0; i < bytes; ++i) {
    const auto at = static_cast<uint32_t>(i) + seed * 131;
    made[i] = static_cast<uint8_t>(at * 37 + at / 256);
  }
  return made;
}

uint16_t get16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
uint32_t get32(std::span<const uint8_t> bytes, size_t at) {
  return uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}
void put16(Bytes& bytes, size_t at, uint32_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}
void put32(Bytes& bytes, size_t at, uint32_t value) {
  put16(bytes, at, value >> 16);
  put16(bytes, at + 2, value & 0xffff);
}
void append16(Bytes& bytes, uint32_t value) {
  bytes.push_back(static_cast<uint8_t>(value >> 8));
  bytes.push_back(static_cast<uint8_t>(value));
}
void append32(Bytes& bytes, uint32_t value) {
  append16(bytes, value >> 16);
  append16(bytes, value & 0xffff);
}
void append(Bytes& bytes, std::span<const uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

}  // namespace gmesp::test
