#include "frame.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace gmesp::ipsec {
namespace {

void append16(Bytes& bytes, uint32_t value) {
  bytes.push_back(static_cast<uint8_t>(value >> 8));
  bytes.push_back(static_cast<uint8_t>(value));
}

void append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

Bytes ethernet(const DatagramShape& shape) {
  Bytes bytes = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
  for (uint32_t tag = 0; tag < shape.vlan_tags; ++tag) {
    append16(bytes, tag == 0 && shape.vlan_tags == 2 ? 0x88a8 : 0x8100);
    append16(bytes, 0x2000 + 100 + tag);
  }
  append16(bytes, shape.is_ipv4 ? 0x0800 : 0x86dd);
  return bytes;
}

Bytes ipv4(const DatagramShape& shape, const Bytes& payload) {
  const uint32_t header_bytes = 20 + static_cast<uint32_t>(shape.ipv4_options.size());
  Bytes header = {static_cast<uint8_t>(0x40 | header_bytes / 4), shape.type_of_service};
  append16(header, header_bytes + static_cast<uint32_t>(payload.size()));
  append16(header, shape.ipv4_identification);
  append16(header, shape.ipv4_fragment);
  append(header, {64, shape.protocol, 0, 0, 192, 0, 2, shape.source_host, 198, 51, 100, 2});
  append(header, shape.ipv4_options);
  const uint16_t sum = static_cast<uint16_t>(~naive_sum(header));
  header[10] = static_cast<uint8_t>(sum >> 8);
  header[11] = static_cast<uint8_t>(sum);
  append(header, payload);
  return header;
}

struct ExtensionHeader {
  uint8_t protocol;
  Bytes bytes;  ///< the first names the next header and is filled in
};

Bytes ipv6(const DatagramShape& shape, std::vector<ExtensionHeader> headers, const Bytes& payload) {
  Bytes chain;
  for (size_t i = 0; i < headers.size(); ++i) {
    headers[i].bytes[0] = i + 1 < headers.size() ? headers[i + 1].protocol : shape.protocol;
    append(chain, headers[i].bytes);
  }
  Bytes bytes = {static_cast<uint8_t>(0x60 | shape.type_of_service >> 4),
                 static_cast<uint8_t>(shape.type_of_service << 4), 0, 0};
  append16(bytes, static_cast<uint32_t>(chain.size() + payload.size()));
  append(bytes, {headers.empty() ? shape.protocol : headers.front().protocol, 64});
  append(bytes, {0x20, 1, 0xd, 0xb8, 0, shape.source_host, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  append(bytes, {0x20, 1, 0xd, 0xb8, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
  append(bytes, chain);
  append(bytes, payload);
  return bytes;
}

/// Headers before a fragment header, and those behind it.
std::vector<ExtensionHeader> per_fragment_headers(const DatagramShape& shape) {
  std::vector<ExtensionHeader> headers;
  if (shape.has_hop_by_hop) headers.push_back({0, {0, 0, 1, 4, 0, 0, 0, 0}});
  if (shape.has_routing) {
    Bytes routing = {0, 2, 2, 0, 0, 0, 0, 0};
    routing.resize(24, 0x33);
    headers.push_back({43, routing});
  }
  return headers;
}

}  // namespace

Frame::Frame(std::span<const uint8_t> bytes) : Frame(empty(static_cast<uint32_t>(bytes.size()))) {
  std::copy(bytes.begin(), bytes.end(), packet.data);
  packet.length = packet.capacity;
}

Frame Frame::empty(uint32_t capacity) {
  Frame frame;
  frame.memory_.reset(static_cast<uint8_t*>(std::malloc(capacity)));
  std::fill_n(frame.memory_.get(), capacity, uint8_t{0xa5});
  frame.packet.buffer = frame.packet.data = frame.memory_.get();
  frame.packet.capacity = capacity;
  return frame;
}

const std::vector<GoldenPacket>& golden_packets() {
  static const std::vector<GoldenPacket> packets = [] {
    std::vector<GoldenPacket> read;
    std::ifstream file(GMESP_GOLDEN_PACKETS);
    std::string line;
    while (std::getline(file, line)) {
      std::istringstream words(line);
      GoldenPacket golden{};
      std::string kind, hex;
      words >> kind >> golden.name;
      if (kind == "parse")
        words >> golden.reason >> golden.l3_offset >> golden.l4_offset >> golden.l3_bytes >>
            golden.named_at >> golden.protocol;
      words >> hex;
      for (size_t i = 0; i + 1 < hex.size(); i += 2)
        golden.bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
      read.push_back(std::move(golden));
    }
    return read;
  }();
  return packets;
}

const Bytes& golden(std::string_view name) {
  for (const GoldenPacket& packet : golden_packets())
    if (packet.name == name) return packet.bytes;
  throw std::out_of_range("no golden packet " + std::string(name));
}

uint16_t naive_sum(std::span<const uint8_t> bytes, uint64_t sum) {
  for (size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

uint16_t naive_l4_sum(const Packet& packet) {
  const Layers& layers = packet.layers;
  const uint8_t* ip = packet.at(layers.l3_offset);
  const std::span<const uint8_t> addresses =
      layers.is_ipv4 ? std::span(ip + 12, 8) : std::span(ip + 8, 32);
  const uint64_t pseudo = uint64_t{layers.protocol} + packet.l4_bytes();
  return naive_sum({packet.at(layers.l4_offset), packet.l4_bytes()}, naive_sum(addresses, pseudo));
}

Bytes make_datagram(const DatagramShape& shape, const Bytes& payload) {
  Bytes frame = ethernet(shape);
  if (shape.is_ipv4) {
    append(frame, ipv4(shape, payload));
    return frame;
  }
  std::vector<ExtensionHeader> headers = per_fragment_headers(shape);
  if (shape.has_destination_options) headers.push_back({60, {0, 0, 1, 4, 0, 0, 0, 0}});
  append(frame, ipv6(shape, headers, payload));
  return frame;
}

Bytes make_fragment(const DatagramShape& shape, uint32_t identification, uint32_t offset,
                    bool more_fragments, const Bytes& payload) {
  Bytes frame = ethernet(shape);
  if (shape.is_ipv4) {
    DatagramShape piece = shape;
    piece.ipv4_identification = static_cast<uint16_t>(identification);
    piece.ipv4_fragment = static_cast<uint16_t>(offset / 8 | (more_fragments ? 0x2000 : 0));
    append(frame, ipv4(piece, payload));
    return frame;
  }
  std::vector<ExtensionHeader> headers = per_fragment_headers(shape);
  Bytes header = {0, 0};
  append16(header, offset | (more_fragments ? 1 : 0));
  append16(header, identification >> 16);
  append16(header, identification & 0xffff);
  headers.push_back({44, header});
  append(frame, ipv6(shape, headers, payload));
  return frame;
}

Bytes pattern(uint32_t bytes) {
  Bytes made(bytes);
  for (uint32_t i = 0; i < bytes; ++i)
    made[i] = static_cast<uint8_t>(i % 8 == 0 ? i / 8 : i % 8 == 1 ? i / 2048 : i * 37);
  return made;
}

}  // namespace gmesp::ipsec
