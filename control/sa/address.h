// An IP address as the SIP side sees it: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, so that
// one type and one comparison serve both families.
//
// Threading: pure values.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>

namespace gmesp::sa {

using Address = std::array<uint8_t, 16>;

inline bool is_ipv4(const Address& address) {
  static constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(address.data(), kMapped.data(), kMapped.size()) == 0;
}

inline bool is_unspecified(const Address& address) {
  if (is_ipv4(address))
    return address[12] == 0 && address[13] == 0 && address[14] == 0 && address[15] == 0;
  return address == Address{};
}

/// An end point on the UE's side.
struct UePort {
  Address address{};
  uint16_t port = 0;
  friend bool operator==(const UePort&, const UePort&) = default;
};

struct UePortHash {
  size_t operator()(const UePort& at) const {
    uint64_t high, low;
    std::memcpy(&high, at.address.data(), 8);
    std::memcpy(&low, at.address.data() + 8, 8);
    uint64_t mixed = (high ^ (low * 0x9e3779b97f4a7c15) ^ at.port) * 0xff51afd7ed558ccd;
    return mixed ^ mixed >> 32;
  }
};

}  // namespace gmesp::sa
