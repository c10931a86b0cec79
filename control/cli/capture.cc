#include "control/cli/capture.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <pcap/pcap.h>

#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using Bytes = std::span<const uint8_t>;

uint16_t word(Bytes bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

std::string address_text(int family, Bytes bytes, size_t at) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, bytes.data() + at, text, sizeof text);
  return text;
}

/// Behind the link header, or nothing if it is cut or of a kind unknown here.
Bytes network_packet(int link_type, Bytes frame) {
  constexpr size_t kEthernetBytes = 14, kCookedBytes = 16, kCooked2Bytes = 20, kTagBytes = 4;
  constexpr uint16_t kVlan = 0x8100, kServiceVlan = 0x88a8;
  size_t skip = 0;
  if (link_type == DLT_LINUX_SLL) skip = kCookedBytes;
  if (link_type == DLT_LINUX_SLL2) skip = kCooked2Bytes;
  if (link_type == DLT_EN10MB) {
    skip = kEthernetBytes;
    while (frame.size() >= skip + kTagBytes &&
           (word(frame, skip - 2) == kVlan || word(frame, skip - 2) == kServiceVlan))
      skip += kTagBytes;
  }
  return frame.size() < skip ? Bytes{} : frame.subspan(skip);
}

}  // namespace

Capture::Capture(const std::string& path) : path_(path) {
  char error[PCAP_ERRBUF_SIZE] = "";
  file_ = pcap_open_offline(path.c_str(), error);
  if (file_ == nullptr)
    throw InputError(fmt::format("{}: found {}, allowed a capture in pcap or pcapng", path, error));
  link_type_ = pcap_datalink(file_);
  for (const int known : {DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_RAW, DLT_IPV4, DLT_IPV6})
    if (link_type_ == known) return;
  const char* name = pcap_datalink_val_to_name(link_type_);
  pcap_close(file_);
  throw InputError(fmt::format("{}: found link type {}, allowed Ethernet, Linux cooked or raw IP",
                               path, name == nullptr ? std::to_string(link_type_) : name));
}

Capture::~Capture() {
  pcap_close(file_);
}

bool Capture::next(Payload& payload) {
  for (;;) {
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    const int result = pcap_next_ex(file_, &header, &data);
    if (result == PCAP_ERROR_BREAK) return false;
    if (result != 1)
      throw InputError(fmt::format("{}: packet {}: {}", path_, packets_ + 1, pcap_geterr(file_)));
    payload.packet = ++packets_;
    payload.time_ms = static_cast<uint64_t>(header->ts.tv_sec) * 1000 +
                      static_cast<uint64_t>(header->ts.tv_usec) / 1000;
    if (read_ip(network_packet(link_type_, {data, header->caplen}), payload) &&
        !payload.bytes.empty())
      return true;
  }
}

bool Capture::is_cut() {
  ++cut_;
  return false;
}

bool Capture::read_ip(Bytes packet, Payload& payload) {
  const int version = packet.empty() ? 0 : packet[0] >> 4;
  if (version == 4) return read_ip4(packet, payload);
  return version == 6 && read_ip6(packet, payload);
}

bool Capture::read_ip4(Bytes packet, Payload& payload) {
  constexpr size_t kHeaderBytesMin = 20, kFragmentAt = 6, kProtocolAt = 9;
  constexpr size_t kSourceAt = 12, kDestinationAt = 16;
  constexpr uint16_t kMoreOrOffset = 0x3fff;
  if (packet.size() < kHeaderBytesMin) return is_cut();
  const size_t header_bytes = size_t{4} * (packet[0] & 0x0f);
  const size_t total_bytes = word(packet, 2);
  if (header_bytes < kHeaderBytesMin || total_bytes < header_bytes || packet.size() < total_bytes)
    return is_cut();
  if ((word(packet, kFragmentAt) & kMoreOrOffset) != 0) {
    ++fragments_;
    return false;
  }
  payload.source = address_text(AF_INET, packet, kSourceAt);
  payload.destination = address_text(AF_INET, packet, kDestinationAt);
  return read_transport(packet[kProtocolAt],
                        packet.subspan(header_bytes, total_bytes - header_bytes), payload);
}

bool Capture::read_ip6(Bytes packet, Payload& payload) {
  constexpr size_t kHeaderBytes = 40, kSourceAt = 8, kDestinationAt = 24, kUnitBytes = 8;
  if (packet.size() < kHeaderBytes) return is_cut();
  const size_t payload_bytes = word(packet, 4);
  if (packet.size() < kHeaderBytes + payload_bytes) return is_cut();
  payload.source = address_text(AF_INET6, packet, kSourceAt);
  payload.destination = address_text(AF_INET6, packet, kDestinationAt);
  uint8_t protocol = packet[6];
  Bytes rest = packet.subspan(kHeaderBytes, payload_bytes);
  while (protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
         protocol == IPPROTO_DSTOPTS) {
    const size_t bytes = rest.size() < 2 ? SIZE_MAX : kUnitBytes * (size_t{1} + rest[1]);
    if (bytes > rest.size()) return is_cut();
    protocol = rest[0];
    rest = rest.subspan(bytes);
  }
  if (protocol == IPPROTO_FRAGMENT) {
    ++fragments_;
    return false;
  }
  return read_transport(protocol, rest, payload);
}

bool Capture::read_transport(uint8_t protocol, Bytes rest, Payload& payload) {
  constexpr size_t kUdpBytes = 8, kTcpBytesMin = 20, kOffsetAt = 12;
  if (protocol == IPPROTO_ESP) ++encrypted_;
  if (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP) return false;
  payload.is_tcp = protocol == IPPROTO_TCP;
  if (rest.size() < (payload.is_tcp ? kTcpBytesMin : kUdpBytes)) return is_cut();
  payload.source_port = word(rest, 0);
  payload.destination_port = word(rest, 2);
  if (payload.is_tcp) {
    const size_t header_bytes = size_t{4} * (rest[kOffsetAt] >> 4);
    if (header_bytes < kTcpBytesMin || header_bytes > rest.size()) return is_cut();
    payload.bytes = rest.subspan(header_bytes);
    return true;
  }
  const size_t udp_bytes = word(rest, 4);
  if (udp_bytes < kUdpBytes || udp_bytes > rest.size()) return is_cut();
  payload.bytes = rest.subspan(kUdpBytes, udp_bytes - kUdpBytes);
  return true;
}

}  // namespace gmesp::cli
