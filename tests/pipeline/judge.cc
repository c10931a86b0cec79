#include "judge.h"

#include <algorithm>
#include <string_view>

namespace gmesp::test {
namespace {

using ipsec::Side;
using ipsec::Statistic;
using shm::SaRole;

constexpr size_t kOwedMax = 1 << 16;

bool is_protected(uint16_t port) {
  return port == kServerPort || std::find(std::begin(kClientPorts), std::end(kClientPorts), port) !=
                                    std::end(kClientPorts);
}

/// What must be the same when a datagram arrives, whatever its IP header went through.
size_t identity(const Dissection& seen) {
  Bytes bytes = seen.source.bytes;
  append(bytes, seen.destination.bytes);
  bytes.push_back(seen.protocol);
  append(bytes, seen.l4);
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// True if `frame` is one of `inputs`, Ethernet padding aside.
bool is_untouched(const Bytes& frame, const std::vector<Bytes>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(), [&](const Bytes& input) {
    return input.size() >= frame.size() && std::equal(frame.begin(), frame.end(), input.begin());
  });
}

std::string hex(const Bytes& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

/// An ICMP error about something that ESP protects.
bool quotes_protected(const Dissection& seen) {
  if (seen.protocol != (seen.is_v4 ? 1 : 58) || seen.l4.size() < 8) return false;
  const uint8_t type = seen.l4[0];
  // An IPv6 redirect (RFC 4861 4.5) has addresses where errors have the packet they are about.
  const bool is_error =
      seen.is_v4 ? type == 3 || type == 4 || type == 5 || type == 11 || type == 12 : type < 128;
  if (!is_error) return false;
  const Bytes quote(seen.l4.begin() + 8, seen.l4.end());
  if (quote.size() < (seen.is_v4 ? 20u : 40u) || quote[0] >> 4 != (seen.is_v4 ? 4 : 6))
    return false;
  uint8_t protocol = quote[seen.is_v4 ? 9 : 6];
  size_t at = seen.is_v4 ? (quote[0] & 0x0f) * 4u : 40;
  // Hop-by-hop, routing and destination options.
  while (!seen.is_v4 && (protocol == 0 || protocol == 43 || protocol == 60) &&
         quote.size() >= at + 8) {
    protocol = quote[at];
    at += 8u + quote[at + 1] * 8u;
  }
  if (protocol == 50) return true;
  if ((protocol != 6 && protocol != 17) || quote.size() < at + 4) return false;
  return is_protected(get16(quote, at)) || is_protected(get16(quote, at + 2));
}

}  // namespace

/// What the checks of one call compare with.
struct Judge::Batch {
  std::vector<Bytes> from_network;
  std::vector<Bytes> from_host;
  std::vector<Bytes> authenticated;  ///< clear packets of whole ESP packets from the network
  bool has_joined, has_told, has_lowered_mss;
};

Judge::Judge(const std::vector<Registration>& ues) {
  for (const Registration& ue : ues) {
    for (const SaRole role : {SaRole::kInUcPs, SaRole::kInUsPc}) {
      inbound_by_spi_.emplace(ue.sa(role).spi, inbound_.size());
      inbound_.push_back(ue.sa(role));
    }
    for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs}) {
      outbound_by_spi_.emplace(ue.sa(role).spi, outbound_.size());
      outbound_.push_back({ue.sa(role), {}});
    }
  }
}

void Judge::remember(const std::vector<Bytes>& packets) {
  for (const Bytes& packet : packets) {
    const size_t hash = identity(dissect_packet(packet).value());
    owed_.insert(hash);
    owed_by_age_.push_back(hash);
    if (owed_by_age_.size() <= kOwedMax) continue;
    owed_.erase(owed_by_age_.front());
    owed_by_age_.pop_front();
  }
}

/// The clear packet of a whole ESP packet, if the reference authenticates it.
Bytes Judge::opened_by_reference(const Dissection& seen) const {
  if (seen.is_fragment) return {};
  const Bytes& esp = seen.protocol == 50 ? seen.l4 : seen.payload;
  if (esp.size() < 8) return {};
  const auto [first, last] = inbound_by_spi_.equal_range(get32(esp, 0));
  for (auto entry = first; entry != last; ++entry) {
    const Opened opened = open(inbound_[entry->second], seen.packet);
    if (opened.is_authentic) return opened.clear;
  }
  return {};
}

