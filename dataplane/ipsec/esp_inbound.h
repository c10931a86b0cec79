// ESP on the way in: from a parsed packet with an SA to a crypto job, and from the finished job to
// a clear IP packet.
//
// Order of checks is that of R-2406-07 (RFC 2406 3.4): lengths, look-up (by the caller), lifetime,
// encapsulation, replay pre-check, ICV, replay re-check and advance, padding, next header,
// selectors, inner checksum.
// Threading: one worker owns the SA (SaIdentity::owner). Ownership: nothing is taken. Offsets count
// from packet->data.
#pragma once

#include <cstdint>

#include "crypto/job.h"
#include "dataplane/ipsec/packet.h"
#include "dataplane/ipsec/sa_database.h"

namespace gmesp::ipsec {

struct InboundOptions {
  /// R-M-09: follow a newer authenticated packet to its port (true), or keep the first and report
  /// (false).
  bool follow_peer_port = false;
};

/// One packet between prepare and finish.
struct InboundItem {
  Packet* packet;
  SaIndex sa;
  uint16_t esp_offset;         ///< of the SPI
  bool encapsulated;           ///< came in UDP on the encapsulation port
  uint16_t outer_source_port;  ///< encapsulated: where it came from
  uint32_t sequence;           ///< set by prepare_inbound(), on drops too; 0: too short for one
};

/// What finish found out beside the packet, for events and statistics. Valid on drops too.
struct InboundNews {
  bool first_packet;       ///< first authenticated packet of this SA
  bool peer_port_learned;  ///< port_Uenc was unknown and is now outer_source_port (all four SAs of
                           ///< the set know)
  /// It was known and differs; told once per new port, and with every one that is followed.
  bool peer_port_changed;
  bool outer_source_changed;  ///< tunnel: outer source address is not the set's (counted, no
                              ///< selector; R-M-06)
  bool udp_on_tcp_sa;         ///< UDP on SA-c: passed, counted (R-7.1-10)
  /// Tunnel: the inner packet is a fragment with the right addresses (the sender cut before it
  /// encapsulated). The caller joins it with others of this set only and gives the whole to
  /// check_inner(), or drops it.
  bool inner_fragment;
};

/// Smallest and block-aligned lengths for what follows the SPI, lifetime, encapsulation and replay;
/// then fills `job` and starts fetching the keys.
DropReason prepare_inbound(const SaDatabase& database, InboundItem& item, uint64_t now_ms,
                           crypto::CryptoJob& job);

/// Turns the packet into the clear one: transport mode: IP header with the inner protocol, lengths
/// and checksum right, options kept; tunnel mode: the inner packet behind the Ethernet header.
/// layers are valid for the clear packet afterwards, except after a drop. Updates counters of the
/// SA on success and on failure.
DropReason finish_inbound(SaDatabase& database, InboundItem& item, const crypto::CryptoJob& job,
                          uint64_t now_ms, const InboundOptions& options, InboundNews& news);

/// What finish_inbound() does last: protocol, addresses and ports against the SA, TCP or UDP
/// header, bytes behind the UDP datagram cut off (RFC 4303 2.7), checksum. For a packet that was
/// joined from inner fragments and parsed; counts its bytes or its drop.
DropReason check_inner(SaDatabase& database, SaIndex sa, Packet& packet);

}  // namespace gmesp::ipsec
