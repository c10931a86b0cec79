// A set of one shape with a UE that sends on SA-a, for the tests of ESP on the way in.
#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "esp_lab.h"

namespace gmesp::ipsec {

inline constexpr shm::SaRole kSaA = shm::SaRole::kInUcPs;

class Uplink {
 public:
  explicit Uplink(const RecordShape& shape) : shape(shape), record(make_record(1, shape)) {}

  IpShape inner(uint8_t protocol = kProtocolUdp) const {
    return inner_shape(record, kSaA, protocol);
  }
  bool is_tunnel() const { return shape.mode == shm::Mode::kUdpEncapsulatedTunnel; }
  uint8_t tunnel_header() const { return shape.is_ipv4 ? kProtocolIpv4 : kProtocolIpv6; }
  Bytes datagram(const Bytes& text) const {
    return udp(inner(), record.port_uc, record.port_ps, text);
  }
  /// What ESP carries for an L4 datagram.
  Seal sealing(uint32_t sequence, const Bytes& l4, const IpShape& inner) const {
    return is_tunnel() ? Seal{sequence, tunnel_header(), ip_packet(inner, l4)}
                       : Seal{sequence, inner.protocol, l4};
  }
  Seal sealing(uint32_t sequence, const Bytes& l4) const { return sealing(sequence, l4, inner()); }
  Seal good(uint32_t sequence) const { return sealing(sequence, datagram(pattern(29))); }
  Bytes wire(const Seal& what) { return on_wire(record, seal(lab, kSaA, what)); }
  DropReason receive(const Seal& what) { return lab.receive(wire(what)).reason; }

  const RecordShape shape;
  const shm::SaSetRecord record;
  EspLab lab{record};
};

/// Each of the six suites, both modes, both families.
inline void for_each_shape(const std::function<void(Uplink&)>& test) {
  for (const RecordShape& shape : all_shapes()) {
    SCOPED_TRACE(text(shape));
    Uplink uplink(shape);
    test(uplink);
  }
}

}  // namespace gmesp::ipsec
