// What the operator decided about security associations. Validated by whoever reads the
// configuration; the SA manager takes it as it is.
#pragma once

#include <cstdint>
#include <vector>

#include "control/sa/algorithm.h"

namespace gmesp::sa {

/// TS 33.203 7.2, 5.1.3.
enum class Confidentiality : uint8_t { kNever, kWhenSupported, kRequired };

struct PortRange {
  uint16_t first;
  uint16_t last;
};

struct Policy {
  /// Supported algorithms by falling priority (7.2). The order of pairs: for each cipher in turn,
  /// every integrity algorithm; NULL is always the last cipher.
  std::vector<Integrity> integrity = {Integrity::kHmacSha1_96, Integrity::kHmacMd5_96};
  std::vector<Cipher> ciphers = {Cipher::kAesCbc, Cipher::kDesEde3Cbc};
  Confidentiality confidentiality = Confidentiality::kWhenSupported;

  uint16_t port_ps = 5066;
  std::vector<PortRange> ports_pc = {{6100, 6163}};
  std::vector<uint16_t> unprotected_ports = {5060, 5061};
  uint32_t spi_min = 0x10000;
  uint32_t spi_max = 0xffffffff;
  uint64_t rest_ms = 128'000;  ///< 64*T1 before a freed SPI or port_pc is used again (R-7.1-14)

  uint64_t temporary_lifetime_ms = 240'000;  ///< of a set until SM12 (A-29)
  uint64_t margin_ms = 30'000;               ///< an SA outlives its registration by this (A-29)
  uint64_t drop_ms = 128'000;    ///< 64*T1: the longest that an old set waits for its transactions
  uint64_t linger_ms = 128'000;  ///< 64*T1: a set that only repeats its last answer (R-D-E1)
  uint64_t near_expiry_ms = 128'000;  ///< old sets with less are not sent on any more (A-16)

  bool allows_nat_traversal = true;
  bool answers_missing_nat_capability = false;  ///< an error instead of silence (A-05)
  bool rejects_clear = false;      ///< a request that may not come in clear: 403 instead of silence
  bool verifies_bytewise = false;  ///< Security-Verify compared as text (A-30)
  bool many_registrations = false;  ///< one context per (IMPI, registration key) (seed 000)

  uint32_t procedures_max = 65'536;  ///< registrations under way, all users
  uint32_t procedures_per_context_max = 4;
};

}  // namespace gmesp::sa
