// Frames for the packet tests: exact-size heap copies, so that ASan sees every byte read too many,
// and builders of IP packets that share nothing with the code under test.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

using Bytes = std::vector<uint8_t>;

/// A Packet over its own memory: `bytes` with nothing before or behind it.
class Frame {
 public:
  explicit Frame(std::span<const uint8_t> bytes);
  /// Room for `capacity` bytes, filled with a pattern, no frame in it yet.
  static Frame empty(uint32_t capacity);

  Packet packet{};
  Bytes bytes() const { return {packet.data, packet.data + packet.length}; }
  std::span<const uint8_t> from_l3() const {
    return {packet.at(packet.layers.l3_offset), packet.length - packet.layers.l3_offset};
  }

 private:
  Frame() = default;
  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };
  std::unique_ptr<uint8_t, Free> memory_;
};

/// One line of golden_packets.txt.
struct GoldenPacket {
  std::string name;
  std::string reason;  ///< of a parse line; the rest holds if it is "none"
  uint32_t l3_offset, l4_offset, l3_bytes, named_at, protocol;
  Bytes bytes;
};

/// The frames that scapy made.
const std::vector<GoldenPacket>& golden_packets();
const Bytes& golden(std::string_view name);

/// The words of RFC 1071 one after the other, as the RFC writes it.
uint16_t naive_sum(std::span<const uint8_t> bytes, uint64_t sum = 0);
/// Pseudo header and L4 of a whole IP packet summed that way; right if 0xffff.
uint16_t naive_l4_sum(const Packet& packet);

/// What the datagram of a test looks like.
struct DatagramShape {
  bool is_ipv4 = true;
  uint32_t vlan_tags = 0;
  Bytes ipv4_options;           ///< a multiple of 4
  uint8_t type_of_service = 0;  ///< or traffic class
  uint16_t ipv4_fragment = 0;   ///< flags and offset
  uint16_t ipv4_identification = 1;
  bool has_hop_by_hop = false;
  bool has_destination_options = false;  ///< behind the routing header, if there is one
  bool has_routing = false;
  uint8_t protocol = 253;  ///< RFC 3692: for tests
  uint8_t source_host = 1;
};

Bytes make_datagram(const DatagramShape& shape, const Bytes& payload);

/// One IPv6 or IPv4 fragment of a datagram that nobody else need know: `payload` at `offset`.
Bytes make_fragment(const DatagramShape& shape, uint32_t identification, uint32_t offset,
                    bool more_fragments, const Bytes& payload);

/// 0, 1, 2, ... in a way that no two 8-byte blocks below 64 KiB are equal.
Bytes pattern(uint32_t bytes);

}  // namespace gmesp::ipsec
