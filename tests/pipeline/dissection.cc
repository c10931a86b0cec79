#include "dissection.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace gmesp::test {
namespace {

Bytes slice(const Bytes& bytes, size_t from, size_t count) {
  return {bytes.begin() + static_cast<ptrdiff_t>(from),
          bytes.begin() + static_cast<ptrdiff_t>(from + count)};
}

/// Fills the IPv4 fields; the length of the header, 0 if it cannot be read.
size_t read_ipv4(const Bytes& bytes, Dissection& seen) {
  if (bytes.size() < 20) return 0;
  const size_t header_bytes = (bytes[0] & 0x0f) * 4u;
  seen.total_bytes = get16(bytes, 2);
  if (header_bytes < 20 || seen.total_bytes < header_bytes || seen.total_bytes > bytes.size())
    return 0;
  seen.packet = slice(bytes, 0, seen.total_bytes);
  seen.is_v4 = true;
  seen.tos = bytes[1];
  seen.identification = get16(bytes, 4);
  const uint16_t fragment = get16(bytes, 6);
  seen.dont_fragment = (fragment & 0x4000) != 0;
  seen.more_fragments = (fragment & 0x2000) != 0;
  seen.fragment_offset = (fragment & 0x1fff) * 8u;
  seen.is_fragment = seen.more_fragments || seen.fragment_offset != 0;
  seen.ttl = bytes[8];
  seen.protocol = bytes[9];
  seen.header_checksum_good = internet_sum({bytes.data(), header_bytes}) == 0xffff;
  seen.source.bytes = slice(bytes, 12, 4);
  seen.destination.bytes = slice(bytes, 16, 4);
  return header_bytes;
}

size_t read_ipv6(const Bytes& bytes, Dissection& seen) {
  if (bytes.size() < 40 || 40u + get16(bytes, 4) > bytes.size()) return 0;
  seen.total_bytes = static_cast<uint16_t>(40 + get16(bytes, 4));
  seen.packet = slice(bytes, 0, seen.total_bytes);
  seen.tos = static_cast<uint8_t>(get16(bytes, 0) >> 4);
  seen.ttl = bytes[7];
  seen.protocol = bytes[6];
  seen.source.bytes = slice(bytes, 8, 16);
  seen.destination.bytes = slice(bytes, 24, 16);
  size_t at = 40;
  while (seen.protocol == 0 || seen.protocol == 43 || seen.protocol == 60 || seen.protocol == 44) {
    if (seen.packet.size() < at + 8) return 0;
    const bool is_fragment_header = seen.protocol == 44;
    const size_t header_bytes = is_fragment_header ? 8 : (seen.packet[at + 1] + 1u) * 8;
    if (seen.packet.size() < at + header_bytes) return 0;
    seen.protocol = seen.packet[at];
    if (is_fragment_header) {
      seen.is_fragment = true;
      seen.more_fragments = (seen.packet[at + 3] & 1) != 0;
      seen.fragment_offset = get16(seen.packet, at + 2) & 0xfff8u;
      seen.identification = get32(seen.packet, at + 4);
    }
    at += header_bytes;
    if (is_fragment_header) break;
  }
  return at;
}

/// False if TCP or UDP is cut off.
bool read_l4(Dissection& seen) {
  if (!seen.has_ports()) return true;
  const size_t header_bytes_min = seen.protocol == 17 ? 8 : 20;
  if (seen.l4.size() < header_bytes_min) return false;
  seen.source_port = get16(seen.l4, 0);
  seen.destination_port = get16(seen.l4, 2);
  const size_t l4_bytes = seen.protocol == 17 ? get16(seen.l4, 4) : seen.l4.size();
  const size_t header_bytes = seen.protocol == 17 ? 8 : (seen.l4[12] >> 4) * 4u;
  if (header_bytes < header_bytes_min || l4_bytes < header_bytes || l4_bytes > seen.l4.size())
    return false;
  seen.payload = slice(seen.l4, header_bytes, l4_bytes - header_bytes);
  const uint64_t pseudo = pseudo_sum(seen.source, seen.destination, seen.protocol, l4_bytes);
  const bool is_absent = seen.protocol == 17 && get16(seen.l4, 6) == 0;
  seen.l4_checksum_good =
      is_absent ? seen.is_v4 : internet_sum({seen.l4.data(), l4_bytes}, pseudo) == 0xffff;
  return true;
}

std::optional<Dissection> dissect_at(const Bytes& bytes, size_t at) {
  if (bytes.size() <= at) return std::nullopt;
  Dissection seen;
  seen.ethernet = slice(bytes, 0, at);
  const Bytes rest = slice(bytes, at, bytes.size() - at);
  const uint8_t version = rest[0] >> 4;
  const size_t header_bytes = version == 4   ? read_ipv4(rest, seen)
                              : version == 6 ? read_ipv6(rest, seen)
                                             : 0;
  if (header_bytes == 0) return std::nullopt;
  seen.headers = slice(seen.packet, 0, header_bytes);
  seen.l4 = slice(seen.packet, header_bytes, seen.packet.size() - header_bytes);
  return seen;
}

std::optional<Dissection> with_l4(std::optional<Dissection> seen) {
  if (seen && !read_l4(*seen)) return std::nullopt;
  return seen;
}

using Key = std::tuple<Bytes, Bytes, uint32_t, uint8_t>;

/// The datagram that `pieces` make, if none is missing.
std::optional<Bytes> join(std::vector<Dissection> pieces) {
  std::sort(pieces.begin(), pieces.end(), [](const Dissection& a, const Dissection& b) {
    return a.fragment_offset < b.fragment_offset;
  });
  Bytes l4;
  for (const Dissection& piece : pieces) {
    if (piece.fragment_offset != l4.size()) return std::nullopt;
    append(l4, piece.l4);
  }
  if (pieces.back().more_fragments) return std::nullopt;
  const Dissection& first = pieces.front();
  Bytes headers = first.headers;
  if (first.is_v4) {
    put16(headers, 2, static_cast<uint32_t>(headers.size() + l4.size()));
    put16(headers, 6, 0);
    mend_ipv4_checksum(headers);
  } else {
    headers[6] = headers[headers.size() - 8];
    headers.resize(headers.size() - 8);
    put16(headers, 4, static_cast<uint32_t>(headers.size() - 40 + l4.size()));
  }
  Bytes frame = first.ethernet;
  append(frame, headers);
  append(frame, l4);
  return frame;
}

}  // namespace

