#include "crypto/hmac_lanes.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "crypto/hash_lanes.h"

namespace gmesp::crypto {
namespace {

/// The mark and the count of bits (RFC 1321 3.1 and 3.2, FIPS 180-4 5.1.1).
constexpr uint32_t kPaddingBytesMin = 1 + sizeof(uint64_t);

uint32_t whole_blocks(const HmacMessage& message) {
  return message.count / kHashBlockBytes;
}
uint32_t all_blocks(const HmacMessage& message) {
  return (message.count + kPaddingBytesMin + kHashBlockBytes - 1) / kHashBlockBytes;
}

/// Messages that are hashed together, one in each lane of `n` registers.
template <class Hash, uint32_t n>
class Group {
 public:
  static constexpr uint32_t kLanes = n * kLanesOfRegister;

  /// Of fewer than there are lanes, the last one is in all that are left over.
  Group(const HmacMessage* messages, std::span<const uint8_t> order)
      : count_(static_cast<uint32_t>(order.size())) {
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      messages_[lane] = &messages[order[std::min(lane, count_ - 1)]];
  }

  /// A state after a padded key is as good as the key. Each is overwritten by what is made of it,
  /// and where it came through by the messages.
  [[GMESP_LANES]] void write_icvs() {
    State inner, outer;
    read_keys(inner, outer);
    write_tails();
    hash_messages(inner);
    hash_digests(outer, inner);
    write(outer);
  }

 private:
  using State = Lanes<n>[Hash::kWords];
  using Place = BlockPlace<n>;
  static constexpr uint32_t kBlocks = Hash::kIsOverwritten ? 1 : 2;
  /// A batch of packets is in the second cache or farther; what comes soon, in the first. Not what
  /// lies behind the packets, which would be a quarter more of small ones.
  static constexpr uint32_t kBlocksAhead = 2;
  /// What a message ends in: its last 64 bytes, and 128 of padding. The blocks behind the whole
  /// ones begin among the former.
  struct alignas(kHashBlockBytes) Tail {
    uint8_t bytes[3 * kHashBlockBytes];
  };

  [[GMESP_LANES]] void read_keys(State& inner, State& outer) {
    constexpr uint32_t kStateWords = sizeof(SaKeys::hmac_inner) / sizeof(uint32_t);
    constexpr size_t kInnerAt = offsetof(SaKeys, hmac_inner);
    static_assert(offsetof(SaKeys, hmac_outer) == kInnerAt + sizeof(SaKeys::hmac_inner));
    constexpr __mmask16 kBothStates = (1u << 2 * kStateWords) - 1;
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const auto* keys = reinterpret_cast<const uint8_t*>(messages_[lane]->keys);
      starts_[lane] = tails_[lane].bytes;
      _mm512_store_si512(tails_[lane].bytes,
                         _mm512_maskz_loadu_epi32(kBothStates, keys + kInnerAt));
    }
    read_block({starts_, 0, 0, blocks_[0]});
    for (uint32_t i = 0; i < n; ++i)
      for (uint32_t word = 0; word < Hash::kWords; ++word) {
        inner[word].in[i] = Hash::ordered(blocks_[0][word].in[i]);
        outer[word].in[i] = Hash::ordered(blocks_[0][kStateWords + word].in[i]);
      }
  }

  /// Reads from the end of a message backwards: the line behind it is in no cache, and a load that
  /// reaches there waits for it, masked or not.
  [[GMESP_LANES]] void write_tails() {
    const __m512i mark = _mm512_zextsi128_si512(_mm_cvtsi32_si128(0x80));
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const HmacMessage& message = *messages_[lane];
      const uint64_t there =
          message.count < kHashBlockBytes ? ~(UINT64_MAX >> message.count) : UINT64_MAX;
      Tail& tail = tails_[lane];
      _mm512_store_si512(tail.bytes, _mm512_maskz_loadu_epi8(
                                         there, message.bytes + message.count - kHashBlockBytes));
      _mm512_store_si512(tail.bytes + kHashBlockBytes, mark);
      _mm512_store_si512(tail.bytes + 2 * kHashBlockBytes, _mm512_setzero_si512());
      // Of all that is hashed: before the message, the padded key.
      const uint32_t bits = Hash::ordered((kHashBlockBytes + message.count) * 8);
      const uint32_t last = all_blocks(message) - whole_blocks(message) - 1;
      std::memcpy(last_block(lane, last) + Hash::kLengthAt * sizeof bits, &bits, sizeof bits);
    }
  }

