#include "dataplane/ipsec/fragmenter.h"

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {
namespace {

/// How a datagram is cut: every fragment but the last carries `step_bytes` of payload.
struct Cut {
  uint32_t payload_at;  ///< from packet.data: first byte that goes into fragments
  uint32_t named_at;    ///< IPv6: where the number of what stands at payload_at is
  uint32_t payload_bytes;
  uint32_t header_bytes;  ///< IP headers of the first fragment, the longest of all
  uint32_t step_bytes;
  uint32_t count;  ///< 0: cannot be cut, 1: fits as it is
};

/// RFC 8200 4.5: the per-fragment headers end behind the last hop-by-hop or routing header.
void find_per_fragment_end(const Packet& whole, Cut& cut) {
  const Layers& layers = whole.layers;
  uint32_t offset = layers.l3_offset + kIpv6HeaderBytes;
  cut.payload_at = offset;
  cut.named_at = layers.l3_offset + kIpv6NextHeaderAt;
  uint8_t next = *whole.at(cut.named_at);
  while (offset < layers.l4_offset) {
    const bool is_per_fragment = next == kProtocolHopByHop || next == kProtocolRouting;
    const uint32_t named_at = offset;
    next = *whole.at(offset);
    offset += extension_header_bytes(whole.at(offset));
    if (is_per_fragment) {
      cut.payload_at = offset;
      cut.named_at = named_at;
    }
  }
}

Cut plan(const Packet& whole, uint32_t mtu_bytes) {
  const Layers& layers = whole.layers;
  Cut cut{};
  if (!layers.is_ip || layers.is_fragment) return cut;
  if (layers.l3_bytes <= mtu_bytes) {
    cut.count = 1;
    return cut;
  }
  if (layers.is_ipv4) {
    cut.payload_at = layers.l4_offset;
  } else {
    find_per_fragment_end(whole, cut);
  }
  // Later IPv4 fragments may have a shorter header; they are cut like the first, so that the place
  // of each follows from its index alone.
  cut.header_bytes =
      cut.payload_at - layers.l3_offset + (layers.is_ipv4 ? 0 : kFragmentHeaderBytes);
  if (mtu_bytes < cut.header_bytes + kFragmentUnitBytes) return cut;
  const uint32_t last_bytes_max = mtu_bytes - cut.header_bytes;
  cut.payload_bytes = layers.l3_offset + layers.l3_bytes - cut.payload_at;
  cut.step_bytes = last_bytes_max / kFragmentUnitBytes * kFragmentUnitBytes;
  cut.count = 1 + (cut.payload_bytes - last_bytes_max + cut.step_bytes - 1) / cut.step_bytes;
  return cut;
}

/// RFC 791 3.1: copies the options of `ip` whose copy bit is set behind the 20 fixed bytes of
/// `copy`. Returns the length of the header that this makes.
uint32_t copy_ipv4_options(const uint8_t* ip, uint8_t* copy) {
  constexpr uint8_t kOptionEnd = 0;
  constexpr uint8_t kOptionNoOperation = 1;
  constexpr uint8_t kCopyBit = 0x80;
  const uint32_t header_bytes = ipv4_header_bytes(ip);
  uint32_t copied = kIpv4HeaderBytesMin;
  for (uint32_t offset = kIpv4HeaderBytesMin; offset < header_bytes;) {
    const uint8_t type = ip[offset];
    if (type == kOptionEnd) break;
    if (type == kOptionNoOperation) {
      ++offset;
      continue;
    }
    if (header_bytes - offset < 2) break;
    const uint32_t option_bytes = ip[offset + 1];
    if (option_bytes < 2 || option_bytes > header_bytes - offset) break;
    if ((type & kCopyBit) != 0) {
      std::memcpy(copy + copied, ip + offset, option_bytes);
      copied += option_bytes;
    }
    offset += option_bytes;
  }
  while (copied % 4 != 0) copy[copied++] = kOptionEnd;
  return copied;
}

/// Writes the IPv4 header of a fragment, all but length and checksum. Returns its length.
uint32_t write_ipv4_header(const Packet& whole, uint32_t payload_offset, bool is_last,
                           uint32_t identification, uint8_t* header) {
  const uint8_t* ip = whole.at(whole.layers.l3_offset);
  uint32_t header_bytes = ipv4_header_bytes(ip);
  if (payload_offset == 0) {
    std::memcpy(header, ip, header_bytes);
  } else {
    std::memcpy(header, ip, kIpv4HeaderBytesMin);
    header_bytes = copy_ipv4_options(ip, header);
    header[0] = static_cast<uint8_t>(0x40 | header_bytes / 4);
  }
  if (load_be16(header + kIpv4IdentificationAt) == 0)
    store_be16(header + kIpv4IdentificationAt, static_cast<uint16_t>(identification));
  store_be16(header + kIpv4FragmentAt, static_cast<uint16_t>(payload_offset / kFragmentUnitBytes |
                                                             (is_last ? 0 : kIpv4MoreFragments)));
  return header_bytes;
}

/// Writes the per-fragment headers and the fragment header, all but the payload length. Returns
/// their length.
uint32_t write_ipv6_headers(const Packet& whole, const Cut& cut, uint32_t payload_offset,
                            bool is_last, uint32_t identification, uint8_t* headers) {
  const uint32_t l3_offset = whole.layers.l3_offset;
  const uint32_t per_fragment_bytes = cut.payload_at - l3_offset;
  std::memcpy(headers, whole.at(l3_offset), per_fragment_bytes);
  headers[cut.named_at - l3_offset] = kProtocolFragment;
  uint8_t* fragment_header = headers + per_fragment_bytes;
  fragment_header[0] = *whole.at(cut.named_at);
  fragment_header[1] = 0;
  store_be16(fragment_header + 2,
             static_cast<uint16_t>(payload_offset | (is_last ? 0 : kIpv6MoreFragments)));
  store_be32(fragment_header + 4, identification);
  return per_fragment_bytes + kFragmentHeaderBytes;
}

/// True if `bytes` fit into `packet` behind `headroom`; then its data and length are set so.
bool place(Packet& packet, uint32_t headroom, uint32_t bytes) {
  if (headroom > packet.capacity || bytes > packet.capacity - headroom) return false;
  packet.data = packet.buffer + headroom;
  packet.length = bytes;
  packet.l4_checksum_trusted = false;
  return true;
}

}  // namespace

uint32_t fragment_count(const Packet& whole, uint32_t mtu_bytes) {
  return plan(whole, mtu_bytes).count;
}

bool write_fragment(const Packet& whole, uint32_t mtu_bytes, uint32_t index,
                    uint32_t identification, uint32_t headroom, Packet& fragment) {
  const Cut cut = plan(whole, mtu_bytes);
  if (index >= cut.count) return false;
  const uint32_t l3_offset = whole.layers.l3_offset;
  if (cut.count == 1) {
    const uint32_t frame_bytes = l3_offset + whole.layers.l3_bytes;
    if (!place(fragment, headroom, frame_bytes)) return false;
    std::memcpy(fragment.data, whole.data, frame_bytes);
    return true;
  }
  const bool is_last = index + 1 == cut.count;
  const uint32_t payload_offset = index * cut.step_bytes;
  const uint32_t piece_bytes = is_last ? cut.payload_bytes - payload_offset : cut.step_bytes;
  // A later IPv4 fragment may give some of it back.
  if (!place(fragment, headroom, l3_offset + cut.header_bytes + piece_bytes)) return false;
  std::memcpy(fragment.data, whole.data, l3_offset);
  uint8_t* ip = fragment.data + l3_offset;
  uint32_t header_bytes;
  if (whole.layers.is_ipv4) {
    header_bytes = write_ipv4_header(whole, payload_offset, is_last, identification, ip);
    store_be16(ip + kIpv4TotalLengthAt, static_cast<uint16_t>(header_bytes + piece_bytes));
    set_ipv4_checksum(ip);
  } else {
    header_bytes = write_ipv6_headers(whole, cut, payload_offset, is_last, identification, ip);
    store_be16(ip + kIpv6PayloadLengthAt,
               static_cast<uint16_t>(header_bytes - kIpv6HeaderBytes + piece_bytes));
  }
  std::memcpy(ip + header_bytes, whole.at(cut.payload_at + payload_offset), piece_bytes);
  fragment.length = l3_offset + header_bytes + piece_bytes;
  return true;
}

}  // namespace gmesp::ipsec
