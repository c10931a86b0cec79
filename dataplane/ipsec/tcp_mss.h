// Keeps TCP SIP below the ESP overhead: the MSS option of SYN segments is lowered, never raised
// (R-2401-02).
#pragma once

#include <cstdint>

#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

/// If `packet` (parsed) is a TCP segment with SYN and its MSS option is larger than
/// `mss_bytes_max`, lowers the option and mends the checksum (RFC 1624). A SYN without the option
/// is left alone: its default (RFC 9293 3.7.1: 536; 1,220 for IPv6) is below anything we clamp to.
/// What stands behind a malformed option is left alone too: the receiver judges it. Returns true if
/// it changed the packet.
bool clamp_mss(Packet& packet, uint16_t mss_bytes_max);

}  // namespace gmesp::ipsec
