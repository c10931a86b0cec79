#include "esp_lab.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {
namespace {

constexpr uint16_t kEncapsulationPort = 4500;

/// RFC 1071, word by word.
uint16_t sum_of(const Bytes& bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) sum += uint64_t{bytes[i]} << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

void append(Bytes& to, const uint8_t* from, size_t count) {
  to.insert(to.end(), from, from + count);
}

uint16_t l4_checksum(const IpShape& shape, const Bytes& l4) {
  Bytes pseudo;
  const bool is_ipv4 = shape.source.is_ipv4();
  const size_t skip = is_ipv4 ? 12 : 0;
  append(pseudo, shape.source.bytes.data() + skip, 16 - skip);
  append(pseudo, shape.destination.bytes.data() + skip, 16 - skip);
  const auto bytes = static_cast<uint16_t>(l4.size());
  const uint8_t rest[] = {0, shape.protocol, static_cast<uint8_t>(bytes >> 8),
                          static_cast<uint8_t>(bytes)};
  append(pseudo, rest, sizeof rest);
  append(pseudo, l4.data(), l4.size());
  return static_cast<uint16_t>(~sum_of(pseudo));
}

}  // namespace

Bytes pattern(uint32_t bytes) {
  Bytes result(bytes);
  for (uint32_t i = 0; i < bytes; ++i) result[i] = static_cast<uint8_t>(i);
  return result;
}

EspLab::EspLab(const shm::SaSetRecord& record, SaDatabaseOptions options) : database(options) {
  install(database, record);
}

void EspLab::run(crypto::CryptoJob& job) {
  if (forced_status == crypto::JobStatus::kPending)
    engine.process({&job, 1});
  else
    job.status = forced_status;
}

Sent EspLab::send_with_iv(shm::SaRole role, const Bytes& ip_packet, const Bytes& iv) {
  FrameBuffer buffer(in_ethernet(ip_packet));
  Packet& packet = buffer.packet;
  EXPECT_EQ(parse(packet), DropReason::kNone);
  crypto::CryptoJob job{};
  Sent sent{};
  const auto sa = static_cast<SaIndex>(role);
  sent.reason = prepare_outbound(database, sa, packet, now_ms, outbound, iv_source,
                                 ip_identification, job, sent.news);
  if (sent.reason != DropReason::kNone) return sent;
  std::copy(iv.begin(), iv.end(), job.esp + 8);
  run(job);
  sent.reason = finish_outbound(database, sa, packet, job, now_ms);
  if (sent.reason == DropReason::kNone) sent.packet = buffer.ip_packet();
  return sent;
}

Sent EspLab::send(shm::SaRole role, const Bytes& ip_packet, uint32_t vlan_tags) {
  FrameBuffer buffer(in_ethernet(ip_packet, vlan_tags));
  Packet& packet = buffer.packet;
  EXPECT_EQ(parse(packet), DropReason::kNone);
  const Bytes before = buffer.frame();
  crypto::CryptoJob job{};
  Sent sent{};
  const auto sa = static_cast<SaIndex>(role);
  sent.reason = prepare_outbound(database, sa, packet, now_ms, outbound, iv_source,
                                 ip_identification, job, sent.news);
  if (sent.reason != DropReason::kNone) {
    EXPECT_EQ(buffer.frame(), before) << "a drop changes nothing";
    return sent;
  }
  run(job);
  sent.reason = finish_outbound(database, sa, packet, job, now_ms);
  if (sent.reason != DropReason::kNone) return sent;
  sent.packet = buffer.ip_packet();
  sent.frame = buffer.frame();
  // The layers must say what a fresh look at the packet says.
  const Layers layers = packet.layers;
  EXPECT_EQ(parse(packet), DropReason::kNone);
  EXPECT_EQ(packet.length, sent.frame.size());
  EXPECT_EQ(packet.layers.l3_bytes, layers.l3_bytes);
  EXPECT_EQ(packet.layers.l4_offset, layers.l4_offset);
  EXPECT_EQ(packet.layers.next_header_offset, layers.next_header_offset);
  EXPECT_EQ(packet.layers.protocol, layers.protocol);
  EXPECT_EQ(packet.layers.source, layers.source);
  EXPECT_EQ(packet.layers.destination, layers.destination);
  return sent;
}

Received EspLab::receive(const Bytes& ip_packet, uint32_t vlan_tags) {
  FrameBuffer buffer(in_ethernet(ip_packet, vlan_tags), 0, 0);
  Packet& packet = buffer.packet;
  EXPECT_EQ(parse(packet), DropReason::kNone);
  packet.l4_checksum_trusted = true;  // of the outer packet, if of any
  // Any UDP here is ESP in UDP; in gmespd the classifier tells by the port.
  const bool encapsulated = packet.layers.protocol == kProtocolUdp;
  InboundItem item{};
  item.packet = &packet;
  item.encapsulated = encapsulated;
  item.esp_offset =
      static_cast<uint16_t>(packet.layers.l4_offset + (encapsulated ? kUdpHeaderBytes : 0));
  if (encapsulated) item.outer_source_port = load_be16(packet.at(packet.layers.l4_offset));
  Received received{};
  const uint32_t spi = load_be32(packet.at(item.esp_offset));
  item.sa = find_inbound(database, spi, packet.layers.destination);
  if (item.sa == kNoSa) return {DropReason::kUnknownSpi, {}, {}, {}};
  crypto::CryptoJob job{};
  received.reason = prepare_inbound(database, item, now_ms, job);
  if (received.reason != DropReason::kNone) return received;
  run(job);
  received.reason = finish_inbound(database, item, job, now_ms, inbound, received.news);
  if (received.reason != DropReason::kNone) return received;
  EXPECT_FALSE(packet.l4_checksum_trusted);
  received.packet = buffer.ip_packet();
  received.frame = buffer.frame();
  return received;
}

