#include "dissection.h"
#include "drop_case.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using shm::SaRole;

constexpr SaRole kSaA = SaRole::kInUcPs;

/// An uplink packet of SA-a that the pipeline is to drop once it knows the SA.
void feed(DropTrial& trial, uint32_t sequence, const Bytes& clear, const EspShape& shape = {}) {
  const Bytes packet = seal(trial.ue.sa(kSaA), sequence, clear, shape);
  trial.audit = audit_of(trial.ue, kSaA, packet, sequence);
  trial.sent = trial.lab.from_network(frame_to_host(packet));
}

Bytes message(const DropTrial& trial) {
  return trial.ue.clear(kSaA, pattern(30));
}

void accept(DropTrial& trial, uint32_t sequence) {
  trial.lab.from_network(frame_to_host(seal(trial.ue.sa(kSaA), sequence, message(trial))));
}

/// Header, IV of AES, one byte less than a trailer and ICV.
void short_of_a_trailer(DropTrial& trial) {
  const Bytes whole = esp_bytes(seal(trial.ue.sa(kSaA), 1, message(trial)));
  feed(trial, 1, message(trial), {.missing = static_cast<uint32_t>(whole.size() - 37)});
}

void short_of_a_header(DropTrial& trial) {
  const Bytes whole = esp_bytes(seal(trial.ue.sa(kSaA), 1, message(trial)));
  feed(trial, 1, message(trial), {.missing = static_cast<uint32_t>(whole.size() - 7)});
  trial.audit = {.source = trial.ue.ue, .destination = trial.ue.local};
}

void one_byte_short(DropTrial& trial) {
  feed(trial, 1, message(trial), {.missing = 1});
}

void to_multicast(DropTrial& trial) {
  Datagram datagram = trial.ue.datagram(kSaA, pattern(30));
  datagram.destination = ip("224.0.1.75");
  const Bytes packet = seal(trial.ue.sa(kSaA), 1, ip_packet(datagram));
  trial.audit = audit_of(packet);
  trial.audit.spi = trial.ue.spi_ps;
  trial.audit.sequence = 1;
  trial.sent = trial.lab.from_network(frame_to_host(packet));
}

void unknown_spi(DropTrial& trial) {
  EspSa sa = trial.ue.sa(kSaA);
  sa.spi = 0xdeadbeef;
  const Bytes packet = seal(sa, 77, message(trial));
  trial.audit = {.source = trial.ue.ue, .destination = trial.ue.local};
  trial.audit.spi = 0xdeadbeef;
  trial.audit.sequence = 77;
  trial.sent = trial.lab.from_network(frame_to_host(packet));
}

void lives_one_second(LabOptions&, Registration& ue) {
  ue.not_after_ms = 5'001'000;
}

void expired(DropTrial& trial) {
  trial.lab.now_ms = trial.ue.not_after_ms;
  feed(trial, 1, message(trial));
}

void bare_on_tunnel(DropTrial& trial) {
  EspSa sa = trial.ue.sa(kSaA);
  sa.is_tunnel = false;
  const Bytes packet = seal(sa, 1, message(trial));
  trial.audit = audit_of(trial.ue, kSaA, packet, 1);
  trial.sent = trial.lab.from_network(frame_to_host(packet));
}

void encapsulated_on_transport(DropTrial& trial) {
  EspSa sa = trial.ue.sa(kSaA);
  sa.is_tunnel = true;
  sa.outer_source = trial.ue.ue;
  sa.outer_destination = trial.ue.local;
  const Bytes packet = seal(sa, 1, message(trial));
  trial.audit = audit_of(trial.ue, kSaA, packet, 1);
  trial.sent = trial.lab.from_network(frame_to_host(packet));
}

void sequence_zero(DropTrial& trial) {
  feed(trial, 0, message(trial));
}

void left_of_window(DropTrial& trial) {
  accept(trial, 129);
  feed(trial, 1, message(trial));
}

void seen_before(DropTrial& trial) {
  accept(trial, 9);
  feed(trial, 9, message(trial));
}

void bit_flipped(DropTrial& trial) {
  feed(trial, 1, message(trial), {.flipped_bit = 300});
}

/// SA memory gone wrong: a cipher that no engine knows must cost the packet, not the process.
void engine_refuses(DropTrial& trial) {
  trial.lab.hot(trial.set_id, kSaA).identity.suite.cipher = static_cast<crypto::Cipher>(9);
  feed(trial, 1, message(trial));
}

