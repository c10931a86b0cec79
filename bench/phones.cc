#include "phones.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "dataplane/ipsec/address.h"
#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/checksum.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::bench {
namespace {

using ipsec::kEthernetBytes;
using ipsec::kUdpHeaderBytes;
using ipsec::store_be16;
using ipsec::store_be32;

constexpr uint16_t kUeClientPort = 40'000;
constexpr uint16_t kUeServerPort = 40'001;
constexpr uint16_t kEncapsulationPort = 4500;
constexpr uint16_t kNatPort = 61'000;

uint64_t mixed(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

/// Inbound; spi_pc follows, then the outbound ones.
constexpr uint32_t spi_ps(uint32_t ue) {
  return 0x10000 + 4 * ue;
}

std::array<uint8_t, 24> key_bytes(uint32_t ue, uint32_t which) {
  std::array<uint8_t, 24> key;
  for (uint32_t i = 0; i < 3; ++i) {
    const uint64_t word = mixed(uint64_t{ue} * 8 + which * 3 + i);
    std::memcpy(key.data() + 8 * i, &word, 8);
  }
  return key;
}

ipsec::Address address_of(bool is_ipv4, uint32_t number, bool is_local) {
  if (is_ipv4) {
    uint8_t four[4];
    store_be32(four, is_local ? 0xc0000201 : 0x0a010000 + number);
    return ipsec::Address::from_ipv4(four);
  }
  ipsec::Address address;
  address.bytes = {0x20, 0x01, 0x0d, 0xb8};
  address.bytes[7] = is_local ? 1 : 2;
  store_be32(address.bytes.data() + 12, number + 1);
  return address;
}

}  // namespace

ipsec::SaDatabaseOptions database_for(uint32_t ues) {
  ipsec::SaDatabaseOptions options;
  options.capacity_sets = ues;
  options.protected_ports.add(kServerPort);
  options.protected_ports.add(kClientPort);
  return options;
}

Phones::Phones(const PhoneOptions& options) : options_(options), sequence_(options.ues) {}

shm::SaSetRecord Phones::record(uint32_t ue) const {
  shm::SaSetRecord record{};
  record.size = sizeof record;
  record.version = shm::kRecordVersion;
  record.mode = static_cast<uint8_t>(options_.is_tunnel ? shm::Mode::kUdpEncapsulatedTunnel
                                                        : shm::Mode::kTransport);
  record.integrity = static_cast<uint8_t>(options_.suite.integrity);
  record.cipher = static_cast<uint8_t>(options_.suite.cipher);
  record.integrity_key_bytes =
      static_cast<uint8_t>(crypto::info(options_.suite.integrity).key_bytes);
  record.cipher_key_bytes = static_cast<uint8_t>(crypto::info(options_.suite.cipher).key_bytes);
  record.port_uc = kUeClientPort;
  record.port_us = kUeServerPort;
  record.port_pc = kClientPort;
  record.port_ps = kServerPort;
  record.spi_ps = spi_ps(ue);
  record.spi_pc = record.spi_ps + 1;
  record.spi_uc = record.spi_ps + 2;
  record.spi_us = record.spi_ps + 3;
  const ipsec::Address phone = address_of(options_.is_ipv4, ue, false);
  const ipsec::Address local = address_of(options_.is_ipv4, 0, true);
  for (uint8_t* at : {record.ue_address, record.outer_ue_address})
    std::memcpy(at, phone.bytes.data(), 16);
  for (uint8_t* at : {record.local_address, record.outer_local_address})
    std::memcpy(at, local.bytes.data(), 16);
  record.outer_ue_port = options_.is_tunnel ? kNatPort : 0;
  record.not_after_ms = UINT64_MAX;
  std::copy_n(key_bytes(ue, 0).begin(), record.integrity_key_bytes, record.integrity_key);
  std::copy_n(key_bytes(ue, 1).begin(), record.cipher_key_bytes, record.cipher_key);
  return record;
}

crypto::SaKeys Phones::keys(uint32_t ue) const {
  const std::array<uint8_t, 24> integrity = key_bytes(ue, 0);
  const std::array<uint8_t, 24> cipher = key_bytes(ue, 1);
  crypto::SaKeys keys;
  crypto::expand(options_.suite,
                 std::span(integrity).first(crypto::info(options_.suite.integrity).key_bytes),
                 std::span(cipher).first(crypto::info(options_.suite.cipher).key_bytes), keys);
  return keys;
}

bool Phones::install(ipsec::SaDatabase& database) const {
  for (uint32_t ue = 0; ue < options_.ues; ++ue) {
    uint64_t set_id;
    std::string detail;
    const shm::Status status = database.install(record(ue), 1, set_id, detail);
    if (status == shm::Status::kOk) continue;
    std::fprintf(stderr, "phones: set %u: %s\n", ue, detail.c_str());
    return false;
  }
  return true;
}

/// Writes Ethernet and IP headers at `at`; returns where the payload begins.
uint32_t Phones::write_ip(uint8_t* at, const uint8_t* source, const uint8_t* destination,
                          uint8_t protocol, uint32_t ip_bytes) const {
  static constexpr uint8_t kAddresses[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  std::memcpy(at, kAddresses, sizeof kAddresses);
  store_be16(at + 12, options_.is_ipv4 ? 0x0800 : 0x86dd);
  uint8_t* ip = at + kEthernetBytes;
  if (!options_.is_ipv4) {
    std::memset(ip, 0, 40);
    ip[0] = 0x60;
    store_be16(ip + 4, static_cast<uint16_t>(ip_bytes - 40));
    ip[6] = protocol;
    ip[7] = 64;
    std::memcpy(ip + 8, source, 16);
    std::memcpy(ip + 24, destination, 16);
    return kEthernetBytes + 40;
  }
  std::memset(ip, 0, 20);
  ip[0] = 0x45;
  store_be16(ip + 2, static_cast<uint16_t>(ip_bytes));
  ip[8] = 64;
  ip[9] = protocol;
  std::memcpy(ip + 12, source + 12, 4);
  std::memcpy(ip + 16, destination + 12, 4);
  ipsec::set_ipv4_checksum(ip);
  return kEthernetBytes + 20;
}

void Phones::write_payload(uint32_t ue, std::span<uint8_t> payload) const {
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>('a' + i % 23);
  if (options_.texts.empty()) return;
  const std::string& text = options_.texts[ue % options_.texts.size()];
  std::copy_n(text.begin(), std::min(text.size(), payload.size()), payload.begin());
}

void Phones::write_udp(uint32_t ue, uint8_t* ip, uint32_t header_bytes, uint16_t source_port,
                       uint16_t destination_port, uint32_t ip_bytes) const {
  uint8_t* udp = ip + header_bytes;
  const uint32_t udp_bytes = ip_bytes - header_bytes;
  store_be16(udp, source_port);
  store_be16(udp + 2, destination_port);
  store_be16(udp + 4, static_cast<uint16_t>(udp_bytes));
  store_be16(udp + 6, 0);
  write_payload(ue, {udp + kUdpHeaderBytes, udp_bytes - kUdpHeaderBytes});
  const uint32_t address_bytes = options_.is_ipv4 ? 8 : 32;
  const uint8_t* addresses = ip + (options_.is_ipv4 ? 12 : 8);
  const uint16_t sum = ipsec::ones_sum({addresses, address_bytes}, 17 + udp_bytes);
  store_be16(udp + 6, static_cast<uint16_t>(~ipsec::ones_sum({udp, udp_bytes}, sum)));
}

uint32_t Phones::downlink(uint32_t ue, UeSide side, uint32_t ip_bytes, uint8_t* frame) const {
  const bool is_client = side == UeSide::kClient;
  const ipsec::Address phone = address_of(options_.is_ipv4, ue, false);
  const ipsec::Address local = address_of(options_.is_ipv4, 0, true);
  const uint32_t payload = write_ip(frame, local.bytes.data(), phone.bytes.data(), 17, ip_bytes);
  write_udp(ue, frame + kEthernetBytes, payload - kEthernetBytes,
            is_client ? kServerPort : kClientPort, is_client ? kUeClientPort : kUeServerPort,
            ip_bytes);
  return kEthernetBytes + ip_bytes;
}

uint32_t Phones::clear_sip(uint32_t ue, uint32_t ip_bytes, uint8_t* frame) const {
  const uint32_t length = downlink(ue, UeSide::kServer, ip_bytes, frame);
  uint8_t* udp = frame + kEthernetBytes + ipsec::kIpv4HeaderBytesMin;
  store_be16(udp, kSipPort);
  store_be16(udp + 2, kSipPort);
  store_be16(udp + 6, 0);
  return length;
}

uint32_t Phones::uplink(uint32_t ue, UeSide side, uint32_t ip_bytes, uint8_t* frame,
                        uint32_t& esp_offset) {
  const bool is_client = side == UeSide::kClient;
  const ipsec::Address phone = address_of(options_.is_ipv4, ue, false);
  const ipsec::Address local = address_of(options_.is_ipv4, 0, true);
  std::array<uint8_t, 2048> clear;
  const uint32_t header_bytes =
      write_ip(clear.data(), phone.bytes.data(), local.bytes.data(), 17, ip_bytes) - kEthernetBytes;
  uint8_t* ip = clear.data() + kEthernetBytes;
  write_udp(ue, ip, header_bytes, is_client ? kUeClientPort : kUeServerPort,
            is_client ? kServerPort : kClientPort, ip_bytes);
  const uint8_t* payload = options_.is_tunnel ? ip : ip + header_bytes;
  const uint32_t payload_bytes = options_.is_tunnel ? ip_bytes : ip_bytes - header_bytes;
  const uint8_t next_header = !options_.is_tunnel ? 17 : options_.is_ipv4 ? 4 : 41;

  const crypto::CipherInfo cipher = crypto::info(options_.suite.cipher);
  const uint32_t padded =
      (payload_bytes + 2 + cipher.block_bytes - 1) / cipher.block_bytes * cipher.block_bytes;
  const uint32_t esp_bytes = 8 + cipher.iv_bytes + padded;
  const uint32_t udp_bytes = options_.is_tunnel ? kUdpHeaderBytes : 0;
  const uint32_t outer_bytes = header_bytes + udp_bytes + esp_bytes + crypto::kIcvBytes;
  esp_offset = write_ip(frame, phone.bytes.data(), local.bytes.data(), options_.is_tunnel ? 17 : 50,
                        outer_bytes);
  if (options_.is_tunnel) {
    uint8_t* udp = frame + esp_offset;
    store_be16(udp, kNatPort);
    store_be16(udp + 2, kEncapsulationPort);
    store_be16(udp + 4, static_cast<uint16_t>(outer_bytes - header_bytes));
    store_be16(udp + 6, 0);
    esp_offset += kUdpHeaderBytes;
  }
  uint8_t* esp = frame + esp_offset;
  const uint32_t sequence = ++sequence_[ue][static_cast<size_t>(side)];
  store_be32(esp, spi_ps(ue) + (is_client ? 0 : 1));
  store_be32(esp + 4, sequence);
  const uint64_t iv = mixed(uint64_t{ue} << 32 | sequence);
  for (uint32_t i = 0; i < cipher.iv_bytes; i += 8) std::memcpy(esp + 8 + i, &iv, 8);
  uint8_t* text = esp + 8 + cipher.iv_bytes;
  std::memcpy(text, payload, payload_bytes);
  const uint32_t pad = padded - payload_bytes - 2;
  for (uint32_t i = 0; i < pad; ++i) text[payload_bytes + i] = static_cast<uint8_t>(i + 1);
  text[padded - 2] = static_cast<uint8_t>(pad);
  text[padded - 1] = next_header;
  const crypto::SaKeys sa_keys = keys(ue);
  crypto::CryptoJob job{&sa_keys,
                        esp,
                        esp_bytes,
                        options_.suite,
                        crypto::Direction::kOutbound,
                        crypto::JobStatus::kPending};
  sealer_.process(job);
  return kEthernetBytes + outer_bytes;
}

}  // namespace gmesp::bench
