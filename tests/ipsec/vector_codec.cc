// vector_codec FOLDER OUT.pcap: receives every ESP packet of a vector folder with our ESP and
// compares it with the plain one; protects every plain packet and writes the result to OUT.pcap,
// for others to open. Exit status 0 only if all packets passed. scripts/check-vectors drives it.
#include <cstdio>
#include <memory>
#include <stdexcept>

#include "esp_lab.h"
#include "vector_set.h"

namespace gmesp::ipsec {
namespace {

/// The lab of the vector's SA; a new one whenever the SA changes.
EspLab& lab_of(const Vector& vector, shm::SaSetRecord (*record_of)(const Vector&),
               std::unique_ptr<EspLab>& lab, const VectorSa*& sa) {
  if (sa == vector.sa) return *lab;
  sa = vector.sa;
  const shm::SaSetRecord record = record_of(vector);
  SaDatabaseOptions options = database_options(1);
  options.protected_ports.add(record.port_ps);
  lab = std::make_unique<EspLab>(record, options);
  return *lab;
}

uint32_t receive_all(const VectorSet& set) {
  uint32_t wrong = 0;
  std::unique_ptr<EspLab> lab;
  const VectorSa* sa = nullptr;
  for (const Vector& vector : set.vectors()) {
    const Received received = lab_of(vector, receiving_record, lab, sa).receive(vector.esp);
    if (received.reason == DropReason::kNone && received.packet == vector.plain) continue;
    std::fprintf(stderr, "%s: received as %s\n", vector.sa->name.c_str(),
                 received.reason == DropReason::kNone ? "another packet"
                                                      : info(received.reason).name.data());
    ++wrong;
  }
  return wrong;
}

uint32_t send_all(const VectorSet& set, std::vector<Bytes>& packets) {
  uint32_t wrong = 0;
  std::unique_ptr<EspLab> lab;
  const VectorSa* sa = nullptr;
  for (const Vector& vector : set.vectors()) {
    EspLab& sender = lab_of(vector, sending_record, lab, sa);
    const Sent sent = sender.send(shm::SaRole::kOutPsUc, vector.plain);
    packets.push_back(sent.packet);
    if (sent.reason == DropReason::kNone) continue;
    std::fprintf(stderr, "%s: not sent: %s\n", vector.sa->name.c_str(),
                 info(sent.reason).name.data());
    ++wrong;
  }
  return wrong;
}

int run(const char* folder, const char* out) {
  const VectorSet set(folder);
  std::vector<Bytes> packets;
  const uint32_t received_wrong = receive_all(set);
  const uint32_t sent_wrong = send_all(set, packets);
  write_pcap(out, packets);
  std::printf("%zu packets: %u received wrong, %u not sent\n", set.vectors().size(), received_wrong,
              sent_wrong);
  return received_wrong + sent_wrong == 0 && !set.vectors().empty() ? 0 : 1;
}

}  // namespace
}  // namespace gmesp::ipsec

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: vector_codec FOLDER OUT.pcap\n");
    return 2;
  }
  try {
    return gmesp::ipsec::run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "vector_codec: %s\n", error.what());
    return 2;
  }
}
