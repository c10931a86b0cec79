#include "dataplane/gate/sip_gate.h"

#include <algorithm>
#include <random>

#include "dataplane/gate/reply_frame.h"
#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::gate {
namespace {

using ipsec::DropReason;
using ipsec::Packet;
using ipsec::ScreenVerdict;
using ipsec::Statistic;
using screen::ClearReason;
using Action = ScreenVerdict::Action;

constexpr uint8_t kTcpSyn = 0x02, kTcpAck = 0x10;

/// What a reason is counted as, when the packet passes and when it does not.
struct Outcome {
  std::optional<Statistic> passed;
  DropReason dropped;
};

constexpr Outcome outcome_of(ClearReason reason) {
  switch (reason) {
    case ClearReason::kMethodAllowed:
      return {Statistic::kSipMethodAllowed, DropReason::kNone};
    case ClearReason::kEmergency:
      return {Statistic::kSipEmergency, DropReason::kNone};
    case ClearReason::kEmergencyDialog:
      return {Statistic::kSipEmergencyDialog, DropReason::kNone};
    case ClearReason::kResponseAllowed:
      return {Statistic::kSipResponseAllowed, DropReason::kNone};
    case ClearReason::kKeepAlive:
      return {Statistic::kSipKeepAlive, DropReason::kSipKeepAliveRefused};
    case ClearReason::kStun:
      return {Statistic::kSipStun, DropReason::kSipStunRefused};
    case ClearReason::kCutStream:
      return {Statistic::kSipCutStream, DropReason::kSipCutStreamRefused};
    case ClearReason::kMethodNotAllowed:
      return {{}, DropReason::kSipMethodNotAllowed};
    case ClearReason::kResponseNotAllowed:
      return {{}, DropReason::kSipResponseNotAllowed};
    case ClearReason::kMalformed:
      return {{}, DropReason::kSipMalformed};
    case ClearReason::kHeaderFieldsTooMany:
      return {{}, DropReason::kSipHeaderFieldsTooMany};
    case ClearReason::kCutDatagram:
      return {{}, DropReason::kSipCutDatagram};
    case ClearReason::kNotSip:
      break;
  }
  return {{}, DropReason::kSipNotSip};
}

ScreenVerdict verdict_of(const screen::ClearVerdict& clear) {
  const Outcome outcome = outcome_of(clear.reason);
  switch (clear.action) {
    case screen::ClearAction::kPass:
      return {.counted = outcome.passed};
    case screen::ClearAction::kReject:
      return {.action = Action::kReply, .reason = outcome.dropped, .status = clear.status};
    default:
      return {.action = Action::kDrop, .reason = outcome.dropped};
  }
}

ScreenVerdict drop(DropReason reason) {
  return {.action = Action::kDrop, .reason = reason};
}

/// parse() has checked every length here.
std::span<const uint8_t> payload_of(const Packet& packet) {
  const uint8_t* l4 = packet.at(packet.layers.l4_offset);
  if (packet.layers.protocol == ipsec::kProtocolUdp)
    return {l4 + ipsec::kUdpHeaderBytes, ipsec::load_be16(l4 + 4) - ipsec::kUdpHeaderBytes};
  const uint32_t header_bytes = ipsec::tcp_header_bytes(l4);
  return {l4 + header_bytes, packet.l4_bytes() - header_bytes};
}

bool starts_message(const screen::SipMessage& message) {
  return message.kind == screen::MessageKind::kRequest ||
         message.kind == screen::MessageKind::kResponse;
}

std::string_view text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The first one told of that asks for an event.
uint32_t event_rule(const screen::SignatureSet& set, const screen::ScanResult& result) {
  const size_t told = std::min<size_t>(result.matches, screen::kMatchesTold);
  for (size_t i = 0; i < told; ++i)
    if (set.rules()[result.rules[i]].action == screen::RuleAction::kEvent) return result.rules[i];
  return result.heaviest;
}

uint64_t random_word() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

ipsec::TokenBucket bucket(uint64_t per_second) {
  return {per_second, per_second / 10 + 1};
}

}  // namespace

