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
  options.fragments_per_second = config.limits.fragments_per_second;
  options.fragments_per_source = config.limits.fragments_per_source_per_second;
  options.esp_failures_per_source = config.limits.esp_failures_per_source_per_second;
  options.reassembly = {config.fragments.datagrams_max, config.fragments.datagram_bytes_max,
                        config.fragments.per_source_max, config.fragments.timeout_ms};
  options.inbound.follow_peer_port = config.nat.follow_peer_port;
  options.outbound = outbound_options(config);
  options.engine = config.crypto.engine;
  return options;
}

gate::GateOptions gate_options(const Config& config, uint32_t worker) {
  const Config::Screen& screen = config.screen;
  gate::GateOptions options;
  options.worker = worker;
  for (const uint16_t port : screen.ports) options.ports.add(port);
  options.policy.methods = 0;
  for (const screen::Method method : screen.methods)
    options.policy.methods |= screen::method_bit(method);
  options.policy.response_classes = 0;
  for (const uint16_t hundreds : screen.responses)
    options.policy.response_classes |= screen::response_class_bit(hundreds);
  options.policy.passes_emergency = screen.emergency;
  options.policy.passes_emergency_dialogs = screen.emergency_dialogs;
  options.policy.passes_keep_alive = screen.keep_alive;
  options.policy.passes_stun = screen.stun;
  options.policy.not_allowed = screen.not_allowed;
  options.policy.not_allowed_status = screen.not_allowed_status;
  options.policy.malformed = screen.malformed;
  options.policy.cut_stream = screen.cut_stream;
  options.scans_clear = screen.scan_clear;
  options.scans_protected = screen.scan_protected;
  options.sip_per_second = config.limits.sip_per_second;
  options.sip_per_source = config.limits.sip_per_source_per_second;
  options.connections_per_second = config.limits.connections_per_second;
  options.connections_per_source = config.limits.connections_per_source_per_second;
  options.replies_per_second = config.limits.sip_replies_per_second;
  return options;
}

gate::RuleSource rule_source(const Config& config) {
  return {config.screen.rules, config.screen.shipped_rules};
}

ipsec::PortSet protected_ports(const Config& config) {
  ipsec::PortSet ports;
  for (const Config::PortRange& range : config.protected_ports.ranges)
    for (uint32_t port = range.first; port <= range.last; ++port)
      ports.add(static_cast<uint16_t>(port));
  return ports;
}

}  // namespace gmesp::dataplane
