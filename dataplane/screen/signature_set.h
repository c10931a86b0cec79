// Rules compiled for N workers: what a message matches, and how often each rule did.
//
// Every place has a database of its own. Most messages match nothing, and sift() tells so by one
// look at the bytes of the packet: this is several times faster than reading a message and looking
// at its places one by one.
//
// Threading: compile() may take seconds, on any thread but a worker's or one that must answer. Then
// each worker calls sift() and scan() with its own number; counts are read by one other thread at
// any time. Memory: all taken by compile(); the others take none. Errors: of compile(), returned
// all at once.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "control/settings/error.h"
#include "dataplane/screen/rule.h"
#include "dataplane/screen/rule_limiter.h"
#include "dataplane/screen/signature_database.h"
#include "dataplane/screen/signature_sieve.h"
#include "dataplane/screen/sip_message.h"

namespace gmesp::screen {

/// Of all files together.
inline constexpr size_t kSetRulesMax = 4096;
/// Headers that rules look into by name; each has a database.
inline constexpr size_t kRuleHeadersMax = 64;
inline constexpr size_t kScratchBytesMax = 8 << 20;
/// CPU time of checking all patterns.
inline constexpr uint32_t kSetCompileMsMax = 30'000;
/// Rules told of one message; all are counted.
inline constexpr size_t kMatchesTold = 16;

struct ScanInput {
  const SipMessage& message;
  /// What `message` was read from.
  std::string_view bytes;
  bool is_protected = false;
  uint64_t source = 0;  ///< a seeded hash of the source address
  uint64_t now_ms = 0;
  SieveResult left = {};  ///< what sift() leaves of a packet that holds `bytes`
};

struct ScanResult {
  bool is_dropped = false;
  bool has_event = false;  ///< a rule that asks for an event matched
  uint32_t heaviest = 0;   ///< number of the matched rule with the heaviest action
  uint32_t matches = 0;    ///< of which `rules` has the first kMatchesTold
  std::array<uint16_t, kMatchesTold> rules;
};

struct RuleCount {
  uint64_t matched = 0;  ///< messages
  uint64_t dropped = 0;  ///< of these, those that this rule alone would have dropped
};

/// Messages by what became of them.
struct ScanTotals {
  uint64_t scanned = 0;  ///< and packets of which sift() left nothing
  uint64_t matched = 0;
  uint64_t dropped = 0;
  uint64_t events = 0;
  uint64_t failed = 0;  ///< scans that Hyperscan ended with an error; such a message goes on
};

class SignatureSet {
 public:
  /// Null, and errors, if any rule cannot be taken. `workers` is at least 1.
  static std::unique_ptr<SignatureSet> compile(std::vector<Rule> rules, uint32_t workers,
                                               std::vector<settings::Error>& errors);
  ~SignatureSet();
  SignatureSet(const SignatureSet&) = delete;
  SignatureSet& operator=(const SignatureSet&) = delete;

  SieveResult sift(uint32_t worker, const SieveInput& input);
  /// Requests and responses only; anything else matches nothing. Folded headers are looked at
  /// unfolded (RFC 3261 7.3.1).
  ScanResult scan(uint32_t worker, const ScanInput& input);

  /// In the order of their file; their numbers are those of ScanResult.
  const std::vector<Rule>& rules() const { return rules_; }
  RuleCount count(size_t rule) const;
  ScanTotals totals() const;
  /// Counts go on from those of `before`, rule by rule of the same name; what was taken over
  /// earlier is replaced. By the thread that reads counts.
  void count_on_from(const SignatureSet& before);

  uint32_t workers() const { return static_cast<uint32_t>(lanes_.size()); }
  size_t database_bytes() const;
  size_t scratch_bytes() const;  ///< of one worker

 private:
  struct Place {
    SignatureDatabase database;
    std::vector<uint32_t> rules;  ///< those with a pattern
    Contexts contexts = 0;
  };
  struct Header : Place {
    HeaderId id;
    std::string name;               ///< lower case
    std::vector<uint32_t> present;  ///< rules without a pattern
  };
  /// What scan() needs of a rule.
  struct Hot {
    Contexts contexts;
    RuleAction action;
    uint32_t per_second;
  };
  struct Lane;
  struct Scan;

  SignatureSet(std::vector<Rule> rules, uint32_t workers);
  bool place_rules(std::vector<settings::Error>& errors);
  Header* header_of(const Rule& rule);
  const Header* header_of(const HeaderField& field) const;
  bool compile_places(std::vector<settings::Error>& errors);
  void compile_sieve();
  bool give_scratch(std::vector<settings::Error>& errors);
  std::vector<Place*> places();
  std::vector<const hs_database_t*> databases();

  static Contexts contexts_of(const Rule& rule);
  static size_t name_bucket(std::string_view name);
  static int on_match(unsigned rule, unsigned long long, unsigned long long, unsigned, void* scan);
  void match(Scan& scan, uint32_t rule) const;
  void scan_text(Scan& scan, const Place& place, std::string_view text) const;
  void scan_unfolded(Scan& scan, const Place& place, std::string_view text) const;
  void scan_headers(Scan& scan) const;
  ScanResult finish(Scan& scan) const;

  static constexpr size_t kIds = 256;
  static constexpr size_t kNameBuckets = 64;

  const std::vector<Rule> rules_;
  std::vector<Hot> hot_;
  SignatureSieve sieve_;
  Place request_line_, header_block_, body_, message_;
  std::vector<std::unique_ptr<Header>> headers_;
  std::array<const Header*, kIds> header_by_id_{};
  std::array<std::vector<const Header*>, kNameBuckets> headers_by_name_;
  Contexts header_contexts_ = 0;
  std::vector<std::unique_ptr<Lane>> lanes_;

  std::vector<RuleCount> counted_before_;
  ScanTotals totals_before_;
};

}  // namespace gmesp::screen
