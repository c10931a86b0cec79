// Big-endian integers as they stand in packets: no implicit conversion, no alignment.
#pragma once

#include <cstdint>
#include <cstring>

namespace gmesp::ipsec {

inline uint16_t load_be16(const void* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap16(value);
}
inline uint32_t load_be32(const void* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap32(value);
}
inline void store_be16(void* at, uint16_t value) {
  value = __builtin_bswap16(value);
  std::memcpy(at, &value, sizeof value);
}
inline void store_be32(void* at, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, sizeof value);
}

}  // namespace gmesp::ipsec
