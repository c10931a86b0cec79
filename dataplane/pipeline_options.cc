#include "dataplane/pipeline_options.h"

namespace gmesp::dataplane {
namespace {

ipsec::DontFragment dont_fragment(Config::DontFragment setting) {
  switch (setting) {
    case Config::DontFragment::kSet:
      return ipsec::DontFragment::kSet;
    case Config::DontFragment::kClear:
      return ipsec::DontFragment::kClear;
    case Config::DontFragment::kCopy:
      break;
  }
  return ipsec::DontFragment::kCopy;
}

ipsec::OutboundOptions outbound_options(const Config& config) {
  ipsec::OutboundOptions options;
  options.encapsulation_port = config.nat.encapsulation_port;
  options.outer_ttl = config.nat.tunnel_ttl;
  options.dont_fragment = dont_fragment(config.nat.tunnel_dont_fragment);
  options.outer_dscp_copied = config.nat.tunnel_dscp == Config::Dscp::kCopy;
  options.near_end_sequence =
      static_cast<uint32_t>(uint64_t{UINT32_MAX} * config.sequence.warn_percent / 100);
  return options;
}

}  // namespace

ipsec::PipelineOptions pipeline_options(const Config& config, uint32_t worker, uint32_t workers,
                                        uint16_t access_mtu_bytes, uint16_t host_mtu_bytes) {
  ipsec::PipelineOptions options;
  options.worker = static_cast<uint8_t>(worker);
  options.workers = static_cast<uint8_t>(workers);
  options.access_mtu_bytes = access_mtu_bytes;
  options.host_mtu_bytes = host_mtu_bytes;
  options.encapsulation_port = config.nat.encapsulation_port;
  options.path_mtu_ipv4_min = config.path_mtu.minimum_ipv4_bytes;
  options.path_mtu_ipv6_min = config.path_mtu.minimum_ipv6_bytes;
  options.clear_packets_per_second = config.limits.clear_packets_per_second;
  options.icmp_errors_per_second = config.limits.icmp_errors_per_second;
  options.audit_events_per_second = config.limits.audit_events_per_second;
  options.reassembly = {config.fragments.datagrams_max, config.fragments.datagram_bytes_max,
                        config.fragments.per_source_max, config.fragments.timeout_ms};
  options.inbound.follow_peer_port = config.nat.follow_peer_port;
  options.outbound = outbound_options(config);
  options.engine = config.crypto.engine;
  return options;
}

ipsec::PortSet protected_ports(const Config& config) {
  ipsec::PortSet ports;
  for (const Config::PortRange& range : config.protected_ports.ranges)
    for (uint32_t port = range.first; port <= range.last; ++port)
      ports.add(static_cast<uint16_t>(port));
  return ports;
}

}  // namespace gmesp::dataplane
