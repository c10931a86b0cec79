#include "dataplane/ipsec/tcp_mss.h"

#include <algorithm>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kFlagsAt = 13;
constexpr uint32_t kChecksumAt = 16;
constexpr uint8_t kSyn = 0x02;

// RFC 9293 3.1.
constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionNoOperation = 1;
constexpr uint8_t kOptionMss = 2;
constexpr uint32_t kOptionMssBytes = 4;

/// Writes `value` over the 16 bits at `offset` of the TCP header and mends the checksum.
void replace(uint8_t* tcp, uint32_t offset, uint16_t value) {
  uint16_t before = load_be16(tcp + offset);
  store_be16(tcp + offset, value);
  // At an odd offset the two bytes belong to two words of the sum, which then has them swapped
  // (RFC 1071 2 (B)).
  if (offset % 2 != 0) {
    before = __builtin_bswap16(before);
    value = __builtin_bswap16(value);
  }
  uint8_t* checksum = tcp + kChecksumAt;
  store_be16(checksum, updated_checksum(load_be16(checksum), before, value));
}

}  // namespace

bool clamp_mss(Packet& packet, uint16_t mss_bytes_max) {
  const Layers& layers = packet.layers;
  if (!layers.is_ip || layers.is_fragment || layers.protocol != kProtocolTcp) return false;
  if (packet.l4_bytes() < kTcpHeaderBytesMin) return false;
  uint8_t* tcp = packet.at(layers.l4_offset);
  if ((tcp[kFlagsAt] & kSyn) == 0) return false;
  const uint32_t header_bytes = std::min(tcp_header_bytes(tcp), packet.l4_bytes());
  bool changed = false;
  for (uint32_t offset = kTcpHeaderBytesMin; offset < header_bytes;) {
    const uint8_t kind = tcp[offset];
    if (kind == kOptionEnd) break;
    if (kind == kOptionNoOperation) {
      ++offset;
      continue;
    }
    if (header_bytes - offset < 2) break;
    const uint32_t option_bytes = tcp[offset + 1];
    if (option_bytes < 2 || option_bytes > header_bytes - offset) break;
    if (kind == kOptionMss && option_bytes == kOptionMssBytes &&
        load_be16(tcp + offset + 2) > mss_bytes_max) {
      replace(tcp, offset + 2, mss_bytes_max);
      changed = true;
    }
    offset += option_bytes;
  }
  return changed;
}

}  // namespace gmesp::ipsec