SipGate::SipGate(const GateOptions& options, const screen::SignatureSwap& rules)
    : options_(options),
      swap_(rules),
      tag_key_(random_word()),
      sip_bucket_(bucket(options.sip_per_second)),
      sip_sources_(options.sip_per_source),
      connection_bucket_(bucket(options.connections_per_second)),
      connection_sources_(options.connections_per_source),
      reply_bucket_(bucket(options.replies_per_second)) {}

void SipGate::begin_burst(uint64_t now_ms) {
  now_ms_ = now_ms;
  rules_ = swap_.current();
}

/// The source's own share first, so that one source does not use up that of all.
DropReason SipGate::rate(const Packet& packet) {
  if (!sip_sources_.take(packet.layers.source, now_ms_)) return DropReason::kSipSourceRate;
  if (options_.sip_per_second != 0 && !sip_bucket_.take(now_ms_)) return DropReason::kSipRate;
  return DropReason::kNone;
}

DropReason SipGate::connection_rate(const Packet& packet) {
  if (!connection_sources_.take(packet.layers.source, now_ms_))
    return DropReason::kConnectionSourceRate;
  if (options_.connections_per_second != 0 && !connection_bucket_.take(now_ms_))
    return DropReason::kConnectionRate;
  return DropReason::kNone;
}

ScreenVerdict SipGate::on_clear(const Packet& packet) {
  const uint8_t* l4 = packet.at(packet.layers.l4_offset);
  if (!options_.ports.contains(ipsec::load_be16(l4 + 2))) return {};
  if (packet.layers.protocol == ipsec::kProtocolTcp) return on_segment(packet);
  if (const DropReason reason = rate(packet); reason != DropReason::kNone) return drop(reason);
  return on_datagram(packet, payload_of(packet));
}

ScreenVerdict SipGate::on_datagram(const Packet& packet, Bytes payload) {
  const screen::SipMessage message = screen::read_datagram(payload);
  ScreenVerdict verdict = verdict_of(screen::judge_datagram(message, options_.policy));
  if (verdict.action != Action::kPass || !has_rules(false)) return verdict;
  const screen::SieveResult left = sift(packet, false, payload);
  if (!left.is_nothing()) scan(message, packet, {false, left}, payload, verdict);
  return verdict;
}

ScreenVerdict SipGate::on_segment(const Packet& packet) {
  const uint8_t* tcp = packet.at(packet.layers.l4_offset);
  const Bytes payload = payload_of(packet);
  const ConnectionKey key = {packet.layers.source, packet.layers.destination, ipsec::load_be16(tcp),
                             ipsec::load_be16(tcp + 2)};
  uint32_t sequence = ipsec::load_be32(tcp + 4);
  const bool begins = (tcp[13] & (kTcpSyn | kTcpAck)) == kTcpSyn;
  if (begins) {
    if (const DropReason reason = connection_rate(packet); reason != DropReason::kNone)
      return drop(reason);
    connections_.begin(key, sequence++);
  }
  if (payload.empty())
    return {.counted = begins ? std::optional(Statistic::kSipConnections) : std::nullopt};
  if (const DropReason reason = rate(packet); reason != DropReason::kNone) return drop(reason);
  Connection* connection = connections_.find(key);
  if (connection == nullptr)
    return on_unknown(packet, payload, ScreenVerdict{.counted = Statistic::kSipUnknownSegments});
  if (connection->state == Connection::State::kRefused)
    return drop(DropReason::kSipConnectionRefused);
  // What stands before the first byte was in the SYN's place or is no byte of the connection.
  const uint32_t before = connection->first_sequence - sequence;
  if (before < payload.size()) return on_first(packet, *connection, payload.subspan(before));
  if (connection->state == Connection::State::kPassed)
    return scanned({.counted = Statistic::kSipLaterSegments}, packet, false, payload);
  return on_unknown(packet, payload, verdict_of(cut_stream()));
}