void padding_not_counting(DropTrial& trial) {
  feed(trial, 1, message(trial), {.extra_padding = 16, .bad_padding_at = 3});
}

void padding_longer_than_payload(DropTrial& trial) {
  feed(trial, 1, message(trial), {.pad_length = 200});
}

void dummy(DropTrial& trial) {
  feed(trial, 1, message(trial), {.next_header = 59});
}

void esp_in_esp(DropTrial& trial) {
  feed(trial, 1, message(trial), {.next_header = 50});
}
void tunnel_in_transport(DropTrial& trial) {
  feed(trial, 1, message(trial), {.next_header = 4});
}
void udp_in_tunnel(DropTrial& trial) {
  feed(trial, 1, message(trial), {.next_header = 17});
}

void inner_cut_off(DropTrial& trial) {
  Bytes clear = message(trial);
  clear.resize(clear.size() - 9);
  feed(trial, 1, clear);
}

void inner_empty(DropTrial& trial) {
  feed(trial, 1, {});
}

void other_source(DropTrial& trial) {
  Datagram datagram = trial.ue.datagram(kSaA, pattern(30));
  datagram.source = ip("10.45.99.99");
  feed(trial, 1, ip_packet(datagram));
}

void other_port(DropTrial& trial) {
  Datagram datagram = trial.ue.datagram(kSaA, pattern(30));
  datagram.destination_port = kClientPorts[3];
  feed(trial, 1, ip_packet(datagram));
}

void inner_icmp(DropTrial& trial) {
  feed(trial, 1, icmp_packet(trial.ue.ue, trial.ue.local, 8, 0, 1, pattern(30)));
}

void inner_checksum_wrong(DropTrial& trial) {
  Datagram datagram = trial.ue.datagram(kSaA, pattern(30));
  datagram.l4_checksum_error = 0x4000;
  feed(trial, 1, ip_packet(datagram));
}

void mark_on_not_ect(DropTrial& trial) {
  feed(trial, 1, message(trial), {.outer_tos = 3});
}

}  // namespace

const std::vector<DropCase>& esp_drop_cases() {
  static const std::vector<DropCase> cases = {
      {"37 bytes", DropReason::kEspTooShort, short_of_a_trailer},
      {"7 bytes", DropReason::kEspTooShort, short_of_a_header},
      {"a byte less", DropReason::kEspNotBlockAligned, one_byte_short},
      {"to 224.0.1.75", DropReason::kEspToMulticast, to_multicast},
      {"SPI of nobody", DropReason::kUnknownSpi, unknown_spi},
      {"at not_after", DropReason::kSaExpired, expired, lives_one_second},
      {"bare, tunnel SA", DropReason::kEncapsulationMismatch, bare_on_tunnel, in_a_tunnel},
      {"in UDP, transport SA", DropReason::kEncapsulationMismatch, encapsulated_on_transport},
      {"sequence 0", DropReason::kSequenceZero, sequence_zero},
      {"128 behind", DropReason::kReplayOld, left_of_window},
      {"twice", DropReason::kReplaySeen, seen_before},
      {"bit flipped", DropReason::kIcvWrong, bit_flipped},
      {"cipher unknown", DropReason::kCryptoFailed, engine_refuses},
      {"padding byte 4 is 5", DropReason::kPaddingBad, padding_not_counting},
      {"pad length 200", DropReason::kPaddingBad, padding_longer_than_payload},
      {"next header 59", DropReason::kDummyPacket, dummy, nullptr, true},
      {"ESP in ESP", DropReason::kNextHeaderRefused, esp_in_esp},
      {"IPv4 in transport", DropReason::kNextHeaderRefused, tunnel_in_transport},
      {"UDP in tunnel", DropReason::kNextHeaderRefused, udp_in_tunnel, in_a_tunnel},
      {"inner cut off", DropReason::kInnerHeaderBad, inner_cut_off, in_a_tunnel},
      {"nothing inside", DropReason::kInnerHeaderBad, inner_empty, in_a_tunnel},
      {"source spoofed", DropReason::kSelectorAddress, other_source},
      {"port_pc on SA-a", DropReason::kSelectorPort, other_port},
      {"ICMP inside", DropReason::kSelectorProtocol, inner_icmp, in_a_tunnel},
      {"inner checksum", DropReason::kInnerChecksumBad, inner_checksum_wrong},
      {"CE on not-ECT", DropReason::kEcnIllegal, mark_on_not_ect, in_a_tunnel},
  };
  return cases;
}

}  // namespace gmesp::test
