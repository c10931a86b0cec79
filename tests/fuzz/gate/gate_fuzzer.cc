// Any clear packets one after another at the gate, UDP datagrams and TCP segments of a few
// connections, in memory of exactly their size: nothing is read beyond it, every verdict is whole,
// an answer is never larger than its request, and what was refused stays refused.
//
// Input: packets of a header of five bytes (kind and flags, connection, place in the sequence, two
// bytes of length) and their payload.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/gate/sip_gate.h"
#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/header_layout.h"
#include "invariant.h"

namespace gmesp::gate {
namespace {

using ipsec::Packet;
using ipsec::ScreenVerdict;
using Action = ScreenVerdict::Action;

constexpr uint32_t kEthernetBytes = 14, kTcpBytes = 20;
constexpr uint32_t kIpAt = kEthernetBytes, kL4At = kEthernetBytes + ipsec::kIpv4HeaderBytesMin;
constexpr uint16_t kSipPort = 5060;
constexpr uint32_t kPayloadBytesMax = 2000;

GateOptions options() {
  GateOptions options;
  options.ports.add(kSipPort);
  options.policy.not_allowed = screen::ClearAction::kReject;
  options.policy.malformed = screen::ClearAction::kReject;
  options.replies_per_second = 1000;
  return options;
}

std::unique_ptr<screen::SignatureSet> rules() {
  std::vector<screen::Rule> rules(2);
  rules[0].name = "word";
  rules[0].pattern = "(?i)needle";
  rules[0].where = screen::RulePlace::kHeaders;
  rules[0].action = screen::RuleAction::kDrop;
  rules[1].name = "header";
  rules[1].where = screen::RulePlace::kHeader;
  rules[1].header = "P-Asserted-Identity";
  rules[1].action = screen::RuleAction::kEvent;
  std::vector<settings::Error> errors;
  auto set = screen::SignatureSet::compile(std::move(rules), 1, errors);
  GMESP_INVARIANT(set != nullptr);
  return set;
}

struct Input {
  std::span<const uint8_t> rest;

  uint8_t byte() {
    if (rest.empty()) return 0;
    const uint8_t byte = rest.front();
    rest = rest.subspan(1);
    return byte;
  }
  std::span<const uint8_t> bytes(size_t count) {
    const auto taken = rest.first(std::min(count, rest.size()));
    rest = rest.subspan(taken.size());
    return taken;
  }
};

/// An IPv4 frame in memory of its own.
struct Frame {
  std::unique_ptr<uint8_t[]> memory;
  Packet packet{};
};

Frame frame_from(Input& input) {
  const uint8_t kind = input.byte(), connection = input.byte(), place = input.byte();
  const uint32_t wanted = input.byte() * 256u + input.byte();
  const std::span<const uint8_t> payload = input.bytes(wanted % kPayloadBytesMax);
  const bool is_tcp = (kind & 1) != 0;
  const uint32_t l4_bytes = is_tcp ? kTcpBytes : ipsec::kUdpHeaderBytes;
  const auto length = static_cast<uint32_t>(kL4At + l4_bytes + payload.size());
  Frame frame{std::make_unique<uint8_t[]>(length)};
  uint8_t* at = frame.memory.get();
  ipsec::store_be16(at + 12, 0x0800);
  uint8_t* ip = at + kIpAt;
  ip[0] = 0x45;
  ipsec::store_be16(ip + 2, static_cast<uint16_t>(length - kEthernetBytes));
  ip[8] = 64;
  ip[9] = is_tcp ? 6 : 17;
  ipsec::store_be32(ip + 12, 0x0a000001 + connection % 4);
  ipsec::store_be32(ip + 16, 0x0a010001);
  uint8_t* l4 = at + kL4At;
  ipsec::store_be16(l4, static_cast<uint16_t>(1024 + connection / 4));
  ipsec::store_be16(l4 + 2, kSipPort);
  if (is_tcp) {
    ipsec::store_be32(l4 + 4, 0xfffffff0 + place);  // around the end of the numbers
    l4[12] = kTcpBytes / 4 << 4;
    l4[13] = kind >> 2 & 0x3f;
  } else {
    ipsec::store_be16(l4 + 4, static_cast<uint16_t>(l4_bytes + payload.size()));
  }
  std::ranges::copy(payload, l4 + l4_bytes);
  Packet& packet = frame.packet;
  packet.data = packet.buffer = at;
  packet.capacity = packet.length = length;
  packet.layers.is_ip = packet.layers.is_ipv4 = true;
  packet.layers.protocol = ip[9];
  packet.layers.l3_offset = kIpAt;
  packet.layers.l3_bytes = length - kEthernetBytes;
  packet.layers.l4_offset = kL4At;
  packet.layers.source = ipsec::Address::from_ipv4(ip + 12);
  packet.layers.destination = ipsec::Address::from_ipv4(ip + 16);
  return frame;
}

void check_reply(SipGate& gate, const Packet& request, const ScreenVerdict& verdict) {
  GMESP_INVARIANT(request.layers.protocol == ipsec::kProtocolUdp);
  GMESP_INVARIANT(verdict.status >= 400 && verdict.status <= 699);
  constexpr uint32_t kHeadroomBytes = 64;
  const uint32_t room = kHeadroomBytes + request.length;
  const std::unique_ptr<uint8_t[]> memory(new uint8_t[room]);
  Packet reply{};
  reply.buffer = memory.get();
  reply.data = reply.buffer + kHeadroomBytes;
  reply.capacity = room;
  if (!gate.write_reply(request, verdict.status, kHeadroomBytes, reply)) return;
  GMESP_INVARIANT(reply.length <= request.length);
  GMESP_INVARIANT(std::memcmp(reply.data + kL4At + ipsec::kUdpHeaderBytes, "SIP/2.0 ", 8) == 0);
}

void check(SipGate& gate, const Packet& packet, const ScreenVerdict& verdict) {
  const bool passes = verdict.action == Action::kPass;
  GMESP_INVARIANT(passes == (verdict.reason == ipsec::DropReason::kNone));
  GMESP_INVARIANT(!verdict.is_event || verdict.rule < 2);
  if (verdict.action == Action::kReply) check_reply(gate, packet, verdict);
}

}  // namespace
}  // namespace gmesp::gate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gmesp;
  static screen::SignatureSwap swap;
  static const bool has_rules = [] {
    auto set = gate::rules();
    return swap.publish(set);
  }();
  GMESP_INVARIANT(has_rules);
  gate::SipGate gate(gate::options(), swap);
  gate.begin_burst(1000);
  gate::Input input{{data, size}};
  while (!input.rest.empty()) {
    const gate::Frame frame = gate::frame_from(input);
    const ipsec::Packet& packet = frame.packet;
    const ipsec::ScreenVerdict verdict = gate.on_clear(packet);
    gate::check(gate, packet, verdict);
    // A segment sent again fares no better than the first time.
    if (packet.layers.protocol != ipsec::kProtocolUdp && verdict.action != gate::Action::kPass)
      GMESP_INVARIANT(gate.on_clear(packet).action != gate::Action::kPass);
    gate::check(gate, packet, gate.on_protected(packet));
  }
  return 0;
}
