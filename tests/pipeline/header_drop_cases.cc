#include "dissection.h"
#include "drop_case.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;

Datagram clear_register(bool is_v4 = true) {
  Datagram datagram{.source = ip(is_v4 ? "198.51.100.7" : "2001:db8:7::7"),
                    .destination = ip(is_v4 ? "192.0.2.10" : "2001:db8:1::10")};
  datagram.source_port = 5060;
  datagram.destination_port = 5060;
  datagram.payload = pattern(64);
  return datagram;
}

void feed(DropTrial& trial, const Bytes& packet) {
  trial.sent = trial.lab.from_network(frame_to_host(packet));
}

void frame_too_short(DropTrial& trial) {
  trial.sent = trial.lab.from_network(Bytes(13, 0x02));
}

void vlan_tag_cut_off(DropTrial& trial) {
  trial.sent = trial.lab.from_network(frame_of_type(0x8100, {0x00}));
}

void version_wrong(DropTrial& trial) {
  Bytes packet = ip_packet(clear_register());
  packet[0] = 0x55;
  trial.sent = trial.lab.from_network(frame_of_type(0x0800, packet));
}

void third_vlan_tag(DropTrial& trial) {
  trial.sent = trial.lab.from_network(frame_to_host(ip_packet(clear_register()), {1, 2, 3}));
}

void length_beyond_frame(DropTrial& trial) {
  Bytes packet = ip_packet(clear_register());
  packet.pop_back();
  feed(trial, packet);
}

void header_checksum_wrong(DropTrial& trial) {
  Bytes packet = ip_packet(clear_register());
  packet[8] ^= 1;
  feed(trial, packet);
}

void hop_by_hop_second(DropTrial& trial) {
  Datagram datagram = clear_register(false);
  datagram.extensions = {{60, Bytes(8)}, {0, Bytes(8)}};
  const Bytes packet = ip_packet(datagram);
  trial.audit = {.source = datagram.source, .destination = datagram.destination};
  feed(trial, packet);
}

void routing_type_0(DropTrial& trial) {
  Datagram datagram = clear_register(false);
  datagram.extensions = {{43, {0, 2, 0, 0, 0, 0, 0, 0}}};
  datagram.extensions[0].bytes.resize(24);
  trial.audit = {.source = datagram.source, .destination = datagram.destination};
  feed(trial, ip_packet(datagram));
}

void segments_left(DropTrial& trial) {
  Datagram datagram = clear_register(false);
  datagram.extensions = {{43, {0, 2, 2, 1, 0, 0, 0, 0}}};
  datagram.extensions[0].bytes.resize(24);
  trial.audit = {.source = datagram.source, .destination = datagram.destination};
  feed(trial, ip_packet(datagram));
}

void authentication_header(DropTrial& trial, bool is_v4) {
  Datagram datagram = clear_register(is_v4);
  datagram.protocol = 51;
  trial.audit = {.source = datagram.source, .destination = datagram.destination};
  feed(trial, ip_packet(datagram));
}
void authentication_header_v4(DropTrial& trial) {
  authentication_header(trial, true);
}
void authentication_header_v6(DropTrial& trial) {
  authentication_header(trial, false);
}

void tcp_header_cut_off(DropTrial& trial) {
  Datagram datagram = clear_register();
  datagram.protocol = 253;
  datagram.payload = pattern(19);
  Bytes packet = ip_packet(datagram);
  packet[9] = 6;
  mend_ipv4_checksum(packet);
  trial.audit = {.source = datagram.source, .destination = datagram.destination};
  feed(trial, packet);
}

void loopback_source(DropTrial& trial) {
  Datagram datagram = clear_register();
  datagram.source = ip("127.0.0.1");
  trial.audit = {.source = datagram.source, .destination = datagram.destination};
  feed(trial, ip_packet(datagram));
}

void multicast_source(DropTrial& trial) {
  Datagram datagram = clear_register(false);
  datagram.source = ip("ff02::1");
  trial.audit = {.source = datagram.source, .destination = datagram.destination};
  feed(trial, ip_packet(datagram));
}

void fragment_of_odd_length(DropTrial& trial) {
  const Bytes packet = ip_packet(clear_register());
  trial.audit = audit_of(fragment(packet, 7, 0, 13, true));
  feed(trial, fragment(packet, 7, 0, 13, true));
}

