#include "frame.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "subscriber.h"

namespace gmesp::bench {
namespace {

using ipsec::load_be16;
using ipsec::store_be16;
using ipsec::store_be32;

constexpr uint32_t kEthernetBytes = 14;
constexpr uint32_t kUdpBytes = 8;
constexpr uint32_t kMarkBytes = 16;
constexpr uint8_t kProtocolIpv4 = 4, kProtocolUdp = 17, kProtocolIpv6 = 41, kProtocolEsp = 50;
static_assert(kIpBytesMin >= 40 + kUdpBytes + kMarkBytes);

struct Addresses {
  const uint8_t* source;
  const uint8_t* destination;
};

bool is_ipv4(const gmesp_sa_set& set) {
  return set.ue_address[10] == 0xff;
}

uint32_t ip_header_bytes(bool is_ipv4) {
  return is_ipv4 ? 20 : 40;
}

void write_ip(uint8_t* ip, bool is_ipv4, Addresses addresses, uint8_t protocol, uint32_t ip_bytes) {
  constexpr uint8_t kHopLimit = 64;
  if (!is_ipv4) {
    std::memset(ip, 0, 40);
    ip[0] = 0x60;
    store_be16(ip + 4, static_cast<uint16_t>(ip_bytes - 40));
    ip[6] = protocol;
    ip[7] = kHopLimit;
    std::memcpy(ip + 8, addresses.source, 16);
    std::memcpy(ip + 24, addresses.destination, 16);
    return;
  }
  std::memset(ip, 0, 20);
  ip[0] = 0x45;
  store_be16(ip + 2, static_cast<uint16_t>(ip_bytes));
  ip[8] = kHopLimit;
  ip[9] = protocol;
  std::memcpy(ip + 12, addresses.source + 12, 4);
  std::memcpy(ip + 16, addresses.destination + 12, 4);
  ipsec::set_ipv4_checksum(ip);
}

void write_ethernet(uint8_t* frame, bool is_ipv4) {
  static constexpr uint8_t kAddresses[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  std::memcpy(frame, kAddresses, sizeof kAddresses);
  store_be16(frame + 12, is_ipv4 ? 0x0800 : 0x86dd);
}

void write_mark(uint8_t* at, uint64_t mark) {
  const uint64_t complement = ~mark;
  std::memcpy(at, &mark, sizeof mark);
  std::memcpy(at + sizeof mark, &complement, sizeof complement);
}

std::array<uint8_t, kIpBytesMax> make_text() {
  std::array<uint8_t, kIpBytesMax> text;
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<uint8_t>('a' + i % 23);
  return text;
}

/// UDP header and payload of `udp_bytes`; the addresses count in its checksum.
void write_udp(uint8_t* udp, uint32_t udp_bytes, Addresses addresses, uint16_t source_port,
               uint16_t destination_port, uint64_t mark) {
  static const std::array<uint8_t, kIpBytesMax> kText = make_text();
  store_be16(udp, source_port);
  store_be16(udp + 2, destination_port);
  store_be16(udp + 4, static_cast<uint16_t>(udp_bytes));
  store_be16(udp + 6, 0);
  write_mark(udp + kUdpBytes, mark);
  const uint32_t before = kUdpBytes + kMarkBytes;
  std::memcpy(udp + before, kText.data(), udp_bytes - before);
  // An IPv4-mapped prefix adds 0xffff for each address, which is zero in one's complement.
  uint32_t sum = kProtocolUdp + udp_bytes;
  sum = ipsec::ones_sum({addresses.source, GMESP_ADDRESS_BYTES}, sum);
  sum = ipsec::ones_sum({addresses.destination, GMESP_ADDRESS_BYTES}, sum);
  const auto checksum = static_cast<uint16_t>(~ipsec::ones_sum({udp, udp_bytes}, sum));
  store_be16(udp + 6, checksum == 0 ? 0xffff : checksum);
}

/// The clear IP packet from the UE.
void write_inner(const gmesp_sa_set& set, UeSide side, uint32_t ip_bytes, uint64_t mark,
                 uint8_t* ip) {
  const Addresses addresses = {set.ue_address, set.local_address};
  const uint32_t header_bytes = ip_header_bytes(is_ipv4(set));
  const bool is_client = side == UeSide::kClient;
  write_ip(ip, is_ipv4(set), addresses, kProtocolUdp, ip_bytes);
  write_udp(ip + header_bytes, ip_bytes - header_bytes, addresses,
            is_client ? set.port_uc : set.port_us, is_client ? set.port_ps : set.port_pc, mark);
}

/// Pad, pad length, next header. Returns the bytes that are ciphered.
uint32_t write_trailer(uint8_t* text, uint32_t payload_bytes, uint32_t block_bytes,
                       uint8_t next_header) {
  const uint32_t padded = (payload_bytes + 2 + block_bytes - 1) / block_bytes * block_bytes;
  const uint32_t pad_bytes = padded - payload_bytes - 2;
  for (uint32_t i = 0; i < pad_bytes; ++i) text[payload_bytes + i] = static_cast<uint8_t>(i + 1);
  text[padded - 2] = static_cast<uint8_t>(pad_bytes);
  text[padded - 1] = next_header;
  return padded;
}

/// Multiplicative hashing makes the two halves of an IV of a counter; no secret is needed here.
void write_iv(uint8_t* iv, uint32_t iv_bytes, uint64_t seed) {
  for (uint32_t at = 0; at < iv_bytes; at += 8) {
    seed = (seed + 1) * 0x9e3779b97f4a7c15;
    std::memcpy(iv + at, &seed, 8);
  }
}

}  // namespace

uint32_t write_uplink(const gmesp_sa_set& set, const UplinkHeader& header, uint32_t ip_bytes,
                      uint64_t mark, const crypto::SaKeys& keys, uint8_t* frame,
                      crypto::CryptoJob& job) {
  const bool is_tunnel = set.mode == GMESP_MODE_UDP_ENCAPSULATED_TUNNEL;
  const bool v4 = is_ipv4(set);
  const uint32_t header_bytes = ip_header_bytes(v4);
  const auto cipher_kind = static_cast<crypto::Cipher>(set.cipher);
  const crypto::CipherInfo cipher = crypto::info(cipher_kind);
  uint8_t* ip = frame + kEthernetBytes;
  uint8_t* esp = ip + header_bytes + (is_tunnel ? kUdpBytes : 0);
  uint8_t* text = esp + 8 + cipher.iv_bytes;

  // The inner packet is written so that what ESP carries of it begins at `text`.
  uint8_t* inner = is_tunnel ? text : text - header_bytes;
  write_inner(set, header.side, ip_bytes, mark, inner);
  const uint32_t payload_bytes = is_tunnel ? ip_bytes : ip_bytes - header_bytes;
  const uint8_t next_header = !is_tunnel ? kProtocolUdp : v4 ? kProtocolIpv4 : kProtocolIpv6;
  const uint32_t padded = write_trailer(text, payload_bytes, cipher.block_bytes, next_header);

  store_be32(esp, header.side == UeSide::kClient ? set.spi_ps : set.spi_pc);
  store_be32(esp + 4, header.sequence);
  if (header.is_alike)
    std::memcpy(esp + 8, text, cipher.iv_bytes);
  else
    write_iv(esp + 8, cipher.iv_bytes, header.iv_seed);
  const auto esp_bytes = static_cast<uint32_t>(text + padded - esp);
  const auto outer_bytes = static_cast<uint32_t>(esp - ip) + esp_bytes + crypto::kIcvBytes;
  write_ethernet(frame, v4);
  write_ip(ip, v4, {set.outer_ue_address, set.outer_local_address},
           is_tunnel ? kProtocolUdp : kProtocolEsp, outer_bytes);
  if (is_tunnel) {
    uint8_t* udp = ip + header_bytes;
    store_be16(udp, set.outer_ue_port);
    store_be16(udp + 2, kEncapsulationPort);
    store_be16(udp + 4, static_cast<uint16_t>(outer_bytes - header_bytes));
    store_be16(udp + 6, 0);  // RFC 3948 2.1
  }
  job = {&keys,
         esp,
         esp_bytes,
         {static_cast<crypto::Integrity>(set.integrity), cipher_kind},
         crypto::Direction::kOutbound,
         crypto::JobStatus::kPending};
  return kEthernetBytes + outer_bytes;
}

uint32_t write_downlink(const gmesp_sa_set& set, UeSide side, uint32_t ip_bytes, uint64_t mark,
                        uint8_t* frame) {
  const bool v4 = is_ipv4(set);
  const bool is_client = side == UeSide::kClient;
  const Addresses addresses = {set.local_address, set.ue_address};
  const uint32_t header_bytes = ip_header_bytes(v4);
  write_ethernet(frame, v4);
  uint8_t* ip = frame + kEthernetBytes;
  write_ip(ip, v4, addresses, kProtocolUdp, ip_bytes);
  write_udp(ip + header_bytes, ip_bytes - header_bytes, addresses,
            is_client ? set.port_ps : set.port_pc, is_client ? set.port_uc : set.port_us, mark);
  return kEthernetBytes + ip_bytes;
}

uint32_t find_esp(const uint8_t* frame, uint32_t frame_bytes) {
  if (frame_bytes < kEthernetBytes + 40 + kUdpBytes) return 0;
  const uint16_t type = load_be16(frame + 12);
  const uint8_t* ip = frame + kEthernetBytes;
  if (type != 0x0800 && type != 0x86dd) return 0;
  if (type == 0x0800 && ip[0] != 0x45) return 0;
  const uint32_t offset = kEthernetBytes + ip_header_bytes(type == 0x0800);
  const uint8_t protocol = type == 0x0800 ? ip[9] : ip[6];
  if (protocol == kProtocolEsp) return offset;
  const bool is_encapsulated =
      protocol == kProtocolUdp && load_be16(frame + offset) == kEncapsulationPort;
  return is_encapsulated ? offset + kUdpBytes : 0;
}

bool read_mark_of_payload(const uint8_t* payload, uint32_t payload_bytes, uint8_t next_header,
                          uint64_t& mark) {
  const uint32_t ip_bytes = next_header == kProtocolIpv4   ? 20
                            : next_header == kProtocolIpv6 ? 40
                                                           : 0;
  const uint32_t at = ip_bytes + kUdpBytes;
  if (payload_bytes < at + kMarkBytes) return false;
  uint64_t complement;
  std::memcpy(&mark, payload + at, sizeof mark);
  std::memcpy(&complement, payload + at + sizeof mark, sizeof complement);
  return mark == ~complement;
}

bool read_mark(const uint8_t* frame, uint32_t frame_bytes, uint64_t& mark) {
  if (frame_bytes < kEthernetBytes) return false;
  const uint16_t type = load_be16(frame + 12);
  const uint8_t next_header = type == 0x0800 ? kProtocolIpv4 : kProtocolIpv6;
  return (type == 0x0800 || type == 0x86dd) &&
         read_mark_of_payload(frame + kEthernetBytes, frame_bytes - kEthernetBytes, next_header,
                              mark);
}

}  // namespace gmesp::bench
