// ICMP and ICMPv6 as far as ESP needs them: reading errors that quote a packet, and telling a
// sender that its packet was too big (R-2401-02, R-2401-03, R-4301-01).
//
// Threading: free functions.
#pragma once

#include <cstdint>

#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

enum class IcmpKind : uint8_t {
  kNotAnError,  ///< echo, neighbour discovery, ...
  kTooBig,      ///< IPv4 type 3 code 4, IPv6 type 2
  kOtherError,  ///< unreachable, time exceeded, parameter problem, redirect, source quench
};

/// The packet inside an ICMP error, as far as its bytes go.
struct IcmpQuote {
  IcmpKind kind;
  uint32_t mtu_bytes;  ///< kTooBig: as told; 0 if an old router did not say
  bool has_packet;     ///< addresses and protocol below are valid
  bool has_ports;      ///< TCP or UDP, ports below are valid
  bool has_spi;        ///< ESP, or ESP behind UDP port `encapsulation_port`
  uint8_t protocol;
  uint16_t source_port;
  uint16_t destination_port;
  uint32_t spi;
  Address source;
  Address destination;
};

/// `packet` was parsed and its protocol is ICMP or ICMPv6. Never reads behind its end. An error
/// that is cut off or whose checksum is wrong is kOtherError without a packet; so is has_packet
/// false when the quoted extension headers are cut off, since the protocol is unknown then.
IcmpQuote read_icmp(const Packet& packet, uint16_t encapsulation_port);

/// Writes "too big, next hop takes mtu_bytes" about `offending` (parsed) into `reply` (buffer and
/// capacity given; its layers are left alone): from the offending packet's destination to its
/// source, Ethernet addresses swapped and VLAN tags kept, quoting as much of it as the RFCs allow
/// (576 bytes in all for IPv4, 1,280 for IPv6). The caller limits the rate. False if none may be
/// sent (RFC 1122 3.2.2, RFC 4443 2.4: about an ICMP error, a later fragment, to or from multicast
/// or broadcast, from the unspecified address) or it does not fit.
bool write_too_big(const Packet& offending, uint32_t mtu_bytes, uint32_t headroom, Packet& reply);

}  // namespace gmesp::ipsec
