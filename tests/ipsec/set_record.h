// SA set records for the tests, and the databases that take them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/shm/layout.h"
#include "crypto/suite.h"
#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/sa_database.h"

namespace gmesp::ipsec {

using Bytes = std::vector<uint8_t>;

inline constexpr uint64_t kNowMs = 1'000'000;
inline constexpr uint16_t kPortPs = 5064;
inline constexpr uint16_t kPortPcFirst = 6000;
inline constexpr uint16_t kPortPcLast = 6009;

struct RecordShape {
  crypto::Suite suite = {crypto::Integrity::kHmacSha1_96, crypto::Cipher::kAesCbc128};
  shm::Mode mode = shm::Mode::kTransport;
  bool is_ipv4 = true;
};

/// The record of UE number `number`: every number has its own address, SPIs, ports and keys.
/// Tunnels have the same outer and inner addresses and no port_Uenc.
shm::SaSetRecord make_record(uint32_t number, const RecordShape& shape = {});

/// Every suite, mode and family.
std::vector<RecordShape> all_shapes();
/// "aes-cbc/hmac-sha-1-96, tunnel, IPv6", for messages.
std::string text(const RecordShape& shape);

Address address(const char* text);
void put(const Address& address, uint8_t (&bytes)[16]);

/// Anonymous memory; kPortPs and kPortPcFirst..kPortPcLast are protected.
SaDatabaseOptions database_options(uint32_t capacity_sets);

/// Installs at kNowMs and expects success.
uint64_t install(SaDatabase& database, const shm::SaSetRecord& record);
/// Unpublishes and reclaims: no reader is there.
void remove(SaDatabase& database, uint64_t set_id);

SaIndex find_inbound(const SaDatabase& database, uint32_t spi, const Address& destination);
SaIndex find_outbound(const SaDatabase& database, const shm::SaSetRecord& record, shm::SaRole role);

}  // namespace gmesp::ipsec