/// An exact repetition drops itself alone; the datagram that waits is forgotten later.
void fragment_repeated(DropTrial& trial) {
  const Bytes packet = ip_packet(clear_register());
  trial.lab.from_network(frame_to_host(fragment(packet, 7, 0, 16, true)));
  trial.audit = audit_of(fragment(packet, 7, 0, 16, true));
  feed(trial, fragment(packet, 7, 0, 16, true));
  trial.lab.from_network(frame_to_host(fragment(packet, 7, 16, 56, false)));
}

void small_datagrams_only(LabOptions& options, Registration&) {
  options.pipeline.reassembly.datagram_bytes_max = 1280;
}

void datagram_too_large(DropTrial& trial) {
  Datagram datagram = clear_register();
  datagram.payload = pattern(1400);
  const Bytes piece = fragment(ip_packet(datagram), 7, 1240, 80, true);
  trial.audit = audit_of(piece);
  feed(trial, piece);
}

void one_datagram_only(LabOptions& options, Registration&) {
  options.pipeline.reassembly.datagrams_max = 1;
}

void table_full(DropTrial& trial) {
  const Bytes first = ip_packet(clear_register());
  trial.lab.from_network(frame_to_host(fragment(first, 7, 0, 16, true)));
  Datagram other = clear_register();
  other.source = ip("198.51.100.8");
  const Bytes piece = fragment(ip_packet(other), 8, 0, 16, true);
  trial.audit = audit_of(piece);
  feed(trial, piece);
  trial.lab.from_network(frame_to_host(fragment(first, 7, 16, 56, false)));
}

void fragment_overdue(DropTrial& trial) {
  trial.lab.from_network(frame_to_host(fragment(ip_packet(clear_register()), 7, 0, 16, true)));
  trial.lab.now_ms += 3000;
  trial.lab.pipeline().expire(trial.lab.now_ms);
}

void one_per_source(LabOptions& options, Registration&) {
  options.pipeline.reassembly.per_source_max = 1;
}

void source_over_budget(DropTrial& trial) {
  const Bytes packet = ip_packet(clear_register());
  trial.lab.from_network(frame_to_host(fragment(packet, 7, 0, 16, true)));
  trial.audit = audit_of(fragment(packet, 8, 0, 16, true));
  feed(trial, fragment(packet, 8, 0, 16, true));
  trial.lab.from_network(frame_to_host(fragment(packet, 7, 16, 56, false)));
}

}  // namespace

const std::vector<DropCase>& header_drop_cases() {
  static const std::vector<DropCase> cases = {
      {"13 bytes of Ethernet", DropReason::kFrameTooShort, frame_too_short},
      {"VLAN tag cut off", DropReason::kFrameTooShort, vlan_tag_cut_off},
      {"IP version 5", DropReason::kIpHeaderBad, version_wrong},
      {"three VLAN tags", DropReason::kIpHeaderBad, third_vlan_tag},
      {"length beyond the frame", DropReason::kIpLengthBad, length_beyond_frame},
      {"header checksum", DropReason::kIpChecksumBad, header_checksum_wrong},
      {"hop-by-hop second", DropReason::kExtensionHeaderBad, hop_by_hop_second},
      {"routing header type 0", DropReason::kRoutingType0, routing_type_0},
      {"segments left", DropReason::kRoutingType0, segments_left},
      {"AH over IPv4", DropReason::kAhRefused, authentication_header_v4},
      {"AH over IPv6", DropReason::kAhRefused, authentication_header_v6},
      {"19 bytes of TCP", DropReason::kL4Truncated, tcp_header_cut_off},
      {"from 127.0.0.1", DropReason::kSourceAddressBad, loopback_source},
      {"from ff02::1", DropReason::kSourceAddressBad, multicast_source},
      {"13 bytes and more to come", DropReason::kFragmentBad, fragment_of_odd_length},
      {"fragment twice", DropReason::kFragmentOverlap, fragment_repeated},
      {"beyond the bound", DropReason::kFragmentTooLarge, datagram_too_large, small_datagrams_only},
      {"second datagram", DropReason::kFragmentTableFull, table_full, one_datagram_only},
      {"rest missing", DropReason::kFragmentTimeout, fragment_overdue},
      {"second of a source", DropReason::kFragmentBudget, source_over_budget, one_per_source},
  };
  return cases;
}

}  // namespace gmesp::test
