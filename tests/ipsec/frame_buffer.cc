#include "frame_buffer.h"

#include <algorithm>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {

FrameBuffer::FrameBuffer(std::span<const uint8_t> frame, uint32_t headroom_bytes,
                         uint32_t tailroom_bytes) {
  const auto bytes = static_cast<uint32_t>(frame.size());
  const uint32_t capacity = headroom_bytes + bytes + tailroom_bytes;
  memory_.reset(static_cast<uint8_t*>(std::malloc(capacity)));
  // What nobody wrote must be told apart from what was zeroed.
  std::fill_n(memory_.get(), capacity, uint8_t{0xa5});
  packet.buffer = memory_.get();
  packet.data = memory_.get() + headroom_bytes;
  packet.capacity = capacity;
  packet.length = bytes;
  std::copy(frame.begin(), frame.end(), packet.data);
}

Bytes FrameBuffer::ip_packet() const {
  const uint8_t* begin = packet.at(packet.layers.l3_offset);
  return {begin, begin + packet.layers.l3_bytes};
}

Bytes in_ethernet(std::span<const uint8_t> ip_packet, uint32_t vlan_tags) {
  constexpr uint16_t kVlan = 0x8100;
  Bytes frame(kEthernetBytes + vlan_tags * kVlanTagBytes + ip_packet.size());
  for (uint8_t i = 0; i < 2 * kEthernetAddressBytes; ++i) frame[i] = static_cast<uint8_t>(i + 2);
  uint8_t* type = frame.data() + 2 * kEthernetAddressBytes;
  for (uint32_t tag = 0; tag < vlan_tags; ++tag, type += kVlanTagBytes) {
    store_be16(type, kVlan);
    store_be16(type + 2, static_cast<uint16_t>(100 + tag));
  }
  store_be16(type, ip_packet[0] >> 4 == 4 ? 0x0800 : 0x86dd);
  std::copy(ip_packet.begin(), ip_packet.end(), type + 2);
  return frame;
}

}  // namespace gmesp::ipsec
