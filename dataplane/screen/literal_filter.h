// Whether a text may hold any of a few words, whatever their case, at several bytes a nanosecond.
//
// Each word is looked for by four of its bytes, those that SIP has least. Thirty-two places at once
// are compared with all words by what the halves of each byte allow (the method that Hyperscan
// calls Teddy); what is left is looked up in a table of the words' four bytes. So the answer may be
// yes too often, and is never no wrongly. Hyperscan's own is several times slower
// here: it takes the last bytes of a word, which SIP may be full of.
//
// Threading: built by one thread, then read by any. Memory: fixed. Errors: none.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gmesp::screen {

class LiteralFilter {
 public:
  LiteralFilter();

  /// Words beyond this number would be found everywhere.
  static constexpr size_t kWordsMax = 64;
  static constexpr size_t kWordBytesMin = 4;

  /// A word that is too short or not ASCII, or one too many, makes the filter useless.
  void add(std::string_view word);
  /// Has words, all of them, and a CPU with AVX2.
  bool is_useful() const;

  /// False: `text` holds no word and no folded line. `only_head`: `text` is a datagram, and what
  /// is behind its header fields does not count. Only if is_useful().
  bool may_hold(std::string_view text, bool only_head) const;

 private:
  static constexpr size_t kHalves = 16;  ///< values of half a byte
  /// A bit for each group of words.
  using Groups = uint8_t;
  static constexpr size_t kGroups = 7;
  /// That of line ends behind which no header field begins; the uppermost, so that one instruction
  /// collects it.
  static constexpr Groups kLines = 0x80;
  /// The upper halves of so many bytes tell enough.
  static constexpr size_t kUpperHalves = 2;
  static constexpr size_t kKeys = 8192;

  enum class Answer : uint8_t { kGoOn, kNothing, kSomething };

  static uint32_t key_of(uint32_t word);
  void put(std::string_view bytes, Groups group);
  size_t candidates_in_sip() const;
  Answer look_at(const char* text, size_t starts, bool only_head) const;
  Answer look_closely(const char* text, uint32_t words, uint32_t lines, bool only_head) const;

  bool is_complete_ = true;
  size_t words_ = 0;
  /// By place in the four bytes: the groups that a byte with this lower or upper half may be of.
  alignas(16) std::array<std::array<Groups, kHalves>, kWordBytesMin> lower_{};
  alignas(16) std::array<std::array<Groups, kHalves>, kUpperHalves> upper_{};
  std::bitset<kKeys> keys_;
};

}  // namespace gmesp::screen
