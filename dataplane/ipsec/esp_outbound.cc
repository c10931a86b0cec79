#include "dataplane/ipsec/esp_outbound.h"

#include <cstring>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/ecn.h"
#include "dataplane/ipsec/esp_size.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/ip_header.h"

namespace gmesp::ipsec {
namespace {

constexpr uint64_t kMsPerSecond = 1000;
/// Of an IPv4 packet, and of what follows an IPv6 header (both lengths have 16 bits).
constexpr uint32_t kIpLengthMax = UINT16_MAX;
constexpr uint8_t kDscpMask = 0xfc;

bool is_tunnel(const SaIdentity& sa) {
  return sa.mode == shm::Mode::kUdpEncapsulatedTunnel;
}

/// How the packet changes: `front_bytes` are added at `front_at`, and the payload gets padding,
/// trailer and ICV behind it.
struct Growth {
  uint32_t front_at;     ///< offset in the clear frame; what stands before it moves back
  uint32_t front_bytes;  ///< outer IP and UDP header in tunnel mode, ESP header, IV
  uint32_t payload_bytes;
  uint32_t pad_bytes;

  uint32_t back_bytes() const { return pad_bytes + kEspTrailerBytes + crypto::kIcvBytes; }
};

Growth growth_of(const SaIdentity& sa, const Layers& layers) {
  Growth growth{};
  growth.front_bytes = esp_head_bytes(sa.suite);
  if (is_tunnel(sa)) {
    growth.front_at = layers.l3_offset;
    growth.front_bytes += outer_header_bytes(layers.is_ipv4);
    growth.payload_bytes = layers.l3_bytes;
  } else {
    growth.front_at = layers.l4_offset;
    growth.payload_bytes = layers.l3_offset + layers.l3_bytes - layers.l4_offset;
  }
  growth.pad_bytes =
      ciphered_bytes(sa.suite, growth.payload_bytes) - growth.payload_bytes - kEspTrailerBytes;
  return growth;
}

/// Whether the packet may go out and has room to grow; changes nothing.
DropReason check(const SaHot& hot, const Packet& packet, const Growth& growth, uint64_t now_ms) {
  const SaIdentity& identity = hot.identity;
  if (now_ms >= identity.not_after_ms.load(std::memory_order_relaxed))
    return DropReason::kSaExpired;
  if (is_tunnel(identity) && identity.outer_ue_port.load(std::memory_order_relaxed) == 0)
    return DropReason::kPeerPortUnknown;
  if (hot.progress.sequence.load(std::memory_order_relaxed) == UINT32_MAX)
    return DropReason::kSequenceExhausted;
  const Layers& layers = packet.layers;
  const uint32_t l3_bytes = layers.l3_bytes + growth.front_bytes + growth.back_bytes();
  if (l3_bytes - (layers.is_ipv4 ? 0 : kIpv6HeaderBytes) > kIpLengthMax)
    return DropReason::kTooBigForPath;
  if (packet.headroom() < growth.front_bytes || packet.tailroom() < growth.back_bytes())
    return DropReason::kNoRoomInBuffer;
  return DropReason::kNone;
}

/// R-2406-06: 1 first, and never round again.
uint32_t take_sequence(SaProgress& progress, uint32_t near_end, OutboundNews& news) {
  const uint32_t sequence = progress.sequence.load(std::memory_order_relaxed) + 1;
  progress.sequence.store(sequence, std::memory_order_relaxed);
  // Not "equal to": the numbers of a restored set have jumped.
  news.sequence_near_end = sequence >= near_end && progress.near_end_told == 0;
  if (news.sequence_near_end) progress.near_end_told = 1;
  news.sequence_end = sequence == UINT32_MAX;
  return sequence;
}

/// `room_bytes` may be written from `at`: padding, trailer, ICV, and what is free behind them.
void write_trailer(uint8_t* at, uint32_t pad_bytes, uint8_t next_header, uint32_t room_bytes) {
  static constexpr uint8_t kPadding[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  // All of it at once where it fits: no branch that depends on the length of the message.
  if (room_bytes >= sizeof kPadding)
    std::memcpy(at, kPadding, sizeof kPadding);
  else
    std::memcpy(at, kPadding, pad_bytes);
  at[pad_bytes] = static_cast<uint8_t>(pad_bytes);
  at[pad_bytes + 1] = next_header;
}

/// What the outer header takes over from the inner one (RFC 4301 5.1.2). The mark CE goes out as it
/// came in.
struct Inherited {
  uint8_t traffic_class;
  bool dont_fragment;
};

Inherited inherited_from(const uint8_t* ip, bool is_ipv4, const OutboundOptions& options) {
  Inherited inherited{};
  inherited.traffic_class = traffic_class_of(ip, is_ipv4);
  if (!options.outer_dscp_copied) inherited.traffic_class &= static_cast<uint8_t>(~kDscpMask);
  switch (options.dont_fragment) {
    case DontFragment::kSet:
      inherited.dont_fragment = true;
      break;
    case DontFragment::kCopy:
      inherited.dont_fragment =
          is_ipv4 && (load_be16(ip + kIpv4FragmentAt) & kIpv4DontFragment) != 0;
      break;
    case DontFragment::kClear:
      break;
  }
  return inherited;
}

void write_outer_ipv4(uint8_t* ip, const Layers& layers, const Inherited& inherited,
                      uint16_t identification, uint8_t ttl) {
  constexpr uint32_t kVersionAndHeaderWords = 0x45 << 8;
  const uint32_t fragment = inherited.dont_fragment ? kIpv4DontFragment : 0;
  const uint32_t ttl_protocol = uint32_t{ttl} << 8 | kProtocolUdp;
  const uint32_t source = load_be32(layers.source.ipv4());
  const uint32_t destination = load_be32(layers.destination.ipv4());
  store_be16(ip, static_cast<uint16_t>(kVersionAndHeaderWords | inherited.traffic_class));
  store_be16(ip + kIpv4TotalLengthAt, static_cast<uint16_t>(layers.l3_bytes));
  store_be16(ip + kIpv4IdentificationAt, identification);
  store_be16(ip + kIpv4FragmentAt, static_cast<uint16_t>(fragment));
  store_be16(ip + kIpv4TtlAt, static_cast<uint16_t>(ttl_protocol));
  store_be32(ip + kIpv4SourceAt, source);
  store_be32(ip + kIpv4DestinationAt, destination);
  // Of the values, since the bytes are still on their way to the cache.
  store_be16(ip + kIpv4ChecksumAt,
             checksum_of_sum(uint64_t{source} + destination + kVersionAndHeaderWords +
                             inherited.traffic_class + layers.l3_bytes + identification + fragment +
                             ttl_protocol));
}

void write_outer_ipv6(uint8_t* ip, const Layers& layers, const Inherited& inherited,
                      uint8_t hop_limit) {
  constexpr uint32_t kVersion = 6u << 28;
  constexpr uint32_t kHopLimitAt = 7;
  store_be32(ip, kVersion | uint32_t{inherited.traffic_class} << 20);
  store_be16(ip + kIpv6PayloadLengthAt, static_cast<uint16_t>(layers.l3_bytes - kIpv6HeaderBytes));
  ip[kIpv6NextHeaderAt] = kProtocolUdp;
  ip[kHopLimitAt] = hop_limit;
  std::memcpy(ip + kIpv6SourceAt, layers.source.bytes.data(), 16);
  std::memcpy(ip + kIpv6DestinationAt, layers.destination.bytes.data(), 16);
}

/// RFC 3948 2.1: source and destination port, length; the checksum is zero for now.
void write_udp(uint8_t* udp, uint16_t source_port, uint16_t destination_port, uint32_t bytes) {
  store_be16(udp, source_port);
  store_be16(udp + 2, destination_port);
  store_be16(udp + kUdpLengthAt, static_cast<uint16_t>(bytes));
  store_be16(udp + kUdpLengthAt + 2, 0);
}

/// Layers of the outer packet, whose addresses are the set's and whose L4 is UDP.
void set_outer_layers(const SaDatabase& database, SaIndex sa, Layers& layers) {
  const uint32_t ip_bytes = layers.is_ipv4 ? kIpv4HeaderBytesMin : kIpv6HeaderBytes;
  layers.l4_offset = static_cast<uint16_t>(layers.l3_offset + ip_bytes);
  layers.next_header_offset = static_cast<uint16_t>(
      layers.l3_offset + (layers.is_ipv4 ? kIpv4ProtocolAt : kIpv6NextHeaderAt));
  layers.protocol = kProtocolUdp;
  layers.source = database.outer_local(sa);
  layers.destination = database.outer_ue(sa);
}

/// Room in front, outer IP and UDP header. Returns what ESP names as its content.
uint8_t enter_tunnel(const SaDatabase& database, SaIndex sa, Packet& packet, const Growth& growth,
                     const OutboundOptions& options, uint16_t& ip_identification) {
  Layers& layers = packet.layers;
  const Inherited inherited = inherited_from(packet.at(layers.l3_offset), layers.is_ipv4, options);
  packet.data -= growth.front_bytes;
  packet.length += growth.front_bytes;
  std::memmove(packet.data, packet.data + growth.front_bytes, growth.front_at);
  set_outer_layers(database, sa, layers);
  uint8_t* ip = packet.at(layers.l3_offset);
  if (layers.is_ipv4)
    write_outer_ipv4(ip, layers, inherited, ip_identification++, options.outer_ttl);
  else
    write_outer_ipv6(ip, layers, inherited, options.outer_ttl);
  const uint16_t ue_port = database.hot(sa).identity.outer_ue_port.load(std::memory_order_relaxed);
  write_udp(packet.at(layers.l4_offset), options.encapsulation_port, ue_port, packet.l4_bytes());
  return layers.is_ipv4 ? kProtocolIpv4 : kProtocolIpv6;
}

/// The clear packet's own IP header goes in front of ESP (RFC 2406 3.1.1).
uint8_t stay_in_transport(Packet& packet, const Growth& growth) {
  const uint8_t protocol = packet.layers.protocol;
  open_gap(packet, static_cast<int32_t>(growth.front_bytes), kProtocolEsp);
  return protocol;
}

}  // namespace

uint32_t protected_bytes(const SaIdentity& sa, bool outer_is_ipv4, uint32_t l3_bytes,
                         uint32_t l3_header_bytes) {
  const uint32_t fixed_bytes = esp_head_bytes(sa.suite) + crypto::kIcvBytes;
  if (is_tunnel(sa))
    return outer_header_bytes(outer_is_ipv4) + fixed_bytes + ciphered_bytes(sa.suite, l3_bytes);
  return l3_header_bytes + fixed_bytes + ciphered_bytes(sa.suite, l3_bytes - l3_header_bytes);
}

uint32_t overhead_bytes_max(const SaIdentity& sa, bool outer_is_ipv4) {
  const uint32_t pad_bytes_max = crypto::info(sa.suite.cipher).block_bytes - 1;
  return (is_tunnel(sa) ? outer_header_bytes(outer_is_ipv4) : 0) + esp_head_bytes(sa.suite) +
         pad_bytes_max + kEspTrailerBytes + crypto::kIcvBytes;
}

uint32_t inner_mtu_bytes(const SaIdentity& sa, bool outer_is_ipv4, uint32_t mtu_bytes,
                         uint32_t l3_header_bytes) {
  const uint32_t outside_bytes =
      is_tunnel(sa) ? outer_header_bytes(outer_is_ipv4) : l3_header_bytes;
  const uint32_t fixed_bytes = outside_bytes + esp_head_bytes(sa.suite) + crypto::kIcvBytes;
  const uint32_t block_bytes = crypto::info(sa.suite.cipher).block_bytes;
  if (mtu_bytes < fixed_bytes + block_bytes) return 0;
  const uint32_t payload_bytes =
      ((mtu_bytes - fixed_bytes) & ~(block_bytes - 1)) - kEspTrailerBytes;
  return is_tunnel(sa) ? payload_bytes : l3_header_bytes + payload_bytes;
}

DropReason prepare_outbound(SaDatabase& database, SaIndex sa, Packet& packet, uint64_t now_ms,
                            const OutboundOptions& options, crypto::IvSource& iv_source,
                            uint16_t& ip_identification, crypto::CryptoJob& job,
                            OutboundNews& news) {
  SaHot& hot = database.hot(sa);
  const SaIdentity& identity = hot.identity;
  Layers& layers = packet.layers;
  news = {};
  const Growth growth = growth_of(identity, layers);
  if (const DropReason reason = check(hot, packet, growth, now_ms); reason != DropReason::kNone) {
    add(hot.progress.other_drops, 1u);
    return reason;
  }
  const crypto::SaKeys& keys = database.keys(sa);
  news.udp_on_tcp_sa = layers.protocol == kProtocolUdp && role_of(sa) == shm::SaRole::kOutPsUc;
  add(hot.progress.bytes, uint64_t{layers.l3_bytes});

  layers.l3_bytes += growth.front_bytes + growth.back_bytes();
  packet.length += growth.back_bytes();
  const uint8_t next_header =
      is_tunnel(identity) ? enter_tunnel(database, sa, packet, growth, options, ip_identification)
                          : stay_in_transport(packet, growth);
  const uint32_t head_bytes = esp_head_bytes(identity.suite);
  uint8_t* esp = packet.at(growth.front_at + growth.front_bytes - head_bytes);
  store_be32(esp, identity.spi);
  store_be32(esp + kEspSequenceAt, take_sequence(hot.progress, options.near_end_sequence, news));
  iv_source.fill(esp + kEspHeaderBytes, head_bytes - kEspHeaderBytes);
  write_trailer(esp + head_bytes + growth.payload_bytes, growth.pad_bytes, next_header,
                growth.back_bytes() + packet.tailroom());
  job = {&keys,
         esp,
         head_bytes + growth.payload_bytes + growth.pad_bytes + kEspTrailerBytes,
         identity.suite,
         crypto::Direction::kOutbound,
         crypto::JobStatus::kPending};
  return DropReason::kNone;
}

DropReason finish_outbound(SaDatabase& database, SaIndex sa, Packet& packet,
                           const crypto::CryptoJob& job, uint64_t now_ms) {
  SaProgress& progress = database.hot(sa).progress;
  if (job.status != crypto::JobStatus::kOk) {
    add(progress.other_drops, 1u);
    return DropReason::kCryptoFailed;
  }
  // RFC 3948 2.1: zero over IPv4; over IPv6 a receiver may insist on one (RFC 8200 8.1), as Linux
  // does.
  const Layers& layers = packet.layers;
  if (layers.protocol == kProtocolUdp && !layers.is_ipv4)
    set_l4_checksum(packet, packet.l4_bytes());
  progress.last_use_s.store(static_cast<uint32_t>(now_ms / kMsPerSecond),
                            std::memory_order_relaxed);
  add(progress.packets, uint64_t{1});
  return DropReason::kNone;
}

}  // namespace gmesp::ipsec
