#include "registration.h"

#include <algorithm>

namespace gmesp::test {
namespace {

using shm::SaRole;

void copy(const Ip& from, uint8_t (&to)[16]) {
  const ipsec::Address address = address_of(from);
  std::copy(address.bytes.begin(), address.bytes.end(), to);
}

/// Keys that differ in every registration; for 3DES K3 = K1 and odd parity (TS 33.203 Annex I).
Bytes cipher_key_of(crypto::Cipher cipher, uint32_t number) {
  if (cipher == crypto::Cipher::kNull) return {};
  if (cipher == crypto::Cipher::kAesCbc128) return pattern(16, number * 2 + 1);
  Bytes key = pattern(16, number * 2 + 1);
  key.insert(key.end(), key.begin(), key.begin() + 8);
  for (uint8_t& byte : key)
    byte = static_cast<uint8_t>((byte & 0xfe) | !(__builtin_popcount(byte & 0xfe) & 1));
  return key;
}

}  // namespace

shm::SaSetRecord Registration::record() const {
  shm::SaSetRecord record{};
  record.size = sizeof record;
  record.version = shm::kRecordVersion;
  record.mode = static_cast<uint8_t>(mode);
  record.integrity = static_cast<uint8_t>(suite.integrity);
  record.cipher = static_cast<uint8_t>(suite.cipher);
  record.integrity_key_bytes = static_cast<uint8_t>(integrity_key.size());
  record.cipher_key_bytes = static_cast<uint8_t>(cipher_key.size());
  record.port_uc = port_uc;
  record.port_us = port_us;
  record.port_pc = port_pc;
  record.port_ps = port_ps;
  record.spi_uc = spi_uc;
  record.spi_us = spi_us;
  record.spi_pc = spi_pc;
  record.spi_ps = spi_ps;
  copy(ue, record.ue_address);
  copy(local, record.local_address);
  if (is_tunnel()) {
    copy(outer_ue, record.outer_ue_address);
    copy(outer_local, record.outer_local_address);
    record.outer_ue_port = installed_peer_port;
  }
  record.not_after_ms = not_after_ms;
  record.cookie = cookie;
  std::copy(integrity_key.begin(), integrity_key.end(), record.integrity_key);
  std::copy(cipher_key.begin(), cipher_key.end(), record.cipher_key);
  return record;
}

EspSa Registration::sa(SaRole role) const {
  EspSa sa;
  sa.cipher = suite.cipher == crypto::Cipher::kNull        ? EspCipher::kNull
              : suite.cipher == crypto::Cipher::kAesCbc128 ? EspCipher::kAesCbc
                                                           : EspCipher::kTripleDesCbc;
  sa.hash = suite.integrity == crypto::Integrity::kHmacMd5_96 ? EspHash::kMd5 : EspHash::kSha1;
  sa.cipher_key = cipher_key;
  sa.integrity_key = integrity_key;
  sa.is_tunnel = is_tunnel();
  const bool is_inbound = role == SaRole::kInUcPs || role == SaRole::kInUsPc;
  sa.spi = role == SaRole::kInUcPs    ? spi_ps
           : role == SaRole::kOutPsUc ? spi_uc
           : role == SaRole::kInUsPc  ? spi_pc
                                      : spi_us;
  sa.outer_source = is_inbound ? outer_ue : outer_local;
  sa.outer_destination = is_inbound ? outer_local : outer_ue;
  sa.outer_source_port = is_inbound ? nat_port : uint16_t{4500};
  sa.outer_destination_port = is_inbound ? uint16_t{4500} : nat_port;
  return sa;
}

Datagram Registration::datagram(SaRole role, const Bytes& payload, uint8_t protocol) const {
  const bool is_inbound = role == SaRole::kInUcPs || role == SaRole::kInUsPc;
  const uint16_t ue_port = role == SaRole::kInUcPs || role == SaRole::kOutPsUc ? port_uc : port_us;
  const uint16_t local_port =
      role == SaRole::kInUcPs || role == SaRole::kOutPsUc ? port_ps : port_pc;
  Datagram datagram{.source = is_inbound ? ue : local, .destination = is_inbound ? local : ue};
  datagram.protocol = protocol;
  datagram.source_port = is_inbound ? ue_port : local_port;
  datagram.destination_port = is_inbound ? local_port : ue_port;
  datagram.payload = payload;
  return datagram;
}

Bytes Registration::clear(SaRole role, const Bytes& payload, uint8_t protocol) const {
  return ip_packet(datagram(role, payload, protocol));
}

Bytes Registration::uplink(SaRole role, uint32_t sequence, const Bytes& payload,
                           const EspShape& shape) const {
  return frame_to_host(seal(sa(role), sequence, clear(role, payload), shape));
}

Registration make_registration(uint32_t number, shm::Mode mode, bool is_v4, crypto::Suite suite) {
  Registration made;
  made.mode = mode;
  made.suite = suite;
  const std::string high = std::to_string(number / 250);
  const std::string low = std::to_string(number % 250 + 1);
  made.ue = ip(is_v4 ? "10.45." + high + "." + low : "2001:db8:45:" + high + "::" + low);
  made.local = ip(is_v4 ? "192.0.2.10" : "2001:db8:1::10");
  made.outer_ue = made.ue;
  made.outer_local = made.local;
  made.nat_port = static_cast<uint16_t>(20000 + number % 30000);
  made.port_uc = static_cast<uint16_t>(30000 + number % 20000);
  made.port_us = static_cast<uint16_t>(50000 + number % 10000);
  made.port_pc = kClientPorts[number % std::size(kClientPorts)];
  made.spi_uc = 0x10000000 + number * 4;
  made.spi_us = 0x10000000 + number * 4 + 1;
  made.spi_pc = 0x20000000 + number * 4;
  made.spi_ps = 0x20000000 + number * 4 + 1;
  made.integrity_key = pattern(crypto::info(suite.integrity).key_bytes, number * 2);
  made.cipher_key = cipher_key_of(suite.cipher, number);
  made.cookie = 1000 + number;
  return made;
}

std::vector<Registration> all_kinds() {
  std::vector<Registration> kinds;
  for (uint32_t suite = 0; suite < crypto::kSuiteCount; ++suite)
    for (const shm::Mode mode : {shm::Mode::kTransport, shm::Mode::kUdpEncapsulatedTunnel})
      for (const bool is_v4 : {true, false})
        kinds.push_back(make_registration(static_cast<uint32_t>(kinds.size()) + 1, mode, is_v4,
                                          crypto::suite_at(suite)));
  return kinds;
}

std::string kind(const Registration& registration) {
  return std::string(crypto::name(registration.suite)) +
         (registration.is_tunnel() ? " tunnel" : " transport") +
         (registration.is_v4() ? " IPv4" : " IPv6");
}

ipsec::Address address_of(const Ip& address) {
  if (address.bytes.empty()) return {};
  return address.is_v4() ? ipsec::Address::from_ipv4(address.bytes.data())
                         : ipsec::Address::from_ipv6(address.bytes.data());
}

Ip ip_of(const ipsec::Address& address) {
  if (address.is_ipv4()) return {{address.bytes.begin() + 12, address.bytes.end()}};
  return {{address.bytes.begin(), address.bytes.end()}};
}

}  // namespace gmesp::test
