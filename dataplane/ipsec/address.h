// An IP address of either family in 16 bytes, IPv4 as ::ffff:a.b.c.d: one type, one comparison, for
// both.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace gmesp::ipsec {

struct Address {
  std::array<uint8_t, 16> bytes{};  ///< network order

  /// In one piece: bytes stored one by one would make the next wide load wait for them.
  static Address from_ipv4(const void* four_bytes) {
    uint32_t last;
    std::memcpy(&last, four_bytes, sizeof last);
    const uint64_t low = uint64_t{last} << 32 | kMappedPrefix;
    Address address;
    std::memcpy(address.bytes.data() + 8, &low, sizeof low);
    return address;
  }
  static Address from_ipv6(const void* sixteen_bytes) {
    Address address;
    std::memcpy(address.bytes.data(), sixteen_bytes, 16);
    return address;
  }

  uint64_t high() const { return word(0); }
  uint64_t low() const { return word(8); }
  bool is_ipv4() const { return high() == 0 && (low() & UINT32_MAX) == kMappedPrefix; }
  bool is_zero() const { return (high() | low()) == 0; }
  const uint8_t* ipv4() const { return bytes.data() + 12; }

  friend bool operator==(const Address& a, const Address& b) {
    return ((a.high() ^ b.high()) | (a.low() ^ b.low())) == 0;
  }

 private:
  /// RFC 4291 2.5.5.2, in host order of the little-endian machines that DPDK serves here.
  static constexpr uint64_t kMappedPrefix = 0xffff0000;

  uint64_t word(size_t at) const {
    uint64_t value;
    std::memcpy(&value, bytes.data() + at, 8);
    return value;
  }
};
static_assert(sizeof(Address) == 16);

/// "10.0.0.1" or "2001:db8::1".
std::string text(const Address& address);

/// False if `text` is neither an IPv4 nor an IPv6 address.
bool parse_address(const std::string& text, Address& address);

}  // namespace gmesp::ipsec
