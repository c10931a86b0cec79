#include "dataplane/ipsec/checksum.h"

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kUdpChecksumAt = 6;
constexpr uint32_t kTcpChecksumAt = 16;

template <class Word>
Word load(const uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

uint16_t folded(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);  // at most 18 bits of carries are left
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

/// Sums in the machine's byte order, which RFC 1071 2 (B) allows: only the result is turned round.
/// The halves of each word go to two accumulators, so that no carry is lost below 2^32 words.
uint16_t native_sum(const uint8_t* at, size_t count) {
  uint64_t low = 0, high = 0;
  for (; count >= 32; at += 32, count -= 32) {
    for (uint32_t word = 0; word < 4; ++word) {
      const uint64_t value = load<uint64_t>(at + 8 * word);
      low += value & 0xffffffff;
      high += value >> 32;
    }
  }
  for (; count >= 4; at += 4, count -= 4) low += load<uint32_t>(at);
  if (count >= 2) {
    low += load<uint16_t>(at);
    at += 2;
    count -= 2;
  }
  if (count == 1) low += *at;
  return folded(uint64_t{folded(low)} + folded(high));
}

/// Where the checksum of `packet`'s L4 stands; null if there is none of `l4_bytes` in it.
uint8_t* l4_checksum(const Packet& packet, uint32_t l4_bytes) {
  const bool is_udp = packet.layers.protocol == kProtocolUdp;
  if (!is_udp && packet.layers.protocol != kProtocolTcp) return nullptr;
  if (l4_bytes > packet.l4_bytes()) return nullptr;
  if (l4_bytes < (is_udp ? kUdpHeaderBytes : kTcpHeaderBytesMin)) return nullptr;
  return packet.at(packet.layers.l4_offset) + (is_udp ? kUdpChecksumAt : kTcpChecksumAt);
}

uint16_t l4_sum(const Packet& packet, uint32_t l4_bytes) {
  return ones_sum({packet.at(packet.layers.l4_offset), l4_bytes},
                  pseudo_header_sum(packet, l4_bytes));
}

}  // namespace

uint16_t ones_sum(std::span<const uint8_t> bytes, uint32_t start) {
  return folded(uint64_t{__builtin_bswap16(native_sum(bytes.data(), bytes.size()))} + start);
}

void set_ipv4_checksum(uint8_t* header) {
  store_be16(header + kIpv4ChecksumAt, 0);
  const uint16_t sum = ones_sum({header, ipv4_header_bytes(header)});
  store_be16(header + kIpv4ChecksumAt, static_cast<uint16_t>(~sum));
}

bool ipv4_checksum_good(const uint8_t* header) {
  if (ipv4_header_bytes(header) != kIpv4HeaderBytesMin)
    return native_sum(header, ipv4_header_bytes(header)) == 0xffff;
  // The header of nearly every packet, in five additions.
  const uint64_t first = load<uint64_t>(header);
  const uint64_t second = load<uint64_t>(header + 8);
  return folded((first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + (second >> 32) +
                load<uint32_t>(header + 16)) == 0xffff;
}

uint16_t pseudo_header_sum(const Packet& packet, uint32_t l4_bytes) {
  const Layers& layers = packet.layers;
  // IPv4's 16-bit length and IPv6's 32-bit one are the same words to the sum.
  const uint32_t rest = uint32_t{layers.protocol} + (l4_bytes >> 16) + (l4_bytes & 0xffff);
  if (layers.is_ipv4) {
    const uint16_t sum = ones_sum({layers.source.ipv4(), 4}, rest);
    return ones_sum({layers.destination.ipv4(), 4}, sum);
  }
  return ones_sum(layers.destination.bytes, ones_sum(layers.source.bytes, rest));
}

bool l4_checksum_good(const Packet& packet, uint32_t l4_bytes) {
  const uint8_t* checksum = l4_checksum(packet, l4_bytes);
  if (checksum == nullptr) return false;
  if (packet.layers.protocol == kProtocolUdp && load_be16(checksum) == 0)
    return packet.layers.is_ipv4;
  return l4_sum(packet, l4_bytes) == 0xffff;
}

void set_l4_checksum(Packet& packet, uint32_t l4_bytes) {
  uint8_t* checksum = l4_checksum(packet, l4_bytes);
  if (checksum == nullptr) return;
  store_be16(checksum, 0);
  uint16_t value = static_cast<uint16_t>(~l4_sum(packet, l4_bytes));
  // RFC 768: zero means "none"; its other form in one's complement stands for a computed zero.
  if (value == 0 && packet.layers.protocol == kProtocolUdp) value = 0xffff;
  store_be16(checksum, value);
}

uint16_t updated_checksum(uint16_t checksum, uint16_t before, uint16_t after) {
  // RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m').
  return static_cast<uint16_t>(
      ~folded(uint64_t{static_cast<uint16_t>(~checksum)} + static_cast<uint16_t>(~before) + after));
}

}  // namespace gmesp::ipsec