/// The segment with the first byte of its connection, perhaps sent again, perhaps with other bytes.
ScreenVerdict SipGate::on_first(const Packet& packet, Connection& connection, Bytes payload) {
  const screen::ClearVerdict clear = screen::judge_stream(payload, options_.policy);
  const ScreenVerdict verdict = scanned(verdict_of(clear), packet, false, payload);
  if (verdict.action != Action::kPass)
    connection.state = Connection::State::kRefused;
  else if (clear.decides_connection)
    connection.state = Connection::State::kPassed;
  return verdict;
}

/// A segment of which it is not known what stood before it.
ScreenVerdict SipGate::on_unknown(const Packet& packet, Bytes payload, ScreenVerdict otherwise) {
  if (!starts_message(screen::read_stream(payload)))
    return scanned(otherwise, packet, false, payload);
  return scanned(verdict_of(screen::judge_stream(payload, options_.policy)), packet, false,
                 payload);
}

screen::ClearVerdict SipGate::cut_stream() const {
  return {options_.policy.cut_stream, ClearReason::kCutStream, screen::SipFlaw::kNone, 0, false};
}

ScreenVerdict SipGate::on_protected(const Packet& packet) {
  const Bytes payload = payload_of(packet);
  if (packet.layers.protocol == ipsec::kProtocolTcp) return scanned({}, packet, true, payload);
  if (!has_rules(true)) return {};
  const screen::SieveResult left = sift(packet, true, payload);
  if (left.is_nothing()) return {};
  ScreenVerdict verdict;
  scan(screen::read_datagram(payload), packet, {true, left}, payload, verdict);
  return verdict;
}

bool SipGate::has_rules(bool is_protected) const {
  return rules_ != nullptr && (is_protected ? options_.scans_protected : options_.scans_clear);
}

screen::SieveResult SipGate::sift(const Packet& packet, bool is_protected, Bytes payload) {
  const bool is_datagram = packet.layers.protocol == ipsec::kProtocolUdp;
  return rules_->sift(options_.worker, {text_of(payload), is_datagram, is_protected});
}

/// A segment with every message in it, up to one whose length is not known.
ScreenVerdict SipGate::scanned(ScreenVerdict verdict, const Packet& packet, bool is_protected,
                               Bytes payload) {
  if (payload.empty() || verdict.action != Action::kPass || !has_rules(is_protected))
    return verdict;
  const screen::SieveResult left = sift(packet, is_protected, payload);
  if (left.is_nothing()) return verdict;
  while (!payload.empty() && verdict.action == Action::kPass) {
    const screen::SipMessage message = screen::read_stream(payload);
    if (!starts_message(message)) break;
    const bool goes_on = message.message_bytes != 0 && message.message_bytes < payload.size();
    const Bytes bytes = goes_on ? payload.first(message.message_bytes) : payload;
    scan(message, packet, {is_protected, left}, bytes, verdict);
    payload = payload.subspan(bytes.size());
  }
  return verdict;
}

void SipGate::scan(const screen::SipMessage& message, const Packet& packet, const Sifted& sifted,
                   Bytes bytes, ScreenVerdict& verdict) {
  const ipsec::Address& source = packet.layers.source;
  const screen::ScanResult result = rules_->scan(
      options_.worker,
      {message, text_of(bytes), sifted.is_protected,
       source_hash_(std::array<uint64_t, 2>{source.high(), source.is_ipv4() ? source.low() : 0}),
       now_ms_, sifted.left});
  if (result.has_event) {
    verdict.is_event = true;
    verdict.rule = event_rule(*rules_, result);
  }
  if (!result.is_dropped) return;
  verdict.action = Action::kDrop;
  verdict.reason = sifted.is_protected ? DropReason::kSipRuleProtected : DropReason::kSipRule;
}

bool SipGate::write_reply(const Packet& request, uint16_t status, uint32_t headroom,
                          Packet& reply) {
  return reply_bucket_.take(now_ms_) &&
         write_reply_frame(request, payload_of(request), status, tag_key_, headroom, reply);
}

}  // namespace gmesp::gate
