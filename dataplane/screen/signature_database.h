// Patterns of one place as one Hyperscan database, and the bounds every pattern must keep.
//
// Threading: built by one thread, then read by any. Ownership: frees its database. Errors:
// returned, each with file, line, rule, what was found and what is allowed.
#pragma once

#include <hs/hs.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "control/settings/error.h"
#include "dataplane/screen/rule.h"

namespace gmesp::screen {

/// pattern_positions() of one rule and of all rules of a set.
inline constexpr uint64_t kPatternPositionsMax = 2048;
inline constexpr uint64_t kSetPositionsMax = 100'000;
/// Of one pattern compiled alone.
inline constexpr size_t kPatternDatabaseBytesMax = 1 << 20;
inline constexpr uint32_t kPatternCompileMsMax = 1000;
/// Of one pattern over a message of kTrialBytes that is hard for it, the best of several runs.
inline constexpr uint32_t kPatternScanNsMax = 250'000;
inline constexpr size_t kTrialBytes = 1400;
/// Of one place.
inline constexpr size_t kDatabaseBytesMax = 64 << 20;

/// CPU time of this thread: what a pattern costs, however busy the machine is.
std::chrono::nanoseconds thread_cpu_time();

/// `found` about a rule's pattern, at the place where it stands.
settings::Error pattern_error(const Rule& rule, std::string found, std::string allowed);

/// Compiles the pattern alone and tries it. False, and an error: Hyperscan refuses it, it matches
/// the empty text, or it is beyond a bound. Takes about kPatternCompileMsMax at most.
bool check_pattern(const Rule& rule, uint32_t scan_ns_max, std::vector<settings::Error>& errors);

class SignatureDatabase {
 public:
  struct Pattern {
    const char* text;  ///< has passed check_pattern()
    uint32_t number;   ///< what a match tells
    const Rule* rule;  ///< what an error names
  };
  /// False, and an error: together they are too large.
  bool compile(std::span<const Pattern> patterns, std::vector<settings::Error>& errors);

  explicit operator bool() const { return database_ != nullptr; }
  const hs_database_t* get() const { return database_.get(); }
  size_t bytes() const;

 private:
  struct Free {
    void operator()(hs_database_t* database) const { hs_free_database(database); }
  };
  std::unique_ptr<hs_database_t, Free> database_;
};

}  // namespace gmesp::screen
