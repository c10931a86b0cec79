// Which places of the messages in a packet may match any rule: one look at the packet's bytes,
// before any message is read, with every rule's pattern_anywhere(). It may say yes too often and
// never no wrongly, since what a rule looks at is a piece of these bytes unless a header is folded.
// Where each of a few rules has a word that it cannot match without, the words alone are looked for
// first.
//
// A place with a rule for which this is not known, or would be slow, always may match.
//
// Threading: built by one thread, then read by any, each with a scratch of its own. Errors: none; a
// sieve that cannot be built lets every place through.
#pragma once

#include <hs/hs.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/screen/literal_filter.h"
#include "dataplane/screen/rule.h"
#include "dataplane/screen/signature_database.h"

namespace gmesp::screen {

/// Of one pattern over kTrialBytes. A slower one is looked for in its place alone.
inline constexpr uint32_t kSievePatternScanNsMax = 20'000;

/// Bits of (protected, response).
using Contexts = uint8_t;
constexpr Contexts context_bit(bool is_protected, bool is_response) {
  return static_cast<Contexts>(1 << ((is_protected ? 2 : 0) + (is_response ? 1 : 0)));
}
/// place_bit()s.
using PlaceSet = uint8_t;
inline constexpr PlaceSet kAllPlaces = 0xff;

constexpr PlaceSet place_bit(RulePlace place) {
  return static_cast<PlaceSet>(1 << static_cast<unsigned>(place));
}

/// As it is made: nothing is ruled out.
struct SieveResult {
  PlaceSet places = kAllPlaces;
  bool may_fold = true;  ///< a line starts with a blank, in a header block or in a body

  /// No rule matches.
  bool is_nothing() const { return places == 0 && !may_fold; }
};

/// What a look is about.
struct SieveInput {
  std::string_view bytes;  ///< of a datagram, or of a segment with any number of messages
  bool is_datagram = true;
  bool is_protected = false;
};

class SignatureSieve {
 public:
  /// `has_one_name`: the header of `rule` has no compact form. The rule outlives the sieve.
  void add(const Rule& rule, Contexts contexts, bool has_one_name);
  void compile();

  /// Null `scratch`: no rules.
  SieveResult look(const SieveInput& input, hs_scratch_t* scratch) const;

  const SignatureDatabase& database() const { return database_; }

 private:
  struct Entry {
    std::string pattern;
    const Rule* rule;
    Contexts contexts;
    PlaceSet place;
  };
  struct Look;

  static int on_match(unsigned entry, unsigned long long, unsigned long long, unsigned, void* look);
  void let_through(Contexts contexts, PlaceSet place);

  static constexpr size_t kSides = 2;

  std::vector<Entry> entries_;
  /// In clear, protected: places that may match whatever a message says, and all that have rules.
  std::array<PlaceSet, kSides> always_{}, places_{};
  LiteralFilter filter_;
  SignatureDatabase database_;
};

}  // namespace gmesp::screen
