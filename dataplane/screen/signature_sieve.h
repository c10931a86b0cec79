// Which places of a message may match any rule: one look at the message as a whole, with every
// rule's pattern_anywhere(). It may say yes too often and never no wrongly.
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

#include "dataplane/screen/rule.h"
#include "dataplane/screen/signature_database.h"

namespace gmesp::screen {

/// Of one pattern over kTrialBytes. A slower one is looked for in its place alone.
inline constexpr uint32_t kSievePatternScanNsMax = 20'000;

/// Bits of (protected, response).
using Contexts = uint8_t;
/// place_bit()s.
using PlaceSet = uint8_t;
inline constexpr PlaceSet kAllPlaces = 0xff;

constexpr PlaceSet place_bit(RulePlace place) {
  return static_cast<PlaceSet>(1 << static_cast<unsigned>(place));
}

struct SieveResult {
  PlaceSet places = 0;
  bool may_fold = false;  ///< a line starts with a blank, in the header block or in the body
};

class SignatureSieve {
 public:
  /// `has_one_name`: the header of `rule` has no compact form. The rule outlives the sieve.
  void add(const Rule& rule, Contexts contexts, bool has_one_name);
  void compile();

  /// `bytes` is what a message was read from; `context` is one bit. Null `scratch`: no rules.
  SieveResult look(std::string_view bytes, Contexts context, hs_scratch_t* scratch) const;

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

  static constexpr size_t kContexts = 4;

  std::vector<Entry> entries_;
  /// By context: places that may match whatever the message says, and all that have rules.
  std::array<PlaceSet, kContexts> always_{}, places_{};
  SignatureDatabase database_;
};

}  // namespace gmesp::screen
