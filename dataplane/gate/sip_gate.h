// The SIP screen on packets: what may come in clear (TS 33.203 7.1, R-7.1-21), how much of it, and
// which messages match the operator's rules, in clear and decrypted.
//
// UDP: the datagram is judged. TCP: the first message of a connection decides (clear_policy.h). No
// segment is kept:
// - The first segment is known by its sequence number, from the SYN (connection_table.h).
// - Where it ends inside the head of its message, or where a segment overtakes it, it is passed and
//   counted, or refused, by configuration. Holding it back is not offered: whoever opens
//   connections would fill the memory, and the proxy asks about each message anyway.
// - Of a connection whose beginning was not seen, a segment that starts with a SIP start line is
//   judged as if it were the first, others pass and are counted.
// - Rules look at messages that start with a segment.
// What the policy refuses is not looked at by rules.
//
// Threading: one worker. Memory: fixed at construction. Errors: none.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/gate/connection_table.h"
#include "dataplane/ipsec/port_set.h"
#include "dataplane/ipsec/screen.h"
#include "dataplane/ipsec/source_limiter.h"
#include "dataplane/ipsec/token_bucket.h"
#include "dataplane/screen/clear_policy.h"
#include "dataplane/screen/signature_swap.h"

namespace gmesp::gate {

struct GateOptions {
  uint32_t worker = 0;   ///< number in the signature sets
  ipsec::PortSet ports;  ///< clear SIP ports

  screen::ClearPolicy policy;
  bool scans_clear = true;
  bool scans_protected = true;
  /// 0: no limit, except for replies, where it is none at all.
  uint64_t sip_per_second = 0;
  uint64_t sip_per_source = 0;  ///< a second; IPv4 address or IPv6 /64, as in the others
  uint64_t connections_per_second = 0;
  uint64_t connections_per_source = 0;
  uint64_t replies_per_second = 0;
};

class SipGate final : public ipsec::Screen {
 public:
  /// `rules` outlives the gate.
  SipGate(const GateOptions& options, const screen::SignatureSwap& rules);

  void begin_burst(uint64_t now_ms) override;
  ipsec::ScreenVerdict on_clear(const ipsec::Packet& packet) override;
  ipsec::ScreenVerdict on_protected(const ipsec::Packet& packet) override;
  bool write_reply(const ipsec::Packet& request, uint16_t status, uint32_t headroom,
                   ipsec::Packet& reply) override;

 private:
  using Bytes = std::span<const uint8_t>;
  /// What rules may match in a packet.
  struct Sifted {
    bool is_protected;
    screen::SieveResult left;
  };

  ipsec::DropReason rate(const ipsec::Packet& packet);
  ipsec::DropReason connection_rate(const ipsec::Packet& packet);
  ipsec::ScreenVerdict on_datagram(const ipsec::Packet& packet, Bytes payload);
  ipsec::ScreenVerdict on_segment(const ipsec::Packet& packet);
  ipsec::ScreenVerdict on_first(const ipsec::Packet& packet, Connection& connection, Bytes payload);
  ipsec::ScreenVerdict on_unknown(const ipsec::Packet& packet, Bytes payload,
                                  ipsec::ScreenVerdict otherwise);
  screen::ClearVerdict cut_stream() const;
  bool has_rules(bool is_protected) const;
  screen::SieveResult sift(const ipsec::Packet& packet, bool is_protected, Bytes payload);
  ipsec::ScreenVerdict scanned(ipsec::ScreenVerdict verdict, const ipsec::Packet& packet,
                               bool is_protected, Bytes payload);
  void scan(const screen::SipMessage& message, const ipsec::Packet& packet, const Sifted& sifted,
            Bytes bytes, ipsec::ScreenVerdict& verdict);

  const GateOptions options_;
  const screen::SignatureSwap& swap_;
  screen::SignatureSet* rules_ = nullptr;  ///< of this burst
  uint64_t now_ms_ = 0;
  ipsec::KeyedHash source_hash_;
  uint64_t tag_key_;
  ipsec::TokenBucket sip_bucket_;
  ipsec::SourceLimiter sip_sources_;
  ipsec::TokenBucket connection_bucket_;
  ipsec::SourceLimiter connection_sources_;
  ipsec::TokenBucket reply_bucket_;
  ConnectionTable connections_;
};

}  // namespace gmesp::gate
