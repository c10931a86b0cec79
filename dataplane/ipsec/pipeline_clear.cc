// Pipeline, clear traffic: what of it an overloaded worker sheds, what the screen says to the rest.
#include <algorithm>

#include "crypto/prefetch.h"
#include "dataplane/ipsec/pipeline.h"

namespace gmesp::ipsec {
namespace {

/// Overloaded: one clear packet of so many received still passes, so that new users are not shut
/// out altogether.
constexpr uint64_t kReceivedPerClear = 256;
constexpr uint64_t kClearCreditMax = 16 * kReceivedPerClear;
constexpr uint32_t kShedTogether = 64;
/// Packets, while the first of their bytes come from memory.
constexpr size_t kLookAhead = 8;

/// ARP and Neighbor Discovery (RFC 4861 7.1: hop limit 255, so from the link itself): without them
/// nothing protected finds its way either.
bool is_of_link(const Packet& packet) {
  const Layers& layers = packet.layers;
  if (!layers.is_ip) return true;
  if (layers.is_ipv4 || layers.protocol != kProtocolIcmpv6 || packet.l4_bytes() == 0) return false;
  constexpr uint32_t kHopLimitAt = 7;
  const uint8_t type = *packet.at(layers.l4_offset);
  return packet.at(layers.l3_offset)[kHopLimitAt] == 255 && type >= 133 && type <= 137;
}

}  // namespace

void Pipeline::set_overloaded(bool is_overloaded) {
  is_overloaded_ = is_overloaded;
  if (!is_overloaded) clear_credit_ = 0;
}

bool Pipeline::takes_clear_credit() {
  if (clear_credit_ < kReceivedPerClear) return false;
  clear_credit_ -= kReceivedPerClear;
  return true;
}

uint32_t Pipeline::shed(std::span<Packet> packets, uint64_t now_ms) {
  now_ms_ = now_ms;
  clear_credit_ = std::min(clear_credit_ + packets.size(), kClearCreditMax);
  std::array<void*, kShedTogether> owners;
  uint32_t left = 0, shed = 0;
  for (size_t at = 0; at < packets.size(); ++at) {
    if (at + kLookAhead < packets.size()) crypto::prefetch(packets[at + kLookAhead].data);
    Packet& packet = packets[at];
    if (!is_plainly_clear(packet, classify_options_) || takes_clear_credit()) {
      if (left != at) packets[left] = packet;
      ++left;
      continue;
    }
    if (shed == 0) tell_shed(packet);
    owners[shed++] = packet.owner;
    if (shed == kShedTogether) {
      drop_shed(owners);
      shed = 0;
    }
  }
  if (shed != 0) drop_shed({owners.data(), shed});
  return left;
}

/// One for all that are dropped with it.
void Pipeline::tell_shed(Packet& packet) {
  if (!may_audit(DropReason::kClearOverload)) return;
  if (parse(packet) != DropReason::kNone) packet.layers.is_ip = false;
  tell_drop(packet, DropReason::kClearOverload, kNoSa, 0);
}

void Pipeline::drop_shed(std::span<void* const> owners) {
  constexpr DropReason kReason = DropReason::kClearOverload;
  counters_.add(Statistic::kAccessPackets, owners.size());
  counters_.add(kReason, owners.size());
  suppress_audit(kReason, static_cast<uint32_t>(owners.size() - 1));
  io_.release(owners);
}

void Pipeline::admit_clear(Packet& packet, Side side) {
  if (side == Side::kHost) {
    counters_.add(Statistic::kClearOutPackets);
    return send(packet, Side::kAccess, options_.access_mtu_bytes);
  }
  clear_[clear_count_++] = &packet;
}

void Pipeline::pass_deferred_clear() {
  for (uint32_t i = 0; i < clear_count_; ++i) pass_clear(*clear_[i]);
}

void Pipeline::pass_clear(Packet& packet) {
  constexpr Side side = Side::kAccess;
  // What is plainly clear has paid in shed().
  const bool has_paid = !packet.joined && is_plainly_clear(packet, classify_options_);
  if (is_overloaded_ && !has_paid && !is_of_link(packet) && !takes_clear_credit())
    return drop(packet, side, DropReason::kClearOverload);
  if (options_.clear_packets_per_second != 0 && !clear_bucket_.take(now_ms_))
    return drop(packet, side, DropReason::kClearRateLimited);
  if (options_.screen != nullptr && !passes_screen(packet, side, kNoSa)) return;
  counters_.add(Statistic::kClearInPackets);
  send(packet, Side::kHost, options_.host_mtu_bytes);
}

/// False: the packet is dropped, and answered if the screen says so.
bool Pipeline::passes_screen(const Packet& packet, Side from, SaIndex sa) {
  const Layers& layers = packet.layers;
  if (!layers.is_ip) return true;
  if (layers.protocol != kProtocolUdp && layers.protocol != kProtocolTcp) return true;
  const ScreenVerdict verdict =
      sa == kNoSa ? options_.screen->on_clear(packet) : options_.screen->on_protected(packet);
  if (verdict.is_event) tell_rule(packet, verdict.rule, sa);
  if (verdict.action == ScreenVerdict::Action::kPass) {
    if (verdict.counted) counters_.add(*verdict.counted);
    return true;
  }
  if (verdict.action == ScreenVerdict::Action::kReply) answer(packet, verdict.status);
  drop_for_sa(packet, from, verdict.reason, sa);
  return false;
}

void Pipeline::answer(const Packet& packet, uint16_t status) {
  Packet reply{};
  if (!io_.allocate(kHeadroomBytes + packet.length, reply))
    return counters_.add(Statistic::kSipRepliesLeftOut);
  if (!options_.screen->write_reply(packet, status, kHeadroomBytes, reply) ||
      reply.length - packet.layers.l3_offset > options_.access_mtu_bytes) {
    io_.release(reply.owner);
    return counters_.add(Statistic::kSipRepliesLeftOut);
  }
  counters_.add(Statistic::kSipReplies);
  put(Side::kAccess, reply.owner, reply.data, reply.length);
}

/// Rules that want an event share one rate.
void Pipeline::tell_rule(const Packet& packet, uint32_t rule, SaIndex sa) {
  constexpr DropReason kNoDrop = DropReason::kNone;
  if (!may_audit(kNoDrop)) return;
  Notice notice = notice_about(packet, shm::EventKind::kSipRule, sa);
  notice.value = rule;
  notice.suppressed = take_suppressed(kNoDrop);
  notices_.push(notice);
}

}  // namespace gmesp::ipsec
