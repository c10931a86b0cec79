// Pipeline, first half: from the wire to the crypto jobs. The second half is pipeline_finish.cc;
// what happens to clear traffic is pipeline_clear.cc.
#include "dataplane/ipsec/pipeline.h"

#include <algorithm>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/header_layout.h"
#include "dataplane/ipsec/packet_lines.h"
#include "dataplane/ipsec/tcp_mss.h"

namespace gmesp::ipsec {
namespace {

/// Fragments join only within one context: what came in clear from the network, what the host sent,
/// and what was decrypted on one SA set never mix, whatever addresses they claim.
constexpr uint32_t kAccessContext = 0;
constexpr uint32_t kHostContext = 1;

ReassemblerOptions trusted(ReassemblerOptions options) {
  // All of it comes from one host or from authenticated peers: the table is the bound, not the
  // source.
  options.per_source_max = options.datagrams_max;
  return options;
}

uint32_t l3_header_bytes(const Layers& layers) {
  return layers.l4_offset - layers.l3_offset;
}

WaitingRoom waiting_room(const PipelineOptions& options, const crypto::Engine& engine,
                         crypto::Direction direction) {
  constexpr crypto::Suite kSuite = {crypto::Integrity::kHmacSha1_96, crypto::Cipher::kDesEde3Cbc};
  const uint32_t wanted = options.company_packets;
  return {wanted != 0 ? wanted : engine.company(kSuite, direction), Pipeline::kPacketsMax};
}

bool may_not_be_cut(const Packet& packet) {
  if (!packet.layers.is_ipv4) return true;
  return load_be16(packet.at(packet.layers.l3_offset) + kIpv4FragmentAt) & kIpv4DontFragment;
}

}  // namespace

Pipeline::Pipeline(const PipelineOptions& options, SaDatabase& database, PacketIo& io)
    : options_(options),
      database_(database),
      io_(io),
      classify_options_{&database.protected_ports(), options.encapsulation_port,
                        options.path_mtu_ipv4_min, options.path_mtu_ipv6_min},
      engine_(options.engine),
      access_fragments_(options.reassembly),
      trusted_fragments_(trusted(options.reassembly)),
      clear_bucket_(options.clear_packets_per_second, options.clear_packets_per_second / 10 + 1),
      icmp_in_bucket_(options.icmp_errors_per_second, options.icmp_errors_per_second / 10 + 1),
      icmp_out_bucket_(options.icmp_errors_per_second, options.icmp_errors_per_second / 10 + 1),
      fragment_bucket_(options.fragments_per_second, options.fragments_per_second / 10 + 1),
      fragment_sources_(options.fragments_per_source),
      failing_sources_(options.esp_failures_per_source),
      audit_buckets_(kDropReasonCount + 1,
                     TokenBucket(options.audit_events_per_second, options.audit_events_per_second)),
      audit_suppressed_(kDropReasonCount + 1, 0),
      waiting_{waiting_room(options, engine_, crypto::Direction::kInbound),
               waiting_room(options, engine_, crypto::Direction::kOutbound)} {}

Pipeline::~Pipeline() = default;

void Pipeline::process(std::span<Packet> from_access, std::span<Packet> from_host,
                       uint64_t now_ms) {
  now_ms_ = now_ms;
  joined_count_ = clear_count_ = 0;
  if (options_.screen != nullptr) options_.screen->begin_burst(now_ms);
  counters_.add(Statistic::kAccessPackets, from_access.size());
  counters_.add(Statistic::kHostPackets, from_host.size());
  for (WaitingRoom& room : waiting_)
    room.begin_call(static_cast<uint32_t>(from_access.size() + from_host.size()));
  for (const Packet& packet : from_host) prefetch_both_ends(packet);
  for (Packet& packet : from_access) admit(packet, Side::kAccess);
  for (Packet& packet : from_host) admit(packet, Side::kHost);
  work();
  for (WaitingRoom& room : waiting_) work_off(room);
  pass_deferred_clear();
  flush(Side::kAccess);
  flush(Side::kHost);
}

void Pipeline::drain() {
  for (WaitingRoom& room : waiting_) {
    for (uint32_t at = 0; at < room.count(); ++at) {
      const Pending pending = room.waiting(at);
      drop(*pending.packet, pending.side, DropReason::kShutDown);
    }
    room.leave(room.count());
  }
}

/// All that is pending, from the look-up to the outbox.
void Pipeline::work() {
  if (pending_count_ == 0) return;
  working_count_ = unproven_count_ = 0;
  look_up();
  finish();
  release_unproven_owners();
  pending_count_ = 0;
}

void Pipeline::work_off(WaitingRoom& room) {
  while (const uint32_t count = std::min(room.due(), kPacketsMax)) {
    for (; pending_count_ < count; ++pending_count_) {
      pending_[pending_count_] = room.waiting(pending_count_);
      prefetch_payload(*pending_[pending_count_].packet);
    }
    work();
    room.leave(count);
  }
}

/// Few packets of a kind that is dear unless there are many of it.
bool Pipeline::must_wait(const Pending& pending, SaIndex sa) {
  if (database_.hot(sa).identity.suite.cipher != crypto::Cipher::kDesEde3Cbc || pending.has_waited)
    return false;
  WaitingRoom& room = waiting_[static_cast<uint32_t>(pending.side)];
  if (!room.wants_next()) return false;
  room.add(pending);
  counters_.add(Statistic::kWaitedForCompany);
  return true;
}

void Pipeline::expire(uint64_t now_ms) {
  engine_.forget_keys();
  constexpr uint32_t kSlotsPerCall = 1024;
  const uint32_t overdue = access_fragments_.expire(now_ms, kSlotsPerCall) +
                           trusted_fragments_.expire(now_ms, kSlotsPerCall);
  if (overdue == 0) return;
  now_ms_ = now_ms;
  counters_.add(DropReason::kFragmentTimeout, overdue);
  audit(Packet{}, DropReason::kFragmentTimeout, kNoSa, 0);
}

/// Parses and classifies; ESP work is queued, the rest ends here.
void Pipeline::admit(Packet& packet, Side side) {
  if (const DropReason reason = parse(packet); reason != DropReason::kNone) {
    packet.layers.is_ip = false;  // what was found so far names the packet, but points nowhere
    return drop(packet, side, reason);
  }
  IcmpQuote quote;
  const Verdict verdict = side == Side::kAccess ? classify_access(packet, classify_options_, quote)
                                                : classify_host(packet, classify_options_);
  const Layers& layers = packet.layers;
  switch (verdict.route) {
    case Route::kDrop:
      return drop(packet, side, verdict.reason);
    case Route::kClear:
      return admit_clear(packet, side);
    case Route::kFragment:
      return admit_fragment(packet, side);
    case Route::kPathMtu:
      return take_path_mtu(packet, quote);
    case Route::kEsp: {
      const uint32_t spi = load_be32(packet.at(verdict.esp_offset));
      const uint64_t hash = database_.inbound_hash(spi, layers.destination);
      pending_[pending_count_++] = {&packet, hash, kNoSa, verdict, side, false, 0, 0};
      return prefetch_payload(packet);
    }
    case Route::kProtect: {
      const uint16_t local_port = load_be16(packet.at(layers.l4_offset));
      const uint16_t ue_port = load_be16(packet.at(layers.l4_offset) + 2);
      const uint64_t hash =
          database_.outbound_hash(layers.source, local_port, layers.destination, ue_port);
      pending_[pending_count_++] = {&packet, hash,  kNoSa,      verdict,
                                    side,    false, local_port, ue_port};
      return prefetch_payload(packet);
    }
  }
}

/// What a flood of fragments may cost. First the source's own share, so that one source does not
/// use up that of all.
bool Pipeline::take_fragment(Packet& packet) {
  DropReason reason = DropReason::kNone;
  if (!fragment_sources_.take(packet.layers.source, now_ms_))
    reason = DropReason::kFragmentSourceRate;
  else if (options_.fragments_per_second != 0 && !fragment_bucket_.take(now_ms_))
    reason = DropReason::kFragmentRate;
  if (reason == DropReason::kNone) return true;
  drop(packet, Side::kAccess, reason);
  return false;
}

void Pipeline::admit_fragment(Packet& packet, Side side) {
  if (options_.workers > 1) {
    const Layers& layers = packet.layers;
    // All fragments of a datagram meet at one worker, wherever the device put them (R-2406-12).
    const uint64_t mixed = (layers.source.low() ^ layers.destination.low() ^ layers.source.high() ^
                            layers.destination.high() ^ layers.fragment_id) *
                           0x9e3779b97f4a7c15;
    const auto worker = static_cast<uint8_t>((mixed >> 32) % options_.workers);
    if (worker != options_.worker) {
      if (!io_.hand_off(worker, side, packet)) return drop(packet, side, DropReason::kHandoffFull);
      return counters_.add(Statistic::kHandedOff);
    }
  }
  if (side == Side::kAccess && !take_fragment(packet)) return;
  Packet* whole = side == Side::kAccess ? join(packet, side, access_fragments_, kAccessContext)
                                        : join(packet, side, trusted_fragments_, kHostContext);
  if (whole != nullptr) admit(*whole, side);
}

/// Stores the fragment and frees its packet. Returns the joined datagram if this was the last
/// piece.
Packet* Pipeline::join(Packet& packet, Side side, Reassembler& reassembler, uint32_t context) {
  counters_.add(Statistic::kFragmentsIn);
  const Reassembler::Result result = reassembler.add(packet, context, now_ms_);
  if (result.outcome == Reassembler::Outcome::kDropped) {
    // Those stored before it that go with it have no packet any more, only their count.
    if (result.fragments_dropped > 1) counters_.add(result.reason, result.fragments_dropped - 1);
    drop(packet, side, result.reason);
    return nullptr;
  }
  io_.release(packet.owner);
  if (result.outcome == Reassembler::Outcome::kStored) return nullptr;
  Packet& whole = joined_[joined_count_];
  whole = {};
  uint32_t fragments = 0;
  const bool allocated =
      io_.allocate(kHeadroomBytes + options_.reassembly.datagram_bytes_max + kHeadroomBytes, whole);
  const bool taken = reassembler.take(result.slot, whole, kHeadroomBytes, fragments);
  if (!allocated || !taken) {
    counters_.add(DropReason::kNoBuffer, fragments);
    if (allocated) io_.release(whole.owner);
    return nullptr;
  }
  whole.joined = true;
  ++joined_count_;
  counters_.add(Statistic::kDatagramsJoined);
  counters_.add(Statistic::kFragmentsJoined, fragments);
  return &whole;
}

/// The control thread matches it to an SA; the worker only passes on what it was told, at a bounded
/// rate.
void Pipeline::take_path_mtu(Packet& packet, const IcmpQuote& quote) {
  if (!icmp_in_bucket_.take(now_ms_))
    return drop(packet, Side::kAccess, DropReason::kPathMtuIgnored);
  Notice notice = notice_about(packet, shm::EventKind::kPathMtuLearned, kNoSa);
  notice.protocol = quote.protocol;
  notice.spi = quote.has_spi ? quote.spi : 0;
  notice.source = quote.source;
  notice.destination = quote.destination;
  notice.source_port = quote.source_port;
  notice.destination_port = quote.destination_port;
  notice.value = quote.mtu_bytes;
  notices_.push(notice);
  drop(packet, Side::kAccess, DropReason::kPathMtuTaken);
}

/// Buckets, then SAs and their keys: each pass reads what the one before asked for. Passes that ask
/// do nothing else. A request that misses the TLB holds up what stands behind it in the program, so
/// that only short loops have several of them under way.
void Pipeline::look_up() {
  const std::span<Pending> all(pending_.data(), pending_count_);
  for (const Pending& pending : all) {
    if (pending.side == Side::kAccess)
      database_.prefetch_inbound(pending.hash);
    else
      database_.prefetch_outbound(pending.hash);
  }
  for (Pending& pending : all)
    pending.candidate = pending.side == Side::kAccess ? database_.candidate_inbound(pending.hash)
                                                      : database_.candidate_outbound(pending.hash);
  for (const Pending& pending : all)
    if (pending.candidate != kNoSa) database_.prefetch_sa(pending.candidate);
  for (const Pending& pending : all) {
    if (pending.side == Side::kAccess)
      start_inbound(pending);
    else
      start_outbound(pending);
  }
}

/// One owner per SA: its window and its sequence number are touched by one core only (R-D-A1). The
/// first worker that sees a packet of an SA claims it, so that devices which steer by flow need no
/// hand-off at all.
bool Pipeline::own(Packet& packet, Side side, SaIndex sa) {
  if (options_.workers == 1) return true;
  std::atomic<uint8_t>& owner = database_.hot(sa).identity.owner;
  uint8_t current = owner.load(std::memory_order_acquire);
  if (current == options_.worker) return true;
  if (current == kNoOwner &&
      owner.compare_exchange_strong(current, options_.worker, std::memory_order_acq_rel)) {
    unproven_[unproven_count_++] = sa;
    return true;
  }
  if (io_.hand_off(current, side, packet))
    counters_.add(Statistic::kHandedOff);
  else
    drop_for_sa(packet, side, DropReason::kHandoffFull, sa);
  return false;
}

/// A claim made by a packet that then failed its ICV must not stick: anyone can send such a packet
/// from anywhere, and the SA would stay with a worker that the device does not steer it to.
void Pipeline::release_unproven_owners() {
  for (uint32_t i = 0; i < unproven_count_; ++i) {
    SaHot& hot = database_.hot(unproven_[i]);
    if (hot.progress.packets.load(std::memory_order_relaxed) == 0)
      hot.identity.owner.store(kNoOwner, std::memory_order_release);
  }
}

void Pipeline::start_inbound(const Pending& pending) {
  Packet& packet = *pending.packet;
  const uint32_t spi = load_be32(packet.at(pending.verdict.esp_offset));
  const SaIndex sa =
      database_.find_inbound(pending.hash, spi, packet.layers.destination, pending.candidate);
  if (sa == kNoSa) {
    failing_sources_.take(packet.layers.source, now_ms_);
    return drop(packet, Side::kAccess, DropReason::kUnknownSpi);
  }
  // Not before we must: whoever sends under a user's address would silence that user.
  if (is_overloaded_ && failing_sources_.is_used_up(packet.layers.source, now_ms_))
    return drop_for_sa(packet, Side::kAccess, DropReason::kEspSourceShed, sa);
  if (!own(packet, Side::kAccess, sa) || must_wait(pending, sa)) return;
  Working& working = working_[working_count_];
  working.packet = &packet;
  working.sa = sa;
  working.side = Side::kAccess;
  working.inbound = {&packet,
                     sa,
                     pending.verdict.esp_offset,
                     pending.verdict.encapsulated,
                     pending.verdict.outer_source_port,
                     0};
  const DropReason reason =
      prepare_inbound(database_, working.inbound, now_ms_, jobs_[working_count_]);
  if (reason != DropReason::kNone)
    return drop_for_sa(packet, Side::kAccess, reason, sa, working.inbound.sequence);
  ++working_count_;
}

void Pipeline::start_outbound(const Pending& pending) {
  Packet& packet = *pending.packet;
  const Layers& layers = packet.layers;
  const SaIndex sa =
      database_.find_outbound(pending.hash, layers.source, pending.local_port, layers.destination,
                              pending.ue_port, pending.candidate);
  if (sa == kNoSa) return drop(packet, Side::kHost, DropReason::kNoSaForProtectedPort);
  if (!own(packet, Side::kHost, sa) || must_wait(pending, sa)) return;
  const SaIdentity& identity = database_.hot(sa).identity;
  const uint16_t learned = identity.path_mtu.load(std::memory_order_relaxed);
  const uint16_t mtu_bytes =
      learned != 0 && learned < options_.access_mtu_bytes ? learned : options_.access_mtu_bytes;
  if (told_too_big(packet, identity, mtu_bytes))
    return drop_for_sa(packet, Side::kHost, DropReason::kTooBigForPath, sa);
  lower_mss(packet, identity, mtu_bytes);
  Working& working = working_[working_count_];
  working.packet = &packet;
  working.sa = sa;
  working.side = Side::kHost;
  working.mtu_bytes = mtu_bytes;
  working.clear_bytes = layers.l3_bytes;
  OutboundNews news{};
  const DropReason reason =
      prepare_outbound(database_, sa, packet, now_ms_, options_.outbound, iv_source_,
                       ip_identification_, jobs_[working_count_], news);
  if (news.udp_on_tcp_sa) counters_.add(Statistic::kUdpOnTcpSa);
  if (news.sequence_near_end)
    notices_.push(notice_about(packet, shm::EventKind::kSequenceNearEnd, sa));
  if (news.sequence_end) notices_.push(notice_about(packet, shm::EventKind::kSequenceEnd, sa));
  if (reason != DropReason::kNone) return drop_for_sa(packet, Side::kHost, reason, sa);
  ++working_count_;
}

/// What one end announces bounds what the other sends: both directions stay below the overhead
/// (R-2401-02).
void Pipeline::lower_mss(Packet& packet, const SaIdentity& sa, uint16_t mtu_bytes) {
  const Layers& layers = packet.layers;
  if (layers.protocol != kProtocolTcp) return;
  const uint32_t headers = l3_header_bytes(layers);
  const uint32_t inner_mtu = inner_mtu_bytes(sa, layers.is_ipv4, mtu_bytes, headers);
  if (inner_mtu > headers + kTcpHeaderBytesMin &&
      clamp_mss(packet, static_cast<uint16_t>(inner_mtu - headers - kTcpHeaderBytesMin)))
    counters_.add(Statistic::kMssLowered);
}

/// RFC 2401 6.1: a packet that must not be cut and does not fit once protected is answered with
/// "too big".
bool Pipeline::told_too_big(const Packet& packet, const SaIdentity& sa, uint16_t mtu_bytes) {
  const uint32_t headers = l3_header_bytes(packet.layers);
  const bool is_ipv4 = packet.layers.is_ipv4;
  if (protected_bytes(sa, is_ipv4, packet.layers.l3_bytes, headers) <= mtu_bytes) return false;
  // No single frame of the host is larger than the MTU: such a datagram was joined by the device.
  const bool joined = packet.joined || packet.layers.l3_bytes > options_.access_mtu_bytes;
  if (joined || !may_not_be_cut(packet)) return false;
  Packet reply{};
  if (!icmp_out_bucket_.take(now_ms_) || !io_.allocate(kHeadroomBytes + 1500, reply)) return true;
  const uint32_t inner_mtu = inner_mtu_bytes(sa, is_ipv4, mtu_bytes, headers);
  if (!write_too_big(packet, inner_mtu, kHeadroomBytes, reply)) {
    io_.release(reply.owner);
    return true;
  }
  counters_.add(Statistic::kTooBigSent);
  put(Side::kHost, reply.owner, reply.data, reply.length);
  return true;
}

}  // namespace gmesp::ipsec