std::optional<Dissection> dissect(const Bytes& frame) {
  size_t at = 14;
  while (frame.size() >= at + 4 &&
         (get16(frame, at - 2) == 0x8100 || get16(frame, at - 2) == 0x88a8))
    at += 4;
  if (frame.size() < at) return std::nullopt;
  const uint16_t ether_type = get16(frame, at - 2);
  if (ether_type != 0x0800 && ether_type != 0x86dd) return std::nullopt;
  std::optional<Dissection> seen = with_l4(dissect_at(frame, at));
  if (seen && seen->is_v4 != (ether_type == 0x0800)) return std::nullopt;
  return seen;
}

std::optional<Dissection> dissect_packet(const Bytes& packet) {
  return with_l4(dissect_at(packet, 0));
}

std::optional<Dissection> dissect_headers(const Bytes& packet) {
  return dissect_at(packet, 0);
}

std::vector<Bytes> rejoin(const std::vector<Bytes>& frames, size_t* left_over) {
  std::vector<Bytes> whole;
  std::map<Key, std::vector<Dissection>> groups;
  for (const Bytes& frame : frames) {
    const std::optional<Dissection> seen = dissect(frame);
    if (!seen || !seen->is_fragment) {
      whole.push_back(frame);
      continue;
    }
    const uint8_t protocol = seen->is_v4 ? seen->protocol : 0;
    groups[{seen->source.bytes, seen->destination.bytes, seen->identification, protocol}].push_back(
        *seen);
  }
  if (left_over != nullptr) *left_over = 0;
  for (const auto& [key, pieces] : groups) {
    if (std::optional<Bytes> joined = join(pieces))
      whole.push_back(*joined);
    else if (left_over != nullptr)
      *left_over += pieces.size();
  }
  return whole;
}

}  // namespace gmesp::test
