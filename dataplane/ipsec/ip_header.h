// The IP header that a packet keeps when ESP comes or goes.
#pragma once

#include <cstdint>

#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

/// Says in the IP header and in the layers that `protocol` stands behind it, and in the header that
/// the packet has layers.l3_bytes. Its IPv4 checksum must be right and stays so.
void set_content(Packet& packet, uint8_t protocol);

/// The same, and moves all headers by `bytes` to the front: so much room comes between them and
/// what stood at layers.l4_offset (negative: goes). The caller has seen to it that this fits.
void open_gap(Packet& packet, int32_t bytes, uint8_t protocol);

}  // namespace gmesp::ipsec
