#include "mutator.h"

#include <algorithm>

namespace gmesp::test {
namespace {

/// Values at which comparisons turn over.
constexpr uint16_t kTelling[] = {0,  1,  7,  8,      19,     20,     21,
                                 39, 40, 41, 0x7fff, 0x8000, 0xfffe, 0xffff};
/// Protocol numbers and EtherTypes that take another way.
constexpr uint8_t kProtocols[] = {0, 1, 4, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 132};
/// Most of what steers a packet stands in its first bytes.
constexpr size_t kHeaderBytes = 90;

void mend(Bytes& frame) {
  size_t at = 14;
  while (frame.size() > at + 4 &&
         (get16(frame, at - 2) == 0x8100 || get16(frame, at - 2) == 0x88a8))
    at += 4;
  if (frame.size() < at + 20 || frame[at] >> 4 != 4) return;
  Bytes packet(frame.begin() + static_cast<ptrdiff_t>(at), frame.end());
  mend_ipv4_checksum(packet);
  std::copy(packet.begin(), packet.end(), frame.begin() + static_cast<ptrdiff_t>(at));
}

}  // namespace

Bytes Mutator::mutate(const Bytes& frame, const Bytes& other) {
  Bytes mutated = frame;
  for (uint32_t times = 1 + below(4); times != 0; --times) damage(mutated, other);
  if (below(2) == 0) mend(mutated);
  return mutated;
}

void Mutator::damage(Bytes& frame, const Bytes& other) {
  if (frame.empty()) return splice(frame, other);
  const size_t header = std::min(frame.size(), kHeaderBytes);
  const size_t at = below(3) == 0 ? below(frame.size()) : below(header);
  switch (below(9)) {
    case 0:
      frame[at] ^= static_cast<uint8_t>(1 << below(8));
      break;
    case 1:
      frame[at] = static_cast<uint8_t>(below(256));
      break;
    case 2:
      frame[at] = kProtocols[below(std::size(kProtocols))];
      break;
    case 3:
      if (at + 1 < frame.size()) put16(frame, at, kTelling[below(std::size(kTelling))]);
      break;
    case 4:
      if (at + 1 < frame.size()) put16(frame, at, get16(frame, at) + below(17) - 8u);
      break;
    case 5:
      frame.resize(below(frame.size() + 1));
      break;
    case 6:
      frame.resize(frame.size() + below(80), static_cast<uint8_t>(below(256)));
      break;
    case 7:
      frame.erase(frame.begin() + static_cast<ptrdiff_t>(at));
      break;
    default:
      splice(frame, other);
  }
}

/// The front of one and the back of the other, or a stretch of the other in the middle.
void Mutator::splice(Bytes& frame, const Bytes& other) {
  if (other.empty()) return;
  const size_t from = below(other.size());
  const size_t count = 1 + below(other.size() - from);
  const auto begin = other.begin() + static_cast<ptrdiff_t>(from);
  if (below(2) == 0) {
    frame.resize(std::min<size_t>(frame.size(), from));
    frame.insert(frame.end(), begin, other.end());
    return;
  }
  const size_t at = frame.empty() ? 0 : below(frame.size());
  for (size_t i = 0; i < count && at + i < frame.size(); ++i)
    frame[at + i] = begin[static_cast<ptrdiff_t>(i)];
}

}  // namespace gmesp::test
