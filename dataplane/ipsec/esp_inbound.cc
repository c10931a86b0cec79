#include "dataplane/ipsec/esp_inbound.h"

#include <array>
#include <cstring>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/ecn.h"
#include "dataplane/ipsec/esp_size.h"
#include "dataplane/ipsec/ip_header.h"
#include "dataplane/ipsec/replay_window.h"

namespace gmesp::ipsec {
namespace {

constexpr uint64_t kMsPerSecond = 1000;

/// The decrypted bytes of an ESP packet without padding and trailer.
struct Payload {
  uint32_t offset;  ///< from packet.data
  uint32_t bytes;
  uint8_t next_header;
};

/// From the SPI to the end of the datagram, as the IP or UDP header says (R-D-X1).
uint32_t esp_packet_bytes(const InboundItem& item) {
  const Packet& packet = *item.packet;
  if (!item.encapsulated) return packet.l4_bytes();
  return load_be16(packet.at(packet.layers.l4_offset) + kUdpLengthAt) - kUdpHeaderBytes;
}

DropReason check_lengths(crypto::Suite suite, uint32_t esp_bytes) {
  const uint32_t fixed_bytes = esp_head_bytes(suite) + crypto::kIcvBytes;
  const uint32_t block_bytes = crypto::info(suite.cipher).block_bytes;
  if (esp_bytes < fixed_bytes + block_bytes) return DropReason::kEspTooShort;
  if (((esp_bytes - fixed_bytes) & (block_bytes - 1)) != 0) return DropReason::kEspNotBlockAligned;
  return DropReason::kNone;
}

DropReason drop_reason(ReplayVerdict verdict) {
  switch (verdict) {
    case ReplayVerdict::kZero:
      return DropReason::kSequenceZero;
    case ReplayVerdict::kOld:
      return DropReason::kReplayOld;
    case ReplayVerdict::kSeen:
      return DropReason::kReplaySeen;
    case ReplayVerdict::kFresh:
      break;
  }
  return DropReason::kNone;
}

ReplayWindow window_of(const SaDatabase& database, SaIndex sa, const SaProgress& progress) {
  return {progress.sequence.load(std::memory_order_relaxed), database.window(sa),
          database.window_packets()};
}

/// Counts a drop that has no counter of its own, and passes it on.
DropReason dropped(SaProgress& progress, DropReason reason) {
  if (reason != DropReason::kNone) add(progress.other_drops, 1u);
  return reason;
}

/// R-M-08: called for authenticated packets only.
void learn_peer_port(SaDatabase& database, const InboundItem& item, bool is_newest,
                     const InboundOptions& options, InboundNews& news) {
  SaIdentity& identity = database.hot(item.sa).identity;
  const uint16_t seen = item.outer_source_port;
  if (identity.outer_ue_port.load(std::memory_order_relaxed) == seen) return;
  const SaIndex first = set_of(item.sa) * kSasPerSet;
  const auto tell_all = [&](SaIndex from) {
    for (SaIndex sa = from; sa < first + kSasPerSet; ++sa)
      database.hot(sa).identity.outer_ue_port.store(seen, std::memory_order_relaxed);
  };
  // Two workers may receive the set's first packets at once; SA-a's field decides who was first.
  uint16_t known = 0;
  if (database.hot(first).identity.outer_ue_port.compare_exchange_strong(
          known, seen, std::memory_order_relaxed)) {
    tell_all(first + 1);
    news.peer_port_learned = true;
    return;
  }
  if (known == seen) return;
  if (options.follow_peer_port) {
    if (!is_newest) return;  // an old packet that was late says nothing about now
    tell_all(first);
    news.peer_port_changed = true;
    return;
  }
  if (identity.reported_ue_port.load(std::memory_order_relaxed) == seen) return;
  identity.reported_ue_port.store(seen, std::memory_order_relaxed);
  news.peer_port_changed = true;
}

/// Whether the `count` bytes that end at `end` are 1, 2, 3, ...; there are sixteen or more before
/// `end` in every packet, of headers at least.
bool is_padding(const uint8_t* end, uint32_t count) {
  constexpr uint32_t kBytesMax = 16;  // of those that ciphers need
  static constexpr auto kExpected = [] {
    std::array<uint8_t, 2 * kBytesMax> bytes{};
    for (uint8_t i = 0; i < kBytesMax; ++i) bytes[kBytesMax + i] = i + 1;
    return bytes;
  }();
  static constexpr auto kKept = [] {
    std::array<uint8_t, 2 * kBytesMax> bytes{};
    for (uint32_t i = 0; i < kBytesMax; ++i) bytes[kBytesMax + i] = 0xff;
    return bytes;
  }();
  if (count > kBytesMax) {
    const uint8_t* padding = end - count;
    uint32_t difference = 0;
    for (uint32_t i = 0; i < count; ++i) difference |= padding[i] ^ (i + 1);
    return difference == 0;
  }
  // All at once: how much padding there is cannot be foreseen.
  using Bytes = std::array<uint64_t, kBytesMax / sizeof(uint64_t)>;
  Bytes found, expected, kept;
  std::memcpy(found.data(), end - kBytesMax, kBytesMax);
  std::memcpy(expected.data(), kExpected.data() + count, kBytesMax);
  std::memcpy(kept.data(), kKept.data() + count, kBytesMax);
  return (((found[0] & kept[0]) ^ expected[0]) | ((found[1] & kept[1]) ^ expected[1])) == 0;
}

/// RFC 2406 2.4: padding is 1, 2, 3, ... and fits; only then is there a payload.
bool read_trailer(const InboundItem& item, const crypto::CryptoJob& job, Payload& payload) {
  const uint32_t head_bytes = esp_head_bytes(job.suite);
  const uint32_t ciphered = job.esp_bytes - head_bytes;
  const uint8_t* end = job.esp + job.esp_bytes;
  const uint32_t pad_bytes = end[-2];
  if (pad_bytes + kEspTrailerBytes > ciphered) return false;
  payload = {item.esp_offset + head_bytes, ciphered - kEspTrailerBytes - pad_bytes, end[-1]};
  return is_padding(end - kEspTrailerBytes, pad_bytes);
}

/// Moves all headers in front of ESP up to the payload; the IP header keeps everything but length,
/// protocol and checksum (R-2406-13).
DropReason strip_transport(Packet& packet, const Payload& payload) {
  if (payload.next_header == kProtocolNoNext) return DropReason::kDummyPacket;
  if (payload.next_header != kProtocolTcp && payload.next_header != kProtocolUdp)
    return DropReason::kNextHeaderRefused;
  Layers& layers = packet.layers;
  layers.l3_bytes = layers.l4_offset + payload.bytes - layers.l3_offset;
  open_gap(packet, layers.l4_offset - static_cast<int32_t>(payload.offset), payload.next_header);
  packet.length = layers.l4_offset + payload.bytes;
  return DropReason::kNone;
}

/// Moves the Ethernet header and VLAN tags up to the inner packet. Families are those of the set on
/// both sides, so the EtherType stays.
DropReason strip_tunnel(Packet& packet, const Payload& payload) {
  const bool is_ipv4 = packet.layers.is_ipv4;
  if (payload.next_header == kProtocolNoNext) return DropReason::kDummyPacket;
  if (payload.next_header != (is_ipv4 ? kProtocolIpv4 : kProtocolIpv6))
    return DropReason::kNextHeaderRefused;
  const uint16_t l3_offset = packet.layers.l3_offset;
  const uint8_t outer_ecn = ecn_of(packet.at(l3_offset), is_ipv4);
  const uint32_t shift_bytes = payload.offset - l3_offset;
  std::memmove(packet.data + shift_bytes, packet.data, l3_offset);
  packet.data += shift_bytes;
  packet.length = l3_offset + payload.bytes;
  if (parse_ip(packet, l3_offset) != DropReason::kNone || packet.layers.is_ipv4 != is_ipv4)
    return DropReason::kInnerHeaderBad;
  return carry_congestion_in(packet.at(l3_offset), is_ipv4, outer_ecn) ? DropReason::kNone
                                                                       : DropReason::kEcnIllegal;
}

bool addresses_match(const SaIdentity& identity, const Layers& layers) {
  return layers.source == identity.ue && layers.destination == identity.local;
}

/// Length before read: the headers are whole. Cuts what stands behind the UDP datagram.
bool take_l4(Packet& packet) {
  Layers& layers = packet.layers;
  const uint8_t* l4 = packet.at(layers.l4_offset);
  const uint32_t available = packet.l4_bytes();
  if (layers.protocol == kProtocolTcp) {
    if (available < kTcpHeaderBytesMin) return false;
    const uint32_t header_bytes = tcp_header_bytes(l4);
    return header_bytes >= kTcpHeaderBytesMin && header_bytes <= available;
  }
  if (available < kUdpHeaderBytes) return false;
  const uint32_t udp_bytes = load_be16(l4 + kUdpLengthAt);
  if (udp_bytes < kUdpHeaderBytes || udp_bytes > available) return false;
  if (udp_bytes == available) return true;
  packet.length = layers.l4_offset + udp_bytes;
  layers.l3_bytes = packet.length - layers.l3_offset;
  set_content(packet, layers.protocol);
  return true;
}

DropReason judge_inner(const SaIdentity& identity, Packet& packet) {
  const Layers& layers = packet.layers;
  if (layers.protocol != kProtocolTcp && layers.protocol != kProtocolUdp)
    return DropReason::kSelectorProtocol;
  if (!addresses_match(identity, layers)) return DropReason::kSelectorAddress;
  if (!take_l4(packet)) return DropReason::kInnerHeaderBad;
  const uint8_t* l4 = packet.at(layers.l4_offset);
  if (load_be16(l4) != identity.ue_port || load_be16(l4 + 2) != identity.local_port)
    return DropReason::kSelectorPort;
  return l4_checksum_good(packet, packet.l4_bytes()) ? DropReason::kNone
                                                     : DropReason::kInnerChecksumBad;
}

/// From the decrypted payload to the clear packet, and whether it may pass.
DropReason strip(const SaIdentity& identity, const InboundItem& item, const crypto::CryptoJob& job,
                 InboundNews& news) {
  Packet& packet = *item.packet;
  Payload payload;
  if (!read_trailer(item, job, payload)) return DropReason::kPaddingBad;
  const DropReason reason = identity.mode == shm::Mode::kTransport
                                ? strip_transport(packet, payload)
                                : strip_tunnel(packet, payload);
  // R-D-X2: what a device said of the outer packet says nothing about this one.
  packet.l4_checksum_trusted = false;
  if (reason != DropReason::kNone || !packet.layers.is_fragment) return reason;
  // Only tunnels get here: whole datagrams alone come to ESP (R-2406-12).
  news.inner_fragment = addresses_match(identity, packet.layers);
  return news.inner_fragment ? DropReason::kNone : DropReason::kSelectorAddress;
}

/// check_inner() for those who have the SA at hand.
DropReason check_inner_of(SaHot& hot, Packet& packet) {
  const DropReason reason = judge_inner(hot.identity, packet);
  if (reason == DropReason::kNone) add(hot.progress.bytes, uint64_t{packet.layers.l3_bytes});
  return dropped(hot.progress, reason);
}

}  // namespace

DropReason prepare_inbound(const SaDatabase& database, InboundItem& item, uint64_t now_ms,
                           crypto::CryptoJob& job) {
  SaHot& hot = database.hot(item.sa);
  const SaIdentity& identity = hot.identity;
  const uint32_t esp_bytes = esp_packet_bytes(item);
  uint8_t* esp = item.packet->at(item.esp_offset);
  item.sequence = esp_bytes < kEspHeaderBytes ? 0 : load_be32(esp + kEspSequenceAt);
  if (const DropReason reason = check_lengths(identity.suite, esp_bytes);
      reason != DropReason::kNone)
    return dropped(hot.progress, reason);
  if (now_ms >= identity.not_after_ms.load(std::memory_order_relaxed))
    return dropped(hot.progress, DropReason::kSaExpired);
  if (item.encapsulated != (identity.mode == shm::Mode::kUdpEncapsulatedTunnel))
    return dropped(hot.progress, DropReason::kEncapsulationMismatch);

  if (const ReplayVerdict verdict = window_of(database, item.sa, hot.progress).check(item.sequence);
      verdict != ReplayVerdict::kFresh) {
    add(hot.progress.replays, 1u);
    return drop_reason(verdict);
  }
  const crypto::SaKeys& keys = database.keys(item.sa);
  job = {&keys,
         esp,
         esp_bytes - crypto::kIcvBytes,
         identity.suite,
         crypto::Direction::kInbound,
         crypto::JobStatus::kPending};
  return DropReason::kNone;
}

DropReason finish_inbound(SaDatabase& database, InboundItem& item, const crypto::CryptoJob& job,
                          uint64_t now_ms, const InboundOptions& options, InboundNews& news) {
  SaHot& hot = database.hot(item.sa);
  SaProgress& progress = hot.progress;
  news = {};
  if (job.status == crypto::JobStatus::kIcvMismatch) {
    add(progress.icv_failures, 1u);
    return DropReason::kIcvWrong;
  }
  if (job.status != crypto::JobStatus::kOk) return dropped(progress, DropReason::kCryptoFailed);
  ReplayWindow window = window_of(database, item.sa, progress);
  if (const ReplayVerdict verdict = window.accept(item.sequence);
      verdict != ReplayVerdict::kFresh) {
    add(progress.replays, 1u);
    return drop_reason(verdict);
  }
  progress.sequence.store(window.highest(), std::memory_order_relaxed);
  progress.last_use_s.store(static_cast<uint32_t>(now_ms / kMsPerSecond),
                            std::memory_order_relaxed);
  news.first_packet = progress.packets.load(std::memory_order_relaxed) == 0;
  add(progress.packets, uint64_t{1});
  if (item.encapsulated) {
    news.outer_source_changed = !(item.packet->layers.source == database.outer_ue(item.sa));
    learn_peer_port(database, item, window.highest() == item.sequence, options, news);
  }
  if (const DropReason reason = strip(hot.identity, item, job, news); reason != DropReason::kNone)
    return dropped(progress, reason);
  if (news.inner_fragment) return DropReason::kNone;
  const DropReason reason = check_inner_of(hot, *item.packet);
  news.udp_on_tcp_sa = reason == DropReason::kNone &&
                       item.packet->layers.protocol == kProtocolUdp &&
                       role_of(item.sa) == shm::SaRole::kInUsPc;
  return reason;
}

DropReason check_inner(SaDatabase& database, SaIndex sa, Packet& packet) {
  return check_inner_of(database.hot(sa), packet);
}

}  // namespace gmesp::ipsec
