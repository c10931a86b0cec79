// Test users by number: a UE's addresses, ports, SPIs and keys follow from its number, so that any
// process knows the sets of all others without telling each other.
//
// Units: bytes. Errors: none; numbers are below kSubscribersMax.
#pragma once

#include <array>
#include <cstdint>

#include "control/client/gmesp.h"
#include "crypto/sa_keys.h"

namespace gmesp::bench {

inline constexpr uint32_t kSubscribersMax = 1 << 23;  ///< addresses in 10/8
inline constexpr uint16_t kClientPort = 5063;         ///< port_pc
inline constexpr uint16_t kServerPort = 5062;         ///< port_ps
inline constexpr uint16_t kEncapsulationPort = 4500;

struct SubscriberOptions {
  crypto::Suite suite{crypto::Integrity::kHmacSha1_96, crypto::Cipher::kAesCbc128};
  /// Every n-th UE has this cipher instead; 0: none.
  uint32_t other_every = 0;
  crypto::Cipher other_cipher = crypto::Cipher::kDesEde3Cbc;
  bool is_tunnel = false;
  bool is_ipv4 = true;
  bool shares_cipher_key = false;  ///< all have the same
};

crypto::Suite suite_of(const SubscriberOptions& options, uint32_t number);

/// With keys; never expires.
gmesp_sa_set set_of(const SubscriberOptions& options, uint32_t number);

/// The keys of a set as an engine wants them.
crypto::SaKeys keys_of(const gmesp_sa_set& set);

/// Whose SPI this is, inbound or outbound; kSubscribersMax: nobody's.
uint32_t number_of_spi(uint32_t spi);

}  // namespace gmesp::bench