  /// Messages that have ended stay in their lanes and change nothing more.
  [[GMESP_LANES]] void hash_messages(State& state) {
    alignas(sizeof(__m512i)) uint32_t counts[kLanes];
    uint32_t common = UINT32_MAX, longest = 0, least = UINT32_MAX, most = 0;
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const HmacMessage& message = *messages_[lane];
      starts_[lane] = message.bytes;
      counts[lane] = all_blocks(message);
      common = std::min(common, whole_blocks(message));
      longest = std::max(longest, whole_blocks(message));
      least = std::min(least, counts[lane]);
      most = std::max(most, counts[lane]);
    }
    // Then all are at their tails together, whose two blocks stand behind each other.
    const bool are_even = common == longest;
    const auto place_of = [&](uint32_t at) -> Place {
      Lanes<n>* block = blocks_[at % kBlocks];
      if (at < common)
        return {starts_, at * size_t{kHashBlockBytes},
                std::min(at + kBlocksAhead, common - 1) * size_t{kHashBlockBytes}, block};
      if (at > common && are_even) return {starts_, kHashBlockBytes, kHashBlockBytes, block};
      for (uint32_t lane = 0; lane < kLanes; ++lane) starts_[lane] = this->block(lane, at);
      return {starts_, 0, 0, block};
    };
    read_block(place_of(0));
    for (uint32_t at = 0; at < most; ++at) {
      const Place following = place_of(at + 1);
      if (at < least)
        Hash::compress(state, blocks_[at % kBlocks], following);
      else
        compress_some(state, blocks_[at % kBlocks], following, counts, at);
    }
  }

  /// Only of messages that have more than `at` blocks.
  [[GMESP_LANES]] static void compress_some(State& state, Lanes<n> (&block)[Hash::kBlockWords],
                                            const Place& following, const uint32_t* counts,
                                            uint32_t at) {
    State next;
    for (uint32_t word = 0; word < Hash::kWords; ++word) next[word] = state[word];
    Hash::compress(next, block, following);
    for (uint32_t i = 0; i < n; ++i) {
      const __mmask16 goes_on =
          _mm512_cmpgt_epu32_mask(_mm512_load_si512(counts + i * kLanesOfRegister),
                                  _mm512_set1_epi32(static_cast<int>(at)));
      for (uint32_t word = 0; word < Hash::kWords; ++word)
        state[word].in[i] = _mm512_mask_mov_epi32(state[word].in[i], goes_on, next[word].in[i]);
    }
  }

  [[GMESP_LANES]] static void read_block(const Place& place) {
    BlockReader<Hash, n> reader(place);
    for (uint32_t turn = 0; turn < reader.kTurns; ++turn) reader.template step<0>(turn);
    for (uint32_t turn = 0; turn < reader.kTurns; ++turn) reader.template step<1>(turn);
    for (uint32_t turn = 0; turn < reader.kTurns; ++turn) reader.template step<2>(turn);
    for (uint32_t turn = 0; turn < reader.kTurns; ++turn) reader.template step<3>(turn);
  }

  /// The first or the second of those behind the whole ones.
  uint8_t* last_block(uint32_t lane, uint32_t at) {
    const uint32_t rest = messages_[lane]->count % kHashBlockBytes;
    return tails_[lane].bytes + (1 + at) * kHashBlockBytes - rest;
  }

  /// Behind its end, the last block of the message again.
  const uint8_t* block(uint32_t lane, uint32_t at) {
    const HmacMessage& message = *messages_[lane];
    const uint32_t whole = whole_blocks(message);
    if (at < whole) return message.bytes + size_t{at} * kHashBlockBytes;
    return last_block(lane, std::min(at - whole, 1u));
  }

  /// RFC 2104 2: what came out, hashed behind the key padded the other way.
  [[GMESP_LANES]] void hash_digests(State& state, const State& digests) {
    constexpr int kBits = (kHashBlockBytes + Hash::kWords * sizeof(uint32_t)) * 8;
    Lanes<n>(&words)[Hash::kBlockWords] = blocks_[0];
    for (uint32_t i = 0; i < n; ++i) {
      for (uint32_t word = 0; word < kHashBlockWords; ++word)
        words[word].in[i] = word < Hash::kWords ? digests[word].in[i] : _mm512_setzero_si512();
      words[Hash::kWords].in[i] = Hash::ordered(_mm512_set1_epi32(0x80));
      words[Hash::kLengthAt].in[i] = _mm512_set1_epi32(kBits);
    }
    // Nothing follows; what was read last is read again.
    Hash::compress(state, words, {starts_, 0, 0, blocks_[kBlocks - 1]});
  }

  [[GMESP_LANES]] void write(const State& digests) const {
    constexpr uint32_t kIcvWords = kIcvBytes / sizeof(uint32_t);
    alignas(sizeof(__m512i)) uint32_t words[kIcvWords][kLanes];
    for (uint32_t word = 0; word < kIcvWords; ++word)
      for (uint32_t i = 0; i < n; ++i)
        _mm512_store_si512(words[word] + i * kLanesOfRegister, Hash::ordered(digests[word].in[i]));
    for (uint32_t lane = 0; lane < count_; ++lane) {
      uint8_t* icv = messages_[lane]->icv;
      for (uint32_t word = 0; word < kIcvWords; ++word)
        std::memcpy(icv + word * sizeof(uint32_t), &words[word][lane], sizeof(uint32_t));
    }
  }

  const uint32_t count_;
  const HmacMessage* messages_[kLanes];
  const uint8_t* starts_[kLanes];  ///< of the block that is read next
  Tail tails_[kLanes];
  Lanes<n> blocks_[kBlocks][Hash::kBlockWords];
};

/// In groups of so many registers at most.
template <class Hash, uint32_t registers>
[[GMESP_AVX512]] void write_icvs_by(std::span<const HmacMessage> messages) {
  LaneOrder order;
  order_by_length(messages, all_blocks, order);
  std::span<const uint8_t> left(order.data(), messages.size());
  while (!left.empty()) {
    constexpr size_t kMost = registers * kLanesOfRegister;
    const auto group = left.first(std::min(left.size(), kMost));
    if (group.size() > kLanesOfRegister)
      Group<Hash, registers>(messages.data(), group).write_icvs();
    else
      Group<Hash, 1>(messages.data(), group).write_icvs();
    left = left.subspan(group.size());
  }
}

}  // namespace

bool has_hmac_lanes() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

void write_icvs(LaneWidth width, Integrity integrity,
                std::span<const HmacMessage> messages) noexcept {
  if (integrity == Integrity::kHmacMd5_96)
    write_icvs_by<Md5Lanes, 2>(messages);
  else if (width == LaneWidth::kWide)
    write_icvs_by<Sha1Lanes, 2>(messages);
  else
    write_icvs_by<Sha1Lanes, 1>(messages);
}

}  // namespace gmesp::crypto
