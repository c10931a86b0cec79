#include "dissection.h"
#include "drop_case.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using shm::SaRole;

void feed(DropTrial& trial, const Bytes& packet) {
  trial.audit = audit_of(packet);
  trial.sent = trial.lab.from_network(frame_to_host(packet));
}

/// A UDP datagram to the encapsulation port.
Bytes encapsulated(const DropTrial& trial, const Bytes& payload) {
  Datagram datagram{.source = trial.ue.ue, .destination = trial.ue.local};
  datagram.source_port = 4500;
  datagram.destination_port = 4500;
  datagram.payload = payload;
  datagram.without_udp_checksum = true;
  return ip_packet(datagram);
}

void clear_udp(DropTrial& trial) {
  feed(trial, trial.ue.clear(SaRole::kInUcPs, pattern(20)));
}

void clear_syn(DropTrial& trial) {
  Datagram datagram = trial.ue.datagram(SaRole::kInUsPc, {}, 6);
  datagram.tcp_flags = kTcpSyn;
  feed(trial, ip_packet(datagram));
}

void two_per_second(LabOptions& options, Registration&) {
  options.pipeline.clear_packets_per_second = 2;
}

/// The bucket holds a tenth of a second, and one.
void clear_beyond_rate(DropTrial& trial) {
  Datagram datagram{.source = trial.ue.ue, .destination = trial.ue.local};
  datagram.destination_port = 5060;
  trial.lab.from_network(frame_to_host(ip_packet(datagram)));
  feed(trial, ip_packet(datagram));
}

void keep_alive(DropTrial& trial) {
  feed(trial, encapsulated(trial, {0xff}));
}

void ike(DropTrial& trial) {
  Bytes payload(4);
  append(payload, pattern(28));
  feed(trial, encapsulated(trial, payload));
}

void seven_bytes(DropTrial& trial) {
  feed(trial, encapsulated(trial, pattern(7, 9)));
}
void other_single_byte(DropTrial& trial) {
  feed(trial, encapsulated(trial, {0xfe}));
}

void udp_longer_than_ip(DropTrial& trial) {
  Bytes packet = encapsulated(trial, pattern(40, 9));
  put16(packet, 24, 49);
  trial.audit = {.source = trial.ue.ue, .destination = trial.ue.local};
  trial.sent = trial.lab.from_network(frame_to_host(packet));
}

void udp_checksum_wrong(DropTrial& trial) {
  const Bytes clear = trial.ue.clear(SaRole::kInUcPs, pattern(20));
  feed(trial, seal(trial.ue.sa(SaRole::kInUcPs), 1, clear, {.udp_checksum = UdpChecksum::kWrong}));
  trial.audit.spi = trial.ue.sa(SaRole::kInUcPs).spi;
  trial.audit.sequence = 1;
}

void unreachable_about_esp(DropTrial& trial) {
  const Bytes ours =
      seal(trial.ue.sa(SaRole::kOutPcUs), 1, trial.ue.clear(SaRole::kOutPcUs, pattern(20)));
  trial.audit = {.source = ip("203.0.113.1"), .destination = trial.ue.local};
  trial.sent = trial.lab.from_network(
      frame_to_host(port_unreachable(ip("203.0.113.1"), trial.ue.local, ours)));
}

void unreachable_about_protected_port(DropTrial& trial) {
  const Bytes ours = trial.ue.clear(SaRole::kOutPcUs, pattern(20));
  trial.audit = {.source = ip("203.0.113.1"), .destination = trial.ue.local};
  trial.sent = trial.lab.from_network(
      frame_to_host(port_unreachable(ip("203.0.113.1"), trial.ue.local, ours)));
}

void told_mtu(DropTrial& trial, uint32_t mtu) {
  const Bytes ours =
      seal(trial.ue.sa(SaRole::kOutPcUs), 1, trial.ue.clear(SaRole::kOutPcUs, pattern(20)));
  trial.audit = {.source = ip("203.0.113.1"), .destination = trial.ue.local};
  trial.sent =
      trial.lab.from_network(frame_to_host(too_big(ip("203.0.113.1"), trial.ue.local, mtu, ours)));
}
void mtu_tiny(DropTrial& trial) {
  told_mtu(trial, 575);
}
void mtu_plausible(DropTrial& trial) {
  told_mtu(trial, 1400);
}

}  // namespace

const std::vector<DropCase>& access_drop_cases() {
  static const std::vector<DropCase> cases = {
      {"UDP", DropReason::kClearToProtectedPort, clear_udp},
      {"SYN", DropReason::kClearToProtectedPort, clear_syn},
      {"one too many", DropReason::kClearRateLimited, clear_beyond_rate, two_per_second},
      {"keep-alive", DropReason::kNatKeepAlive, keep_alive, nullptr, true},
      {"IKE marker", DropReason::kIkeRefused, ike},
      {"7 bytes", DropReason::kEncapsulationTooShort, seven_bytes},
      {"0xfe", DropReason::kEncapsulationTooShort, other_single_byte},
      {"UDP longer than IP", DropReason::kUdpLengthBad, udp_longer_than_ip},
      {"checksum of port 4500", DropReason::kUdpChecksumBad, udp_checksum_wrong, in_a_tunnel},
      {"unreachable, quotes ESP", DropReason::kIcmpErrorRefused, unreachable_about_esp},
      {"unreachable, quotes port", DropReason::kIcmpErrorRefused, unreachable_about_protected_port},
      {"MTU of 575", DropReason::kPathMtuIgnored, mtu_tiny},
      {"MTU of 1400", DropReason::kPathMtuTaken, mtu_plausible, nullptr, true},
  };
  return cases;
}

}  // namespace gmesp::test
