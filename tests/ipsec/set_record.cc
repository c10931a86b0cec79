#include "set_record.h"

#include <gtest/gtest.h>

#include <cstring>

namespace gmesp::ipsec {

Address address(const char* text) {
  Address parsed;
  EXPECT_TRUE(parse_address(text, parsed)) << text;
  return parsed;
}

void put(const Address& address, uint8_t (&bytes)[16]) {
  std::memcpy(bytes, address.bytes.data(), sizeof bytes);
}

shm::SaSetRecord make_record(uint32_t number, const RecordShape& shape) {
  shm::SaSetRecord record{};
  record.size = sizeof record;
  record.version = shm::kRecordVersion;
  record.mode = static_cast<uint8_t>(shape.mode);
  record.integrity = static_cast<uint8_t>(shape.suite.integrity);
  record.cipher = static_cast<uint8_t>(shape.suite.cipher);
  record.integrity_key_bytes = static_cast<uint8_t>(crypto::info(shape.suite.integrity).key_bytes);
  record.cipher_key_bytes = static_cast<uint8_t>(crypto::info(shape.suite.cipher).key_bytes);
  record.port_uc = static_cast<uint16_t>(10'000 + number % 20'000);
  record.port_us = static_cast<uint16_t>(40'000 + number % 20'000);
  record.port_pc = static_cast<uint16_t>(kPortPcFirst + number % 10);
  record.port_ps = kPortPs;
  record.spi_uc = 0x1000'0000 + number;
  record.spi_us = 0x2000'0000 + number;
  record.spi_pc = 0x3000'0000 + number;
  record.spi_ps = 0x4000'0000 + number;
  Address ue = address(shape.is_ipv4 ? "10.0.0.0" : "2001:db8:1::");
  for (uint32_t i = 0; i < 3; ++i) ue.bytes[15 - i] = static_cast<uint8_t>(number >> 8 * i);
  put(ue, record.ue_address);
  put(address(shape.is_ipv4 ? "192.0.2.1" : "2001:db8::1"), record.local_address);
  if (shape.mode == shm::Mode::kUdpEncapsulatedTunnel) {
    std::memcpy(record.outer_ue_address, record.ue_address, sizeof record.ue_address);
    std::memcpy(record.outer_local_address, record.local_address, sizeof record.local_address);
  }
  record.not_after_ms = UINT64_MAX;
  record.cookie = 0xc00c1e'0000'0000 + number;
  for (uint32_t i = 0; i < record.integrity_key_bytes; ++i)
    record.integrity_key[i] = static_cast<uint8_t>(i * 7 + number);
  for (uint32_t i = 0; i < record.cipher_key_bytes; ++i)
    record.cipher_key[i] = static_cast<uint8_t>(i * 11 + number * 2);
  return record;
}

std::vector<RecordShape> all_shapes() {
  std::vector<RecordShape> shapes;
  for (uint32_t suite = 0; suite < crypto::kSuiteCount; ++suite)
    for (const shm::Mode mode : {shm::Mode::kTransport, shm::Mode::kUdpEncapsulatedTunnel})
      for (const bool is_ipv4 : {true, false})
        shapes.push_back({crypto::suite_at(suite), mode, is_ipv4});
  return shapes;
}

std::string text(const RecordShape& shape) {
  return std::string(crypto::name(shape.suite)) +
         (shape.mode == shm::Mode::kTransport ? ", transport" : ", tunnel") +
         (shape.is_ipv4 ? ", IPv4" : ", IPv6");
}

SaDatabaseOptions database_options(uint32_t capacity_sets) {
  SaDatabaseOptions options;
  options.capacity_sets = capacity_sets;
  options.protected_ports.add(kPortPs);
  for (uint16_t port = kPortPcFirst; port <= kPortPcLast; ++port) options.protected_ports.add(port);
  return options;
}

uint64_t install(SaDatabase& database, const shm::SaSetRecord& record) {
  uint64_t set_id = 0;
  std::string detail;
  EXPECT_EQ(database.install(record, kNowMs, set_id, detail), shm::Status::kOk) << detail;
  return set_id;
}

void remove(SaDatabase& database, uint64_t set_id) {
  EXPECT_EQ(database.unpublish(set_id), shm::Status::kOk);
  database.reclaim(static_cast<SetIndex>(set_id));
}

SaIndex find_inbound(const SaDatabase& database, uint32_t spi, const Address& destination) {
  return database.find_inbound(database.inbound_hash(spi, destination), spi, destination);
}

SaIndex find_outbound(const SaDatabase& database, const shm::SaSetRecord& record,
                      shm::SaRole role) {
  const bool to_uc = role == shm::SaRole::kOutPsUc;
  const Address local = Address::from_ipv6(record.local_address);
  const Address ue = Address::from_ipv6(record.ue_address);
  const uint16_t local_port = to_uc ? record.port_ps : record.port_pc;
  const uint16_t ue_port = to_uc ? record.port_uc : record.port_us;
  return database.find_outbound(database.outbound_hash(local, local_port, ue, ue_port), local,
                                local_port, ue, ue_port);
}

}  // namespace gmesp::ipsec
