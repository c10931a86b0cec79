// Which ports are protected: packets to or from them pass ESP or not at all (R-2401-01).
#pragma once

#include <array>
#include <cstdint>

namespace gmesp::ipsec {

/// One bit per port number. Filled before the workers start, then only read.
class PortSet {
 public:
  void add(uint16_t port) { words_[port / 64] |= uint64_t{1} << (port % 64); }
  bool contains(uint16_t port) const { return words_[port / 64] >> (port % 64) & 1; }

 private:
  std::array<uint64_t, 1024> words_{};
};

}  // namespace gmesp::ipsec
