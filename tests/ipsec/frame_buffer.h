// A frame in memory of exactly the size that it may use, so that a sanitizer sees every byte too
// far.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/ipsec/packet.h"

namespace gmesp::ipsec {

using Bytes = std::vector<uint8_t>;

class FrameBuffer {
 public:
  /// Room in front and behind that any ESP packet fits into.
  static constexpr uint32_t kHeadroomBytes = 128;
  static constexpr uint32_t kTailroomBytes = 64;

  explicit FrameBuffer(std::span<const uint8_t> frame, uint32_t headroom_bytes = kHeadroomBytes,
                       uint32_t tailroom_bytes = kTailroomBytes);

  Packet packet{};
  Bytes frame() const { return {packet.data, packet.data + packet.length}; }
  /// The IP packet; the layers are valid.
  Bytes ip_packet() const;

 private:
  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };
  std::unique_ptr<uint8_t, Free> memory_;
};

/// An Ethernet header, with `vlan_tags` tags, in front of an IP packet.
Bytes in_ethernet(std::span<const uint8_t> ip_packet, uint32_t vlan_tags = 0);

}  // namespace gmesp::ipsec
