#include "dataplane/gate/reply_frame.h"

#include <cstring>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/screen/reply_writer.h"

namespace gmesp::gate {
namespace {

using ipsec::Layers;
using ipsec::Packet;
using ipsec::store_be16;
using ipsec::store_be32;

constexpr uint8_t kTtl = 64;

/// Nobody is answered who is not one host: multicast, broadcast, unspecified; and port 0.
bool is_one_host(const ipsec::Address& address) {
  if (address.is_zero()) return false;
  if (!address.is_ipv4()) return address.bytes[0] != 0xff;
  const uint8_t first = address.ipv4()[0];
  return first != 0 && first < 0xe0;
}

void write_ethernet(const Packet& request, uint8_t* frame) {
  constexpr uint32_t kMac = ipsec::kEthernetAddressBytes;
  std::memcpy(frame, request.data, request.layers.l3_offset);
  std::memcpy(frame, request.data + kMac, kMac);
  std::memcpy(frame + kMac, request.data, kMac);
}

void write_ipv4(const Layers& request, uint32_t ip_bytes, uint8_t* ip) {
  std::memset(ip, 0, ipsec::kIpv4HeaderBytesMin);
  ip[0] = 0x45;
  store_be16(ip + ipsec::kIpv4TotalLengthAt, static_cast<uint16_t>(ip_bytes));
  store_be16(ip + ipsec::kIpv4FragmentAt, ipsec::kIpv4DontFragment);
  ip[8] = kTtl;
  ip[ipsec::kIpv4ProtocolAt] = ipsec::kProtocolUdp;
  std::memcpy(ip + ipsec::kIpv4SourceAt, request.destination.ipv4(), 4);
  std::memcpy(ip + ipsec::kIpv4DestinationAt, request.source.ipv4(), 4);
  ipsec::set_ipv4_checksum(ip);
}

void write_ipv6(const Layers& request, uint32_t ip_bytes, uint8_t* ip) {
  store_be32(ip, 6u << 28);
  store_be16(ip + ipsec::kIpv6PayloadLengthAt,
             static_cast<uint16_t>(ip_bytes - ipsec::kIpv6HeaderBytes));
  ip[ipsec::kIpv6NextHeaderAt] = ipsec::kProtocolUdp;
  ip[7] = kTtl;
  std::memcpy(ip + ipsec::kIpv6SourceAt, request.destination.bytes.data(), 16);
  std::memcpy(ip + ipsec::kIpv6DestinationAt, request.source.bytes.data(), 16);
}

}  // namespace

bool write_reply_frame(const Packet& request, std::span<const uint8_t> payload, uint16_t status,
                       uint64_t tag_key, uint32_t headroom, Packet& reply) {
  const Layers& layers = request.layers;
  const uint8_t* udp = request.at(layers.l4_offset);
  const uint16_t source_port = ipsec::load_be16(udp);
  if (layers.l3_offset < ipsec::kEthernetBytes || source_port == 0) return false;
  if (!is_one_host(layers.source) || !is_one_host(layers.destination)) return false;
  const uint32_t ip_header = layers.is_ipv4 ? ipsec::kIpv4HeaderBytesMin : ipsec::kIpv6HeaderBytes;
  const uint32_t headers = layers.l3_offset + ip_header + ipsec::kUdpHeaderBytes;
  if (headroom > reply.capacity || reply.capacity - headroom < headers) return false;

  reply.data = reply.buffer + headroom;
  const std::string address = ipsec::text(layers.source);
  const screen::Reply answer = screen::write_reply(
      screen::read_datagram(payload), payload.size(), {address, source_port}, status, tag_key,
      {reply.data + headers, reply.capacity - headroom - headers});
  if (answer.refusal != screen::ReplyRefusal::kNone) return false;

  const auto udp_bytes = static_cast<uint32_t>(ipsec::kUdpHeaderBytes + answer.bytes);
  reply.length = static_cast<uint32_t>(headers + answer.bytes);
  reply.layers = layers;
  reply.layers.l3_bytes = ip_header + udp_bytes;
  reply.layers.l4_offset = static_cast<uint16_t>(layers.l3_offset + ip_header);
  reply.layers.source = layers.destination;
  reply.layers.destination = layers.source;
  write_ethernet(request, reply.data);
  uint8_t* ip = reply.at(layers.l3_offset);
  layers.is_ipv4 ? write_ipv4(layers, ip_header + udp_bytes, ip)
                 : write_ipv6(layers, ip_header + udp_bytes, ip);
  uint8_t* reply_udp = reply.at(reply.layers.l4_offset);
  store_be16(reply_udp, ipsec::load_be16(udp + 2));
  store_be16(reply_udp + 2, answer.destination_port);
  store_be16(reply_udp + 4, static_cast<uint16_t>(udp_bytes));
  store_be16(reply_udp + 6, 0);
  ipsec::set_l4_checksum(reply, udp_bytes);
  return true;
}

}  // namespace gmesp::gate
