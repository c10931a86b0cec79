// What goes wrong with frames, by accident or on purpose: bits, bytes, fields, lengths, splices.
#pragma once

#include <random>

#include "datagram.h"

namespace gmesp::test {

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  /// `frame` with one to four things wrong with it; parts of `other` may be spliced in. Sometimes
  /// the IPv4 header checksum is made right again, so that the damage gets past it.
  Bytes mutate(const Bytes& frame, const Bytes& other);

 private:
  void damage(Bytes& frame, const Bytes& other);
  void splice(Bytes& frame, const Bytes& other);
  uint32_t below(size_t bound) { return static_cast<uint32_t>(random_() % bound); }

  std::mt19937_64 random_;
};

}  // namespace gmesp::test
