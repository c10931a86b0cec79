// A folder of ESP vectors made by an independent implementation: its SAs (sas.json), the packets
// before (plain.pcap) and after protection (esp.pcap), in the same order.
//
// Errors: throws std::runtime_error naming the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/shm/layout.h"
#include "crypto/suite.h"
#include "frame_buffer.h"

namespace gmesp::ipsec {

struct VectorSa {
  std::string name;
  uint32_t spi;
  shm::Mode mode;
  bool is_ipv4;
  crypto::Suite suite;
  Bytes cipher_key;
  Bytes integrity_key;
};

struct Vector {
  const VectorSa* sa;
  Bytes plain;  ///< IP packets
  Bytes esp;
};

class VectorSet {
 public:
  explicit VectorSet(const std::string& folder);

  const std::vector<VectorSa>& sas() const { return sas_; }
  const std::vector<Vector>& vectors() const { return vectors_; }

 private:
  std::vector<VectorSa> sas_;
  std::vector<Vector> vectors_;
};

/// IP packets of a capture of link type RAW.
std::vector<Bytes> read_pcap(const std::string& path);
void write_pcap(const std::string& path, const std::vector<Bytes>& packets);

/// Where the ESP header stands in an IP packet of a vector.
uint32_t esp_offset_of(const Vector& vector);

/// The SA as our inbound SA-a (we receive what the vectors' sender sent) or as our outbound SA-b
/// (we send it ourselves). Addresses and ports are those of the vector.
shm::SaSetRecord receiving_record(const Vector& vector);
shm::SaSetRecord sending_record(const Vector& vector);

}  // namespace gmesp::ipsec
