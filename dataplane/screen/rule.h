// What a rule of the SIP screen says: which text, at which place of which messages, and what
// follows.
//
// Threading: plain values.
#pragma once

#include <cstdint>
#include <string>

namespace gmesp::screen {

/// By rising weight: of several rules that match, the heaviest action decides.
enum class RuleAction : uint8_t {
  kOff,        ///< the rule is not compiled
  kCount,      ///< counted, and the message goes on
  kEvent,      ///< counted and reported, and the message goes on
  kRateLimit,  ///< dropped where a source sends more than Rule::per_second
  kDrop,
};

enum class RulePlace : uint8_t {
  kRequestLine,
  kHeader,   ///< the value of every header named Rule::header
  kHeaders,  ///< all headers with their names, a header a line
  kBody,
  kMessage,  ///< all of it, byte by byte as it came
};

struct Rule {
  /// Bits of `sides`: how a message came.
  static constexpr uint8_t kClear = 1;
  static constexpr uint8_t kProtected = 2;
  /// Bits of `kinds`: what it is.
  static constexpr uint8_t kRequest = 1;
  static constexpr uint8_t kResponse = 2;

  std::string name;     ///< unique in its set
  std::string pattern;  ///< Hyperscan syntax; empty: the header is there at all
  RulePlace where = RulePlace::kMessage;
  std::string header;  ///< RulePlace::kHeader: its name, long or compact
  uint8_t sides = kClear | kProtected;
  uint8_t kinds = kRequest | kResponse;
  RuleAction action = RuleAction::kCount;
  uint32_t per_second = 0;  ///< RuleAction::kRateLimit: messages of one source on one worker
  std::string comment;      ///< why there is such a rule

  std::string file;   ///< where it was read; what errors name
  uint32_t line = 0;  ///< of its pattern, or of the rule if it has none
  uint32_t column = 0;

  friend bool operator==(const Rule&, const Rule&) = default;
};

}  // namespace gmesp::screen