std::string Judge::verdict(const std::vector<Fed>& fed, const std::vector<Sent>& sent, Lab& lab) {
  Batch batch;
  for (const Fed& one : fed) {
    if (one.from == Side::kHost) {
      batch.from_host.push_back(one.frame);
      continue;
    }
    batch.from_network.push_back(one.frame);
    const std::optional<Dissection> seen = dissect(one.frame);
    if (!seen) continue;
    if (Bytes clear = opened_by_reference(*seen); !clear.empty())
      batch.authenticated.push_back(std::move(clear));
  }
  const Totals now = {lab.count(Statistic::kDatagramsJoined), lab.count(Statistic::kTooBigSent),
                      lab.count(Statistic::kMssLowered)};
  batch.has_joined = now.joined != totals_.joined;
  batch.has_told = now.told != totals_.told;
  batch.has_lowered_mss = now.mss != totals_.mss;
  totals_ = now;

  size_t left_over = 0;
  for (const Side side : {Side::kHost, Side::kAccess})
    for (const Bytes& frame : rejoin(to(sent, side), &left_over)) {
      const std::string wrong =
          side == Side::kHost ? to_host(frame, batch) : to_access(frame, batch);
      if (!wrong.empty()) return wrong + ": " + hex(frame);
      if (left_over != 0) return "fragments sent do not make a datagram";
    }
  return {};
}

std::string Judge::to_host(const Bytes& frame, const Batch& batch) {
  const std::optional<Dissection> seen = dissect(frame);
  if (!seen) {
    const bool is_ip =
        frame.size() >= 14 && (get16(frame, 12) == 0x0800 || get16(frame, 12) == 0x86dd);
    if (is_ip) return "host got an IP packet that cannot be read";
    ++seen_["other to host"];
    return is_untouched(frame, batch.from_network) ? "" : "host got a frame that nobody sent";
  }
  if (seen->has_ports() && is_protected(seen->destination_port)) return delivered(*seen, batch);
  const bool is_encapsulated = seen->protocol == 17 && seen->destination_port == 4500;
  if (seen->protocol == 50 || is_encapsulated) return "host got ESP";
  if (quotes_protected(*seen)) {
    ++seen_["too big to host"];
    return batch.has_told ? "" : "host got an ICMP error about protected traffic";
  }
  ++seen_["clear to host"];
  if (is_untouched(frame, batch.from_network) || batch.has_joined) return {};
  return "host got a clear packet that nobody sent";
}

/// To a protected port: only what a UE protected, exactly, and once.
std::string Judge::delivered(const Dissection& seen, const Batch& batch) {
  if (owed_.erase(identity(seen)) == 0)
    return "host got a packet on a protected port that no UE sent, or twice";
  ++seen_[batch.has_joined ? "joined to protected port" : "ESP to protected port"];
  if (batch.has_joined || batch.has_lowered_mss) return {};
  for (Bytes packet : batch.authenticated) {
    if (packet == seen.packet) return {};
    // A mark of congestion may have come in from the outer header (RFC 4301 5.1.2).
    if (seen.is_v4 && packet.size() >= 20) {
      packet[1] |= 3;
      mend_ipv4_checksum(packet);
    } else if (packet.size() >= 40) {
      packet[1] |= 0x30;
    }
    if (packet == seen.packet) return {};
  }
  return "host got a packet that differs from what the reference opened";
}

std::string Judge::to_access(const Bytes& frame, const Batch& batch) {
  const std::optional<Dissection> seen = dissect(frame);
  if (!seen) {
    ++seen_["other to access"];
    return is_untouched(frame, batch.from_host) ? "" : "a frame left that the host did not send";
  }
  if (seen->has_ports() && is_protected(seen->source_port)) return "a protected port sent in clear";
  if (quotes_protected(*seen)) return "an ICMP error left with protected bytes";
  const bool is_encapsulated = seen->protocol == 17 && seen->source_port == 4500;
  const bool is_hosts_own = is_untouched(frame, batch.from_host);
  if (is_encapsulated || (seen->protocol == 50 && !is_hosts_own))
    return protected_out(*seen, batch);
  ++seen_["clear to access"];
  return is_hosts_own || batch.has_joined ? "" : "a clear packet left that the host did not send";
}

std::string Judge::protected_out(const Dissection& seen, const Batch& batch) {
  const Bytes& esp = seen.protocol == 50 ? seen.l4 : seen.payload;
  const auto [first, last] = outbound_by_spi_.equal_range(get32(esp, 0));
  for (auto entry = first; entry != last; ++entry) {
    Sa& out = outbound_[entry->second];
    const Opened opened = open(out.sa, seen.packet);
    if (!opened.is_authentic) continue;
    if (out.sequences_sent.size() <= opened.sequence)
      out.sequences_sent.resize(opened.sequence * 2);
    if (out.sequences_sent[opened.sequence]) return "a sequence number was used twice";
    out.sequences_sent[opened.sequence] = true;
    ++seen_[batch.has_joined ? "joined to UE" : "ESP to UE"];
    if (batch.has_joined || batch.has_lowered_mss) return {};
    for (const Bytes& frame : batch.from_host) {
      const std::optional<Dissection> input = dissect(frame);
      if (input && opened.payload == (out.sa.is_tunnel ? input->packet : input->l4)) return {};
    }
    return "the UE got a packet that the host did not send";
  }
  // Only what the host itself sent as ESP, in fragments, may be none of ours.
  if (batch.has_joined && first == last && seen.protocol == 50) return {};
  return "a packet left under ESP that no peer can open";
}

}  // namespace gmesp::test
