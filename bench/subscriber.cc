#include "subscriber.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "dataplane/ipsec/byte_order.h"

namespace gmesp::bench {
namespace {

constexpr uint32_t kFirstSpi = 0x10000;
constexpr uint32_t kSpisPerSubscriber = 4;
constexpr uint32_t kFirstIpv4 = 0x0a010000;  // 10.1.0.0
constexpr uint32_t kLocalIpv4 = 0xc0000201;  // 192.0.2.1
constexpr uint16_t kUeClientPort = 40'000;
constexpr uint16_t kUeServerPort = 40'001;
constexpr uint16_t kNatPort = 61'000;

/// splitmix64.
uint64_t mixed(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

/// SPIs are scattered, as those that UEs choose are: tables of others hold fewer of a pattern.
/// Odd, so that each subscriber has SPIs of its own.
constexpr uint32_t kScatter = 0x5bd1e995;
constexpr uint32_t inverse_of(uint32_t odd) {
  uint32_t inverse = odd;  // right in 3 bits, then in twice as many each time
  for (int i = 0; i < 4; ++i) inverse *= 2 - odd * inverse;
  return inverse;
}
static_assert(kScatter * inverse_of(kScatter) == 1);

void fill_key(uint32_t number, uint32_t which, std::span<uint8_t> key) {
  for (size_t at = 0; at < key.size(); at += 8) {
    const uint64_t word = mixed(uint64_t{number} << 8 | which << 4 | at / 8);
    std::memcpy(key.data() + at, &word, std::min<size_t>(8, key.size() - at));
  }
}

void write_ipv4(uint32_t address, uint8_t* at) {
  std::memset(at, 0, 10);
  at[10] = at[11] = 0xff;
  ipsec::store_be32(at + 12, address);
}

/// 2001:db8:0:NETWORK::HOST
void write_ipv6(uint16_t network, uint32_t host, uint8_t* at) {
  static constexpr uint8_t kDocumentation[] = {0x20, 0x01, 0x0d, 0xb8};
  std::memset(at, 0, GMESP_ADDRESS_BYTES);
  std::memcpy(at, kDocumentation, sizeof kDocumentation);
  ipsec::store_be16(at + 6, network);
  ipsec::store_be32(at + 12, host);
}

}  // namespace

crypto::Suite suite_of(const SubscriberOptions& options, uint32_t number) {
  crypto::Suite suite = options.suite;
  if (options.other_every != 0 && number % options.other_every == 0)
    suite.cipher = options.other_cipher;
  return suite;
}

gmesp_sa_set set_of(const SubscriberOptions& options, uint32_t number) {
  const crypto::Suite suite = suite_of(options, number);
  gmesp_sa_set set;
  GMESP_INIT(&set);
  set.mode = options.is_tunnel ? GMESP_MODE_UDP_ENCAPSULATED_TUNNEL : GMESP_MODE_TRANSPORT;
  set.integrity = static_cast<uint8_t>(suite.integrity);
  set.cipher = static_cast<uint8_t>(suite.cipher);
  set.integrity_key_bytes = static_cast<uint8_t>(crypto::info(suite.integrity).key_bytes);
  set.cipher_key_bytes = static_cast<uint8_t>(crypto::info(suite.cipher).key_bytes);
  set.port_uc = kUeClientPort;
  set.port_us = kUeServerPort;
  set.port_pc = kClientPort;
  set.port_ps = kServerPort;
  set.spi_ps = kFirstSpi + kSpisPerSubscriber * (number * kScatter % kSubscribersMax);
  set.spi_pc = set.spi_ps + 1;
  set.spi_uc = set.spi_ps + 2;
  set.spi_us = set.spi_ps + 3;
  if (options.is_ipv4) {
    write_ipv4(kFirstIpv4 + number, set.ue_address);
    write_ipv4(kLocalIpv4, set.local_address);
  } else {
    write_ipv6(2, number + 1, set.ue_address);
    write_ipv6(1, 1, set.local_address);
  }
  std::memcpy(set.outer_ue_address, set.ue_address, GMESP_ADDRESS_BYTES);
  std::memcpy(set.outer_local_address, set.local_address, GMESP_ADDRESS_BYTES);
  set.outer_ue_port = options.is_tunnel ? kNatPort : 0;
  set.not_after_ms = GMESP_FOREVER;
  set.cookie = number;
  fill_key(number, 0, std::span(set.integrity_key).first(set.integrity_key_bytes));
  fill_key(options.shares_cipher_key ? 0 : number, 1,
           std::span(set.cipher_key).first(set.cipher_key_bytes));
  return set;
}

crypto::SaKeys keys_of(const gmesp_sa_set& set) {
  crypto::SaKeys keys;
  crypto::expand(
      {static_cast<crypto::Integrity>(set.integrity), static_cast<crypto::Cipher>(set.cipher)},
      std::span(set.integrity_key).first(set.integrity_key_bytes),
      std::span(set.cipher_key).first(set.cipher_key_bytes), keys);
  return keys;
}

uint32_t number_of_spi(uint32_t spi) {
  const uint32_t place = (spi - kFirstSpi) / kSpisPerSubscriber;
  if (spi < kFirstSpi || place >= kSubscribersMax) return kSubscribersMax;
  return place * inverse_of(kScatter) % kSubscribersMax;
}

}  // namespace gmesp::bench
