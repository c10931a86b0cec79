// Pipeline, second half: from the finished crypto jobs to the wire, and the one door for drops.
#include <utility>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/fragmenter.h"
#include "dataplane/ipsec/packet_lines.h"
#include "dataplane/ipsec/pipeline.h"

namespace gmesp::ipsec {
namespace {

/// 65,535 bytes at the smallest MTU that is ever believed.
constexpr uint32_t kFragmentsMax = 128;
/// Contexts of access and host fragments come before those of the sets.
constexpr uint32_t kFirstSetContext = 2;

/// Dropping these is the normal course: no audit event, only the counter.
bool is_silent(DropReason reason) {
  return reason == DropReason::kNatKeepAlive || reason == DropReason::kDummyPacket ||
         reason == DropReason::kPathMtuTaken || reason == DropReason::kShutDown;
}

/// Bare or behind UDP on the encapsulation port (RFC 3948 2.1); null if there is none.
const uint8_t* esp_header_in(const Packet& packet, uint16_t encapsulation_port) {
  constexpr uint32_t kUdpHeaderBytes = 8;
  constexpr uint32_t kEspHeaderBytes = 8;
  const uint8_t* l4 = packet.at(packet.layers.l4_offset);
  if (packet.layers.protocol == kProtocolEsp)
    return packet.l4_bytes() >= kEspHeaderBytes ? l4 : nullptr;
  if (packet.layers.protocol != kProtocolUdp || encapsulation_port == 0) return nullptr;
  if (load_be16(l4) != encapsulation_port && load_be16(l4 + 2) != encapsulation_port)
    return nullptr;
  if (load_be16(l4 + 4) < kUdpHeaderBytes + kEspHeaderBytes) return nullptr;
  return load_be32(l4 + kUdpHeaderBytes) != 0 ? l4 + kUdpHeaderBytes : nullptr;
}

}  // namespace

/// Deciphered a whole burst ago and read once more: a burst of long packets is larger than the
/// first cache.
void Pipeline::prefetch_for_checksum(const Working& working) {
  constexpr uint32_t kLongBytes = 512;
  if (working.side == Side::kAccess && working.packet->length >= kLongBytes)
    prefetch_again(*working.packet);
}

void Pipeline::finish() {
  if (working_count_ == 0) return;
  engine_.process({jobs_.data(), working_count_});
  counters_.add(Statistic::kEngineCalls);
  counters_.add(Statistic::kEngineJobs, working_count_);
  for (uint32_t i = 0; i < working_count_; ++i) {
    if (i + 2 < working_count_) prefetch_for_checksum(working_[i + 2]);
    if (working_[i].side == Side::kAccess)
      finish_inbound_item(working_[i], jobs_[i]);
    else
      finish_outbound_item(working_[i], jobs_[i]);
  }
}

void Pipeline::finish_inbound_item(Working& working, const crypto::CryptoJob& job) {
  InboundNews news{};
  const DropReason reason =
      finish_inbound(database_, working.inbound, job, now_ms_, options_.inbound, news);
  report(news, working);
  if (reason == DropReason::kIcvWrong)
    failing_sources_.take(working.packet->layers.source, now_ms_);
  if (reason != DropReason::kNone)
    return drop_for_sa(*working.packet, Side::kAccess, reason, working.sa,
                       working.inbound.sequence);
  if (news.inner_fragment) return join_inner(*working.packet, working.sa);
  deliver_inbound(*working.packet, working.sa);
}

/// A tunnel may carry fragments of the inner datagram (Linux cuts before it encapsulates): joined
/// here with others of the same set only, and judged by the selectors when whole.
void Pipeline::join_inner(Packet& packet, SaIndex sa) {
  Packet* whole = join(packet, Side::kAccess, trusted_fragments_, kFirstSetContext + set_of(sa));
  if (whole == nullptr) return;
  DropReason reason = parse(*whole);
  if (reason == DropReason::kNone) reason = check_inner(database_, sa, *whole);
  if (reason != DropReason::kNone) return drop_for_sa(*whole, Side::kAccess, reason, sa);
  deliver_inbound(*whole, sa);
}

void Pipeline::deliver_inbound(Packet& packet, SaIndex sa) {
  if (options_.screen != nullptr && !passes_screen(packet, Side::kAccess, sa)) return;
  counters_.add(Statistic::kEspInPackets);
  counters_.add(Statistic::kEspInBytes, packet.layers.l3_bytes);
  lower_mss(packet, database_.hot(sa).identity, options_.access_mtu_bytes);
  send(packet, Side::kHost, options_.host_mtu_bytes);
}

void Pipeline::report(const InboundNews& news, const Working& working) {
  if (news.udp_on_tcp_sa) counters_.add(Statistic::kUdpOnTcpSa);
  if (news.outer_source_changed) counters_.add(Statistic::kOuterSourceChanged);
  const auto tell = [&](shm::EventKind kind) {
    Notice notice = notice_about(*working.packet, kind, working.sa);
    notice.value = working.inbound.outer_source_port;
    notice.sequence = working.inbound.sequence;
    notices_.push(notice);
  };
  if (news.first_packet) tell(shm::EventKind::kFirstInbound);
  if (news.peer_port_learned) tell(shm::EventKind::kPeerPortLearned);
  if (news.peer_port_changed) tell(shm::EventKind::kPeerPortChanged);
}

void Pipeline::finish_outbound_item(Working& working, const crypto::CryptoJob& job) {
  Packet& packet = *working.packet;
  const DropReason reason = finish_outbound(database_, working.sa, packet, job, now_ms_);
  if (reason != DropReason::kNone) return drop_for_sa(packet, Side::kHost, reason, working.sa);
  counters_.add(Statistic::kEspOutPackets);
  counters_.add(Statistic::kEspOutBytes, working.clear_bytes);
  send(packet, Side::kAccess, working.mtu_bytes);
}

void Pipeline::send(Packet& packet, Side to, uint32_t mtu_bytes) {
  if (!packet.layers.is_ip || packet.layers.l3_bytes <= mtu_bytes)
    return put(to, packet.owner, packet.data, packet.length);
  send_fragments(packet, to, mtu_bytes);
}

/// All fragments or none: a datagram of which some are missing only costs its receiver memory.
void Pipeline::send_fragments(Packet& packet, Side to, uint32_t mtu_bytes) {
  const Side from = to == Side::kHost ? Side::kAccess : Side::kHost;
  std::array<Outgoing, kFragmentsMax> fragments;
  const uint32_t count = fragment_count(packet, mtu_bytes);
  if (count == 0 || count > kFragmentsMax) return drop(packet, from, DropReason::kTooBigForPath);
  ++fragment_identification_;
  for (uint32_t i = 0; i < count; ++i) {
    Packet fragment{};
    const bool allocated =
        io_.allocate(kHeadroomBytes + packet.layers.l3_offset + mtu_bytes, fragment);
    fragments[i] = {fragment.owner, nullptr, 0};
    if (allocated &&
        write_fragment(packet, mtu_bytes, i, fragment_identification_, kHeadroomBytes, fragment)) {
      fragments[i] = {fragment.owner, fragment.data, fragment.length};
      continue;
    }
    for (uint32_t made = 0; made < i + (allocated ? 1 : 0); ++made)
      io_.release(fragments[made].owner);
    return drop(packet, from, DropReason::kNoBuffer);
  }
  for (uint32_t i = 0; i < count; ++i)
    put(to, fragments[i].owner, fragments[i].data, fragments[i].length);
  counters_.add(Statistic::kDatagramsCut);
  counters_.add(Statistic::kFragmentsOut, count);
  io_.release(packet.owner);
}

void Pipeline::put(Side to, void* owner, uint8_t* data, uint32_t length) {
  Outbox& box = outbox_[static_cast<uint32_t>(to)];
  if (box.count == box.packets.size()) return put_after_flush(to, owner, data, length);
  box.packets[box.count++] = {owner, data, length};
}

/// Apart, so that put() and its callers need no registers for it.
[[gnu::noinline]] void Pipeline::put_after_flush(Side to, void* owner, uint8_t* data,
                                                 uint32_t length) {
  flush(to);
  put(to, owner, data, length);
}

void Pipeline::flush(Side to) {
  Outbox& box = outbox_[static_cast<uint32_t>(to)];
  if (box.count == 0) return;
  const uint32_t sent = io_.transmit(to, {box.packets.data(), box.count});
  for (uint32_t i = sent; i < box.count; ++i) {
    const Outgoing& refused = box.packets[i];
    Packet packet{};
    packet.buffer = packet.data = refused.data;
    packet.capacity = packet.length = refused.length;
    packet.owner = refused.owner;
    packet.layers.is_ip = parse(packet) == DropReason::kNone && packet.layers.is_ip;
    drop(packet, to, DropReason::kTransmitFull);
  }
  box.count = 0;
}

void Pipeline::drop(const Packet& packet, Side side, DropReason reason) {
  drop_for_sa(packet, side, reason, kNoSa);
}

void Pipeline::drop_for_sa(const Packet& packet, Side, DropReason reason, SaIndex sa,
                           uint32_t sequence) {
  counters_.add(reason);
  audit(packet, reason, sa, sequence);
  io_.release(packet.owner);
}

void Pipeline::audit(const Packet& packet, DropReason reason, SaIndex sa, uint32_t sequence) {
  if (!is_silent(reason) && may_audit(reason)) tell_drop(packet, reason, sa, sequence);
}

bool Pipeline::may_audit(DropReason reason) {
  if (audit_buckets_[static_cast<uint32_t>(reason)].take(now_ms_)) return true;
  suppress_audit(reason, 1);
  return false;
}

void Pipeline::suppress_audit(DropReason reason, uint32_t count) {
  audit_suppressed_[static_cast<uint32_t>(reason)] += count;
  counters_.add(Statistic::kAuditSuppressed, count);
}

uint32_t Pipeline::take_suppressed(DropReason reason) {
  return std::exchange(audit_suppressed_[static_cast<uint32_t>(reason)], 0);
}

void Pipeline::tell_drop(const Packet& packet, DropReason reason, SaIndex sa, uint32_t sequence) {
  Notice notice = notice_about(packet, shm::EventKind::kAudit, sa);
  notice.reason = reason;
  if (sa != kNoSa) notice.sequence = sequence;
  notice.suppressed = take_suppressed(reason);
  notices_.push(notice);
}

Notice Pipeline::notice_about(const Packet& packet, shm::EventKind kind, SaIndex sa) const {
  Notice notice{};
  notice.kind = kind;
  notice.sa = sa;
  notice.time_ms = now_ms_;
  const Layers& layers = packet.layers;
  notice.protocol = layers.protocol;
  notice.source = layers.source;
  notice.destination = layers.destination;
  if (sa != kNoSa) {
    // The packet may have been half taken apart; the SA says what it was.
    const SaIdentity& identity = database_.hot(sa).identity;
    const bool inbound = is_inbound(role_of(sa));
    notice.spi = identity.spi;
    notice.source_port = inbound ? identity.ue_port : identity.local_port;
    notice.destination_port = inbound ? identity.local_port : identity.ue_port;
    return notice;
  }
  if (!layers.is_ip || layers.is_fragment) return notice;
  const uint8_t* l4 = packet.at(layers.l4_offset);
  if (layers.protocol == kProtocolUdp || layers.protocol == kProtocolTcp) {
    notice.source_port = load_be16(l4);
    notice.destination_port = load_be16(l4 + 2);
  }
  if (const uint8_t* esp = esp_header_in(packet, options_.encapsulation_port); esp != nullptr) {
    notice.spi = load_be32(esp);
    notice.sequence = load_be32(esp + 4);
  }
  return notice;
}

}  // namespace gmesp::ipsec
