#include "dissection.h"
#include "drop_case.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using shm::SaRole;

constexpr SaRole kSaD = SaRole::kOutPcUs;

/// A downlink packet of SA-d that the pipeline is to drop once it knows the SA.
void feed(DropTrial& trial, const Datagram& datagram) {
  trial.audit = audit_of(trial.ue, kSaD, ip_packet(datagram));
  trial.sent = trial.lab.from_host(frame_from_host(ip_packet(datagram)));
}

void no_sa(DropTrial& trial) {
  Datagram datagram = trial.ue.datagram(kSaD, pattern(30));
  datagram.destination_port = 40404;
  trial.audit = audit_of(ip_packet(datagram));
  trial.sent = trial.lab.from_host(frame_from_host(ip_packet(datagram)));
}

void quotes_protected(DropTrial& trial) {
  const Bytes theirs = trial.ue.clear(SaRole::kInUcPs, pattern(30));
  const Bytes packet = port_unreachable(trial.ue.local, trial.ue.ue, theirs);
  trial.audit = {.source = trial.ue.local, .destination = trial.ue.ue};
  trial.sent = trial.lab.from_host(frame_from_host(packet));
}

void from_encapsulation_port(DropTrial& trial) {
  Datagram datagram{.source = trial.ue.local, .destination = trial.ue.ue};
  datagram.source_port = 4500;
  datagram.destination_port = 4500;
  trial.audit = audit_of(ip_packet(datagram));
  trial.sent = trial.lab.from_host(frame_from_host(ip_packet(datagram)));
}

void before_the_ue(DropTrial& trial) {
  feed(trial, trial.ue.datagram(kSaD, pattern(30)));
}

void sequence_used_up(DropTrial& trial) {
  trial.lab.hot(trial.set_id, kSaD).progress.sequence = UINT32_MAX;
  feed(trial, trial.ue.datagram(kSaD, pattern(30)));
}

void full_size_with_df(DropTrial& trial) {
  Datagram datagram = trial.ue.datagram(kSaD, pattern(1472));
  datagram.dont_fragment = true;
  feed(trial, datagram);
}

void without_room(LabOptions& options, Registration&) {
  options.headroom_bytes = 0;
  options.tailroom_bytes = 0;
}

void exact_buffer(DropTrial& trial) {
  feed(trial, trial.ue.datagram(kSaD, pattern(30)));
}

void two_workers(LabOptions& options, Registration&) {
  options.pipeline.workers = 2;
}

void owner_is_busy(DropTrial& trial) {
  trial.lab.hot(trial.set_id, kSaD).identity.owner = 1;
  trial.lab.hand_off_refused = true;
  feed(trial, trial.ue.datagram(kSaD, pattern(30)));
}

void port_is_full(DropTrial& trial) {
  trial.lab.transmit_room = 0;
  feed(trial, trial.ue.datagram(kSaD, pattern(30)));
  // The frame is ESP by now.
  trial.audit = {.source = trial.ue.local, .destination = trial.ue.ue};
  trial.audit.spi = trial.ue.spi_us;
  trial.audit.sequence = 1;
}

/// Without DF it may be cut after ESP, into buffers that are not there.
void cut_with_buffers(DropTrial& trial, uint32_t buffers) {
  trial.lab.allocate_room = buffers;
  const Datagram datagram = trial.ue.datagram(kSaD, pattern(1472));
  trial.audit = {.source = trial.ue.local, .destination = trial.ue.ue};
  trial.audit.spi = trial.ue.spi_us;
  trial.audit.sequence = 1;
  trial.sent = trial.lab.from_host(frame_from_host(ip_packet(datagram)));
}
void no_buffer(DropTrial& trial) {
  cut_with_buffers(trial, 0);
}
/// The second fragment finds none: the first must not go alone.
void one_buffer_of_two(DropTrial& trial) {
  cut_with_buffers(trial, 1);
}

void stopping(DropTrial& trial) {
  const Bytes frame = frame_from_host(trial.ue.clear(kSaD, pattern(30)));
  trial.lab.drop(frame, Side::kHost, DropReason::kShutDown);
}

}  // namespace

const std::vector<DropCase>& host_drop_cases() {
  static const std::vector<DropCase> cases = {
      {"other UE port", DropReason::kNoSaForProtectedPort, no_sa},
      {"unreachable quotes SIP", DropReason::kIcmpQuotesProtected, quotes_protected},
      {"from port 4500", DropReason::kHostUsedEncapsulationPort, from_encapsulation_port},
      {"UE not heard yet", DropReason::kPeerPortUnknown, before_the_ue, in_a_tunnel},
      {"sequence at 2^32-1", DropReason::kSequenceExhausted, sequence_used_up},
      {"1500 bytes with DF", DropReason::kTooBigForPath, full_size_with_df, nullptr, false, true},
      {"no headroom", DropReason::kNoRoomInBuffer, exact_buffer, without_room},
      {"other worker busy", DropReason::kHandoffFull, owner_is_busy, two_workers},
      {"port full", DropReason::kTransmitFull, port_is_full},
      {"pool empty", DropReason::kNoBuffer, no_buffer},
      {"one buffer, two fragments", DropReason::kNoBuffer, one_buffer_of_two},
      {"stopping", DropReason::kShutDown, stopping, nullptr, true},
  };
  return cases;
}

}  // namespace gmesp::test