Bytes seal(EspLab& lab, shm::SaRole role, const Seal& what) {
  const SaIdentity& identity = lab.hot(role).identity;
  const crypto::CipherInfo cipher = crypto::info(identity.suite.cipher);
  Bytes clear = what.payload;
  const size_t block = cipher.block_bytes;
  const size_t padding = (block - (clear.size() + 2) % block) % block + what.extra_padding_bytes;
  for (size_t i = 1; i <= padding; ++i) clear.push_back(static_cast<uint8_t>(i));
  clear.push_back(static_cast<uint8_t>(padding));
  clear.push_back(what.next_header);
  if (what.spoil) what.spoil(clear);
  Bytes esp(8 + cipher.iv_bytes);
  store_be32(esp.data(), identity.spi);
  store_be32(esp.data() + 4, what.sequence);
  lab.iv_source.fill(esp.data() + 8, cipher.iv_bytes);
  append(esp, clear.data(), clear.size());
  const auto esp_bytes = static_cast<uint32_t>(esp.size());
  esp.resize(esp.size() + crypto::kIcvBytes);
  crypto::CryptoJob job = {&lab.database.keys(0),
                           esp.data(),
                           esp_bytes,
                           identity.suite,
                           crypto::Direction::kOutbound,
                           crypto::JobStatus::kPending};
  lab.engine.process({&job, 1});
  EXPECT_EQ(job.status, crypto::JobStatus::kOk);
  return esp;
}

Bytes ip_packet(const IpShape& shape, const Bytes& payload) {
  Bytes packet;
  if (shape.source.is_ipv4()) {
    const size_t header_bytes = 20 + shape.ipv4_options.size();
    packet.resize(header_bytes);
    packet[0] = static_cast<uint8_t>(0x40 | header_bytes / 4);
    packet[1] = shape.traffic_class;
    store_be16(&packet[2], static_cast<uint16_t>(header_bytes + payload.size()));
    store_be16(&packet[4], shape.identification);
    store_be16(&packet[6], shape.ipv4_flags);
    packet[8] = shape.ttl;
    packet[9] = shape.protocol;
    std::memcpy(&packet[12], shape.source.ipv4(), 4);
    std::memcpy(&packet[16], shape.destination.ipv4(), 4);
    std::copy(shape.ipv4_options.begin(), shape.ipv4_options.end(), packet.begin() + 20);
    store_be16(&packet[10], static_cast<uint16_t>(~sum_of(packet)));
  } else {
    packet.resize(40);
    store_be32(packet.data(), 0x60000000u | uint32_t{shape.traffic_class} << 20);
    packet[7] = shape.ttl;
    std::memcpy(&packet[8], shape.source.bytes.data(), 16);
    std::memcpy(&packet[24], shape.destination.bytes.data(), 16);
    size_t named_at = 6;
    for (const auto& [number, header] : shape.extension_headers) {
      packet[named_at] = number;
      named_at = packet.size();
      append(packet, header.data(), header.size());
    }
    packet[named_at] = shape.protocol;
    store_be16(&packet[4], static_cast<uint16_t>(packet.size() - 40 + payload.size()));
  }
  append(packet, payload.data(), payload.size());
  return packet;
}

Bytes udp(const IpShape& shape, uint16_t source_port, uint16_t destination_port,
          const Bytes& payload) {
  Bytes l4(8);
  store_be16(l4.data(), source_port);
  store_be16(l4.data() + 2, destination_port);
  store_be16(l4.data() + 4, static_cast<uint16_t>(8 + payload.size()));
  append(l4, payload.data(), payload.size());
  const uint16_t checksum = l4_checksum(shape, l4);
  store_be16(l4.data() + 6, checksum == 0 ? 0xffff : checksum);
  return l4;
}

Bytes tcp(const IpShape& shape, uint16_t source_port, uint16_t destination_port,
          const Bytes& payload) {
  Bytes l4(20);
  store_be16(l4.data(), source_port);
  store_be16(l4.data() + 2, destination_port);
  l4[12] = 5 << 4;
  l4[13] = 0x18;
  append(l4, payload.data(), payload.size());
  store_be16(l4.data() + 16, l4_checksum(shape, l4));
  return l4;
}

IpShape inner_shape(const shm::SaSetRecord& record, shm::SaRole role, uint8_t protocol) {
  const Address ue = Address::from_ipv6(record.ue_address);
  const Address local = Address::from_ipv6(record.local_address);
  IpShape shape{};
  shape.source = is_inbound(role) ? ue : local;
  shape.destination = is_inbound(role) ? local : ue;
  shape.protocol = protocol;
  return shape;
}

Bytes on_wire(const shm::SaSetRecord& record, const Bytes& esp, uint16_t source_port,
              const std::function<void(IpShape&)>& change) {
  const bool is_tunnel = record.mode == static_cast<uint8_t>(shm::Mode::kUdpEncapsulatedTunnel);
  IpShape outer{};
  outer.source = Address::from_ipv6(is_tunnel ? record.outer_ue_address : record.ue_address);
  outer.destination =
      Address::from_ipv6(is_tunnel ? record.outer_local_address : record.local_address);
  outer.protocol = is_tunnel ? kProtocolUdp : kProtocolEsp;
  if (change) change(outer);
  if (outer.protocol == kProtocolEsp) return ip_packet(outer, esp);
  return ip_packet(outer, udp(outer, source_port, kEncapsulationPort, esp));
}

}  // namespace gmesp::ipsec
