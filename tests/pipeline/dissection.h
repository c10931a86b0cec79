// What a frame holds, read by a small parser that shares nothing with the one under test.
#pragma once

#include <optional>
#include <vector>

#include "datagram.h"

namespace gmesp::test {

/// A frame taken apart. What does not apply is zero or empty.
struct Dissection {
  Bytes ethernet;  ///< everything before the IP packet
  Bytes packet;    ///< IP packet, cut to the length that its header says
  bool is_v4 = false;
  Ip source;
  Ip destination;
  uint8_t tos = 0;
  uint8_t ttl = 0;
  uint16_t total_bytes = 0;
  bool dont_fragment = false;
  bool is_fragment = false;
  bool more_fragments = false;
  uint32_t fragment_offset = 0;
  uint32_t identification = 0;
  bool header_checksum_good = true;
  uint8_t protocol = 0;  ///< of l4
  Bytes headers;         ///< IP header with options or extension headers
  Bytes l4;              ///< behind them, to the end of the packet
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  bool l4_checksum_good = true;
  Bytes payload;  ///< of TCP or UDP, as far as the UDP length goes

  bool has_ports() const { return !is_fragment && (protocol == 6 || protocol == 17); }
};

/// Nothing if the frame is no IP or is cut off somewhere.
std::optional<Dissection> dissect(const Bytes& frame);
std::optional<Dissection> dissect_packet(const Bytes& packet);
/// The IP headers alone; TCP and UDP may be cut off or lie.
std::optional<Dissection> dissect_headers(const Bytes& packet);

/// The datagrams of which all pieces are among `frames`, joined; frames that are no fragments stay
/// as they are. Pieces of incomplete datagrams are left out and counted.
std::vector<Bytes> rejoin(const std::vector<Bytes>& frames, size_t* left_over = nullptr);

}  // namespace gmesp::test
