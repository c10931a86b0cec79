#include "traffic.h"

#include <algorithm>

namespace gmesp::test {
namespace {

using ipsec::Side;
using shm::SaRole;

SaRole inbound(uint32_t which) {
  return which % 2 == 0 ? SaRole::kInUcPs : SaRole::kInUsPc;
}
SaRole outbound(uint32_t which) {
  return which % 2 == 0 ? SaRole::kOutPsUc : SaRole::kOutPcUs;
}

std::vector<Fed> all_from(Side side, const std::vector<Bytes>& packets) {
  std::vector<Fed> fed;
  for (const Bytes& packet : packets)
    fed.push_back({side, side == Side::kAccess ? frame_to_host(packet) : frame_from_host(packet)});
  return fed;
}

}  // namespace

std::vector<Fed> Traffic::next() {
  const uint32_t kind = below(100);
  if (kind < 40) return uplink();
  if (kind < 45) return uplink_fragments();
  if (kind < 48) return uplink_inner_fragments();
  if (kind < 70) return downlink();
  if (kind < 80) return clear_from_network();
  if (kind < 90) return clear_from_host();
  if (kind < 96) return icmp();
  return small_things();
}

uint32_t Traffic::next_sequence(const Registration& ue, SaRole role) {
  const auto index = static_cast<size_t>(&ue - ues_.data());
  return ++sent_[index * 4 + static_cast<size_t>(role)];
}

/// Every payload begins with a mark of its own, so that no two datagrams are equal.
Datagram Traffic::datagram(const Registration& ue, SaRole role, size_t bytes) {
  Bytes payload;
  append32(payload, ++marks_);
  append(payload, pattern(bytes, marks_));
  return ue.datagram(role, payload, below(3) == 0 ? 6 : 17);
}

std::vector<Fed> Traffic::uplink() {
  const Registration& ue = any_ue();
  const SaRole role = inbound(below(2));
  const Datagram inner = datagram(ue, role, below(10) == 0 ? 1200 : below(300));
  EspShape shape;
  if (below(8) == 0) shape.extra_padding = 16 * below(15);
  if (below(8) == 0 && inner.protocol == 17) shape.flow_padding = Bytes(below(64), 0xcc);
  if (below(4) == 0) shape.udp_checksum = UdpChecksum::kRight;
  if (below(30) == 0) shape.next_header = 59;
  const Bytes clear = ip_packet(inner);
  if (!shape.next_header) protected_.push_back(clear);
  const std::vector<uint16_t> vlans(below(10) == 0 ? 1 + below(2) : 0, 100);
  return {{Side::kAccess,
           frame_to_host(seal(ue.sa(role), next_sequence(ue, role), clear, shape), vlans)}};
}

std::vector<Fed> Traffic::uplink_fragments() {
  const Registration& ue = any_ue();
  const SaRole role = inbound(below(2));
  const Bytes clear = ip_packet(datagram(ue, role, 100 + below(2000)));
  protected_.push_back(clear);
  const Bytes sealed = seal(ue.sa(role), next_sequence(ue, role), clear);
  std::vector<Bytes> pieces = cut(sealed, ++identification_, 8 * (20 + below(100)));
  if (below(2) == 0) std::reverse(pieces.begin(), pieces.end());
  return all_from(Side::kAccess, pieces);
}

std::vector<Fed> Traffic::uplink_inner_fragments() {
  const Registration& ue = any_ue();
  if (!ue.is_tunnel()) return uplink();
  const SaRole role = inbound(below(2));
  const Bytes clear = ip_packet(datagram(ue, role, 100 + below(1500)));
  protected_.push_back(clear);
  std::vector<Bytes> sealed;
  for (const Bytes& piece : cut(clear, ++identification_, 8 * (40 + below(60))))
    sealed.push_back(seal(ue.sa(role), next_sequence(ue, role), piece));
  return all_from(Side::kAccess, sealed);
}

std::vector<Fed> Traffic::downlink() {
  const Registration& ue = any_ue();
  const SaRole role = outbound(below(2));
  const bool is_large = below(10) == 0;
  Datagram inner = datagram(ue, role, is_large ? 1300 + below(1500) : below(400));
  inner.dont_fragment = !is_large && below(2) == 0;
  if (below(20) == 0) inner.destination_port ^= 1;  // nobody's
  if (inner.protocol == 6 && below(10) == 0) inner.tcp_flags = kTcpRst;
  const Bytes packet = ip_packet(inner);
  if (!is_large) return all_from(Side::kHost, {packet});
  return all_from(Side::kHost, cut(packet, ++identification_, 8 * (40 + below(140))));
}

std::vector<Fed> Traffic::clear_from_network() {
  const Registration& ue = any_ue();
  Datagram clear = datagram(ue, inbound(below(2)), below(300));
  if (below(2) == 0) clear.destination_port = 5060;
  if (ue.is_v4() && below(4) == 0) clear.ipv4_options = Bytes(4 * (1 + below(5)), 1);
  if (!ue.is_v4() && below(4) == 0) clear.extensions = {{60, Bytes(8)}};
  const Bytes packet = ip_packet(clear);
  if (below(3) == 0)
    return all_from(Side::kAccess, cut(packet, ++identification_, 8 * (1 + below(30))));
  return all_from(Side::kAccess, {packet});
}

std::vector<Fed> Traffic::clear_from_host() {
  const Registration& ue = any_ue();
  Datagram clear = datagram(ue, outbound(below(2)), below(300));
  clear.source_port = 5060;
  const Bytes packet = ip_packet(clear);
  if (below(4) == 0)
    return all_from(Side::kHost, cut(packet, ++identification_, 8 * (4 + below(30))));
  return all_from(Side::kHost, {packet});
}

std::vector<Fed> Traffic::icmp() {
  const Registration& ue = any_ue();
  const SaRole role = outbound(below(2));
  const Bytes clear = ip_packet(datagram(ue, role, below(100)));
  const Bytes ours = below(2) == 0 ? clear : seal(ue.sa(role), 1, clear);
  const Bytes theirs = ip_packet(datagram(ue, inbound(below(2)), below(100)));
  switch (below(4)) {
    case 0:
      return all_from(Side::kAccess, {too_big(ue.ue, ue.local, 1300 + below(200), ours)});
    case 1:
      return all_from(Side::kAccess, {port_unreachable(ue.ue, ue.local, ours)});
    case 2:
      return all_from(Side::kHost, {port_unreachable(ue.local, ue.ue, theirs)});
    default:
      return all_from(Side::kAccess, {icmp_packet(ue.ue, ue.local, ue.is_v4() ? 8 : 128, 0, 1,
                                                  pattern(below(100)))});
  }
}

std::vector<Fed> Traffic::small_things() {
  const Registration& ue = any_ue();
  if (below(2) == 0)
    return {
        {below(2) == 0 ? Side::kAccess : Side::kHost, padded(frame_of_type(0x0806, pattern(28)))}};
  Datagram keep_alive{.source = ue.ue, .destination = ue.local};
  keep_alive.source_port = ue.nat_port;
  keep_alive.destination_port = 4500;
  keep_alive.payload = below(2) == 0 ? Bytes{0xff} : Bytes(8 + below(20));
  return {{Side::kAccess, padded(frame_to_host(ip_packet(keep_alive)))}};
}

}  // namespace gmesp::test
