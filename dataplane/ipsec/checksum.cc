#include "dataplane/ipsec/checksum.h"

#include <immintrin.h>

#include <algorithm>
#include <array>

#include "dataplane/ipsec/byte_order.h"
#include "dataplane/ipsec/header_layout.h"

namespace gmesp::ipsec {
namespace {

constexpr uint32_t kUdpChecksumAt = 6;
constexpr uint32_t kTcpChecksumAt = 16;

template <class Word>
Word load(const uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// The halves of a word, so that no carry is lost below 2^32 of them.
constexpr uint64_t halves(uint64_t word) {
  return (word & 0xffffffff) + (word >> 32);
}

uint16_t folded(uint64_t sum) {
  sum = halves(sum);
  sum = (sum & 0xffff) + (sum >> 16);  // at most 18 bits of carries are left
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

using Block = uint64_t __attribute__((vector_size(32)));
using WideBlock = uint64_t __attribute__((vector_size(64)));

/// Read from `n` bytes behind its start, it keeps the last `n` bytes of a block.
alignas(sizeof(Block)) constexpr std::array<uint8_t, 2 * sizeof(Block)> kKeepLast = [] {
  std::array<uint8_t, 2 * sizeof(Block)> mask{};
  std::fill(mask.begin() + sizeof(Block), mask.end(), uint8_t{0xff});
  return mask;
}();

/// The halves of a block's words go to two accumulators.
template <class Words>
struct Sums {
  Words low{}, high{};

  [[gnu::always_inline]] void add(const Words& block) {
    low += block & 0xffffffff;
    high += block >> 32;
  }
  /// A packet has few blocks: far from 2^64.
  [[gnu::always_inline]] uint64_t total() const {
    const Words sums = low + high;
    uint64_t total = 0;
    for (size_t word = 0; word < sizeof(Words) / sizeof(uint64_t); ++word) total += sums[word];
    return total;
  }
};

/// At least a block. What is left behind the whole blocks is the end of a block that reaches back
/// into them: no branch depends on how much it is.
[[gnu::always_inline]] inline uint64_t sum_of_blocks(const uint8_t* at, size_t count) {
  const uint64_t odd = (count & 1) != 0 ? at[count - 1] : 0;
  count &= ~size_t{1};
  Block block, keep;
  std::memcpy(&block, at + count - sizeof block, sizeof block);
  std::memcpy(&keep, kKeepLast.data() + count % sizeof block, sizeof keep);
  Sums<Block> sums;
  sums.add(block & keep);
  for (size_t blocks = count / sizeof block; blocks != 0; --blocks, at += sizeof block) {
    std::memcpy(&block, at, sizeof block);
    sums.add(block);
  }
  return odd + sums.total();
}

uint64_t sum_of_blocks_sse2(const uint8_t* at, size_t count) {
  return sum_of_blocks(at, count);
}

[[gnu::target("avx2")]] uint64_t sum_of_blocks_avx2(const uint8_t* at, size_t count) {
  return sum_of_blocks(at, count);
}

/// Less than a block, under a mask.
[[gnu::target("avx512f,avx512bw"), gnu::always_inline]] inline WideBlock part_of_block(
    const uint8_t* at, size_t count) {
  return reinterpret_cast<WideBlock>(_mm512_maskz_loadu_epi8((uint64_t{1} << count) - 1, at));
}

/// Any count. A block across two cache lines is read from both: whole blocks are lines, unless the
/// bytes of all words would change places.
[[gnu::target("avx512f,avx512bw")]] uint64_t sum_of_blocks_avx512(const uint8_t* at, size_t count) {
  const size_t to_line = -reinterpret_cast<uintptr_t>(at) % sizeof(WideBlock);
  const size_t before = to_line % 2 == 0 ? std::min(to_line, count) : 0;
  Sums<WideBlock> sums;
  sums.add(part_of_block(at, before));
  at += before;
  count -= before;
  for (; count >= sizeof(WideBlock); at += sizeof(WideBlock), count -= sizeof(WideBlock)) {
    WideBlock block;
    std::memcpy(&block, at, sizeof block);
    asm("" : "+v"(block));  // read once, not for each half of the words
    sums.add(block);
  }
  sums.add(part_of_block(at, count));
  return sums.total();
}

const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
const auto sum_blocks = has_avx512                       ? sum_of_blocks_avx512
                        : __builtin_cpu_supports("avx2") ? sum_of_blocks_avx2
                                                         : sum_of_blocks_sse2;

/// Sums here are in the machine's byte order, which RFC 1071 2 (B) allows, and fold only at the
/// end: a result is turned round once. This one is below 2^49.
uint64_t native_sum(const uint8_t* at, size_t count) {
  if (count >= sizeof(Block)) return sum_blocks(at, count);
  uint64_t sum = (count & 1) != 0 ? at[count - 1] : 0;
  count &= ~size_t{1};
  for (; count >= 8; at += 8, count -= 8) sum += halves(load<uint64_t>(at));
  for (; count != 0; at += 2, count -= 2) sum += load<uint16_t>(at);
  return sum;
}

uint64_t native_pseudo_header_sum(const Layers& layers, uint32_t l4_bytes) {
  // IPv4's 16-bit length and IPv6's 32-bit one are the same words to the sum.
  const uint64_t rest = __builtin_bswap32(l4_bytes) + (uint64_t{layers.protocol} << 8);
  const Address& source = layers.source;
  const Address& destination = layers.destination;
  if (layers.is_ipv4)
    return rest + load<uint32_t>(source.ipv4()) + load<uint32_t>(destination.ipv4());
  return rest + halves(source.high()) + halves(source.low()) + halves(destination.high()) +
         halves(destination.low());
}

/// Where the checksum of `packet`'s L4 stands; null if there is none of `l4_bytes` in it.
uint8_t* l4_checksum(const Packet& packet, uint32_t l4_bytes) {
  const bool is_udp = packet.layers.protocol == kProtocolUdp;
  if (!is_udp && packet.layers.protocol != kProtocolTcp) return nullptr;
  if (l4_bytes > packet.l4_bytes()) return nullptr;
  if (l4_bytes < (is_udp ? kUdpHeaderBytes : kTcpHeaderBytesMin)) return nullptr;
  return packet.at(packet.layers.l4_offset) + (is_udp ? kUdpChecksumAt : kTcpChecksumAt);
}

uint64_t l4_sum(const Packet& packet, uint32_t l4_bytes) {
  return native_pseudo_header_sum(packet.layers, l4_bytes) +
         native_sum(packet.at(packet.layers.l4_offset), l4_bytes);
}

/// Whether a sum folds to ones: to fold is to divide by them and keep the rest, and no packet's sum
/// is zero.
bool is_ones(uint64_t sum) {
  return sum % 0xffff == 0;
}

/// The header of nearly every packet in five additions.
uint64_t ipv4_header_sum(const uint8_t* header) {
  const uint32_t bytes = ipv4_header_bytes(header);
  if (bytes != kIpv4HeaderBytesMin) return native_sum(header, bytes);
  return halves(load<uint64_t>(header)) + halves(load<uint64_t>(header + 8)) +
         load<uint32_t>(header + 16);
}

void store(uint8_t* at, uint16_t native) {
  std::memcpy(at, &native, sizeof native);
}

}  // namespace

uint16_t ones_sum(std::span<const uint8_t> bytes, uint32_t start) {
  const uint16_t sum = folded(native_sum(bytes.data(), bytes.size()));
  return folded(uint64_t{__builtin_bswap16(sum)} + start);
}

void set_ipv4_checksum(uint8_t* header) {
  store(header + kIpv4ChecksumAt, 0);
  store(header + kIpv4ChecksumAt, static_cast<uint16_t>(~folded(ipv4_header_sum(header))));
}

bool ipv4_checksum_good(const uint8_t* header) {
  return is_ones(ipv4_header_sum(header));
}

uint16_t pseudo_header_sum(const Packet& packet, uint32_t l4_bytes) {
  return __builtin_bswap16(folded(native_pseudo_header_sum(packet.layers, l4_bytes)));
}

bool l4_checksum_good(const Packet& packet, uint32_t l4_bytes) {
  const uint8_t* checksum = l4_checksum(packet, l4_bytes);
  if (checksum == nullptr) return false;
  if (packet.layers.protocol == kProtocolUdp && load_be16(checksum) == 0)
    return packet.layers.is_ipv4;
  return is_ones(l4_sum(packet, l4_bytes));
}

void set_l4_checksum(Packet& packet, uint32_t l4_bytes) {
  uint8_t* checksum = l4_checksum(packet, l4_bytes);
  if (checksum == nullptr) return;
  store(checksum, 0);
  uint16_t value = static_cast<uint16_t>(~folded(l4_sum(packet, l4_bytes)));
  // RFC 768: zero means "none"; its other form in one's complement stands for a computed zero.
  if (value == 0 && packet.layers.protocol == kProtocolUdp) value = 0xffff;
  store(checksum, value);
}

uint16_t checksum_of_sum(uint64_t sum) {
  return static_cast<uint16_t>(~folded(sum));
}

uint16_t updated_checksum(uint16_t checksum, uint16_t before, uint16_t after) {
  // RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m').
  return checksum_of_sum(uint64_t{static_cast<uint16_t>(~checksum)} +
                         static_cast<uint16_t>(~before) + after);
}

}  // namespace gmesp::ipsec
