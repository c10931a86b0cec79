// One authenticated registration as both its ends know it: the SA set record for gmespd, and the
// four SAs for the reference implementation that plays the UE.
#pragma once

#include "control/shm/layout.h"
#include "crypto/suite.h"
#include "datagram.h"
#include "dataplane/ipsec/address.h"
#include "esp_reference.h"

namespace gmesp::test {

/// Protected ports of the P-CSCF in these tests: one server port, a few client ports.
inline constexpr uint16_t kServerPort = 5064;
inline constexpr uint16_t kClientPorts[] = {5066, 5067, 5068, 5069};

struct Registration {
  shm::Mode mode = shm::Mode::kTransport;
  crypto::Suite suite = {crypto::Integrity::kHmacSha1_96, crypto::Cipher::kAesCbc128};
  Ip ue, local;                      ///< what the selectors compare
  Ip outer_ue, outer_local;          ///< tunnel mode
  uint16_t nat_port = 4500;          ///< where the NAT lets the UE's encapsulated packets come from
  uint16_t installed_peer_port = 0;  ///< port_Uenc known at install
  uint16_t port_uc = 0, port_us = 0, port_pc = 0, port_ps = kServerPort;
  uint32_t spi_uc = 0, spi_us = 0, spi_pc = 0, spi_ps = 0;
  Bytes integrity_key, cipher_key;
  uint64_t not_after_ms = UINT64_MAX;
  uint64_t cookie = 0;

  bool is_tunnel() const { return mode == shm::Mode::kUdpEncapsulatedTunnel; }
  bool is_v4() const { return ue.is_v4(); }
  shm::SaSetRecord record() const;
  /// The SA of `role` as its peer holds it.
  EspSa sa(shm::SaRole role) const;
  /// A clear datagram that belongs on that SA; TCP if `protocol` is 6.
  Datagram datagram(shm::SaRole role, const Bytes& payload, uint8_t protocol = 17) const;
  /// The same as IP packet.
  Bytes clear(shm::SaRole role, const Bytes& payload, uint8_t protocol = 17) const;
  /// Inbound roles: the frame a UE sends.
  Bytes uplink(shm::SaRole role, uint32_t sequence, const Bytes& payload,
               const EspShape& shape = {}) const;
};

/// UE number `number` (1..60000): other addresses, SPIs, ports and keys for each.
Registration make_registration(uint32_t number, shm::Mode mode = shm::Mode::kTransport,
                               bool is_v4 = true,
                               crypto::Suite suite = {crypto::Integrity::kHmacSha1_96,
                                                      crypto::Cipher::kAesCbc128});

/// Every suite, mode and family.
std::vector<Registration> all_kinds();
/// "aes-cbc/hmac-sha-1-96 tunnel IPv6", for messages.
std::string kind(const Registration& registration);

ipsec::Address address_of(const Ip& address);
Ip ip_of(const ipsec::Address& address);

}  // namespace gmesp::test
