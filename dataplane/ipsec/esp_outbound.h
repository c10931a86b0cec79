// ESP on the way out: from a parsed clear packet with an SA to a crypto job over the finished ESP
// packet.
//
// Threading: one worker owns the SA. Ownership: nothing is taken; the packet grows in place, into
// headroom and tailroom.
#pragma once

#include <cstdint>

#include "crypto/iv_source.h"
#include "crypto/job.h"
#include "dataplane/ipsec/packet.h"
#include "dataplane/ipsec/sa_database.h"

namespace gmesp::ipsec {

enum class DontFragment : uint8_t { kCopy, kSet, kClear };

struct OutboundOptions {
  uint16_t encapsulation_port = 4500;
  uint8_t outer_ttl = 64;
  DontFragment dont_fragment = DontFragment::kCopy;  ///< IPv4 tunnel header (R-2401-04)
  bool outer_dscp_copied = true;
  uint32_t near_end_sequence = 3'865'470'566;  ///< 90 % of 2^32: warning event (R-2406-06)
};

struct OutboundNews {
  bool sequence_near_end;  ///< exactly once per SA
  bool sequence_end;       ///< exactly once per SA: the last number was used
  bool udp_on_tcp_sa;      ///< UDP on SA-b: passed, counted (R-7.1-10)
};

/// Bytes that ESP adds at most to an IP packet on this SA: header, IV, longest padding, trailer,
/// ICV, and in tunnel mode outer header and UDP.
uint32_t overhead_bytes_max(const SaIdentity& sa, bool outer_is_ipv4);

/// Exact size of the IP packet that an IP packet of `l3_bytes` (of which `l3_header_bytes` stay
/// outside in transport mode) becomes.
uint32_t protected_bytes(const SaIdentity& sa, bool outer_is_ipv4, uint32_t l3_bytes,
                         uint32_t l3_header_bytes);

/// The largest inner IP packet that fits `mtu_bytes` once protected; what a too-big message tells
/// the host. 0 if not even an empty payload fits.
uint32_t inner_mtu_bytes(const SaIdentity& sa, bool outer_is_ipv4, uint32_t mtu_bytes,
                         uint32_t l3_header_bytes);

/// Checks lifetime, peer port and sequence space, takes the next sequence number, writes headers,
/// IV, padding and trailer. `packet` was parsed and is whole. On a drop the packet is unchanged and
/// no number was taken. layers describe the ESP packet afterwards (protocol ESP or UDP), so that it
/// can be fragmented. `ip_identification` is the worker's counter for outer IPv4 headers.
DropReason prepare_outbound(SaDatabase& database, SaIndex sa, Packet& packet, uint64_t now_ms,
                            const OutboundOptions& options, crypto::IvSource& iv_source,
                            uint16_t& ip_identification, crypto::CryptoJob& job,
                            OutboundNews& news);

/// After the engine: kCryptoFailed or kNone; outer UDP checksum over IPv6 (R-3948-02); counters of
/// the SA.
DropReason finish_outbound(SaDatabase& database, SaIndex sa, Packet& packet,
                           const crypto::CryptoJob& job, uint64_t now_ms);

}  // namespace gmesp::ipsec
