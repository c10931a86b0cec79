// Many UEs with one SA set each, and genuine packets of theirs in both directions, made outside the
// measured time.
//
// A UE is a number: addresses, ports, SPIs and keys follow from it, so a million of them need no
// memory but their sequence numbers. Units: bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "control/shm/layout.h"
#include "crypto/openssl_engine.h"
#include "crypto/sa_keys.h"
#include "dataplane/ipsec/sa_database.h"
#include "ue_side.h"

namespace gmesp::bench {

struct PhoneOptions {
  uint32_t ues = 1000;
  crypto::Suite suite{crypto::Integrity::kHmacSha1_96, crypto::Cipher::kAesCbc128};
  bool is_tunnel = false;
  bool is_ipv4 = true;
  /// UDP payload of UE n is text n modulo their number, as much as fits. None: letters.
  std::span<const std::string> texts = {};
};

/// A database in anonymous memory that takes the sets of so many.
ipsec::SaDatabaseOptions database_for(uint32_t ues);

class Phones {
 public:
  explicit Phones(const PhoneOptions& options);

  /// Installs all sets. False, and a text on stderr: the database refused one.
  bool install(ipsec::SaDatabase& database) const;

  /// A frame from the UE, `ip_bytes` of clear IP packet under ESP, with the next sequence number.
  /// Returns its length; `esp_offset` is where the SPI stands.
  uint32_t uplink(uint32_t ue, UeSide side, uint32_t ip_bytes, uint8_t* frame,
                  uint32_t& esp_offset);
  /// A clear frame from the host.
  uint32_t downlink(uint32_t ue, UeSide side, uint32_t ip_bytes, uint8_t* frame) const;
  /// The same from kSipPort to kSipPort and without a UDP checksum, IPv4: clear SIP.
  uint32_t clear_sip(uint32_t ue, uint32_t ip_bytes, uint8_t* frame) const;

  crypto::SaKeys keys(uint32_t ue) const;

 private:
  shm::SaSetRecord record(uint32_t ue) const;
  uint32_t write_ip(uint8_t* at, const uint8_t* source, const uint8_t* destination,
                    uint8_t protocol, uint32_t ip_bytes) const;
  void write_payload(uint32_t ue, std::span<uint8_t> payload) const;
  void write_udp(uint32_t ue, uint8_t* ip, uint32_t header_bytes, uint16_t source_port,
                 uint16_t destination_port, uint32_t ip_bytes) const;

  const PhoneOptions options_;
  std::vector<std::array<uint32_t, 2>> sequence_;  ///< by UE and side
  crypto::OpenSslEngine sealer_;
};

inline constexpr uint16_t kSipPort = 5060;     ///< of the host, in clear
inline constexpr uint16_t kServerPort = 5062;  ///< port_ps
inline constexpr uint16_t kClientPort = 5063;  ///< port_pc

}  // namespace gmesp::bench
