// Where a parsed packet goes: ESP work, through in the clear, or nowhere. The rules of
// TS 33.203 7.1 about protected ports stand here and nowhere else.
//
// Threading: pure functions.
#pragma once

#include <cstdint>

#include "dataplane/ipsec/icmp.h"
#include "dataplane/ipsec/packet.h"
#include "dataplane/ipsec/port_set.h"

namespace gmesp::ipsec {

enum class Route : uint8_t {
  kDrop,
  kClear,     ///< through unchanged
  kEsp,       ///< access side: look up by SPI
  kProtect,   ///< host side: look up by addresses and ports
  kFragment,  ///< join first
  kPathMtu,   ///< access side: a too-big message about an SA
};

struct Verdict {
  Route route;
  DropReason reason;           ///< kDrop
  uint16_t esp_offset;         ///< kEsp: of the SPI
  bool encapsulated;           ///< kEsp: in UDP
  uint16_t outer_source_port;  ///< kEsp, encapsulated
};

struct ClassifyOptions {
  const PortSet* protected_ports;
  uint16_t encapsulation_port;  ///< 0: no NAT traversal
  uint32_t path_mtu_ipv4_min;
  uint32_t path_mtu_ipv6_min;
};

/// A packet from the network. `quote` is filled for kPathMtu.
Verdict classify_access(const Packet& packet, const ClassifyOptions& options, IcmpQuote& quote);

/// Whether a frame that is not parsed yet is in plain view a whole UDP or TCP packet in clear: no
/// VLAN tag, IP options or extension headers, and a port that is neither protected nor ESP's. False
/// says nothing. Reads one cache line.
bool is_plainly_clear(const Packet& packet, const ClassifyOptions& options);

/// A packet from the host.
Verdict classify_host(const Packet& packet, const ClassifyOptions& options);

}  // namespace gmesp::ipsec
