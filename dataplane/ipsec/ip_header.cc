#include "dataplane/ipsec/ip_header.h"

#include <cstring>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {
namespace {

/// The words of an IPv4 header that change. They are read before anything is written near them: a
/// load that meets an earlier, differently cut store waits until that one and all before it are in
/// the cache.
struct Words {
  uint16_t length;
  uint16_t ttl_protocol;
  uint16_t checksum;
};

Words words_of(const uint8_t* ip) {
  return {load_be16(ip + kIpv4TotalLengthAt), load_be16(ip + kIpv4TtlAt),
          load_be16(ip + kIpv4ChecksumAt)};
}

void write_ipv4(uint8_t* ip, const Words& before, uint32_t l3_bytes, uint8_t protocol) {
  const auto length = static_cast<uint16_t>(l3_bytes);
  const auto ttl_protocol = static_cast<uint16_t>((before.ttl_protocol & 0xff00) | protocol);
  // RFC 1624 3, equation 3, for two words at once.
  const auto inverse = [](uint16_t word) { return uint64_t{static_cast<uint16_t>(~word)}; };
  const uint64_t sum = inverse(before.checksum) + inverse(before.length) + length +
                       inverse(before.ttl_protocol) + ttl_protocol;
  store_be16(ip + kIpv4TotalLengthAt, length);
  store_be16(ip + kIpv4TtlAt, ttl_protocol);
  store_be16(ip + kIpv4ChecksumAt, checksum_of_sum(sum));
}

}  // namespace

void set_content(Packet& packet, uint8_t protocol) {
  open_gap(packet, 0, protocol);
}

void open_gap(Packet& packet, int32_t bytes, uint8_t protocol) {
  Layers& layers = packet.layers;
  const Words before = words_of(packet.at(layers.l3_offset));
  const uint8_t* headers = packet.data;
  packet.data -= bytes;
  packet.length += static_cast<uint32_t>(bytes);
  if (bytes != 0) std::memmove(packet.data, headers, layers.l4_offset);
  layers.protocol = protocol;
  uint8_t* ip = packet.at(layers.l3_offset);
  if (layers.is_ipv4) return write_ipv4(ip, before, layers.l3_bytes, protocol);
  *packet.at(layers.next_header_offset) = protocol;
  store_be16(ip + kIpv6PayloadLengthAt, static_cast<uint16_t>(layers.l3_bytes - kIpv6HeaderBytes));
}

}  // namespace gmesp::ipsec
