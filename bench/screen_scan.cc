// What the SIP screen's rules cost a message: nanoseconds and Gbit/s of one core, reading the
// message and matching it apart, for the shipped rules and for made ones.
//
// One line per set of rules and message size: the median of rounds. "one database" is the other way
// to do it, all patterns over the whole message at once, for comparison.
#include <hs/hs.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "dataplane/screen/rule_file.h"
#include "dataplane/screen/signature_set.h"
#include "made_sip.h"

namespace {

using namespace gmesp::screen;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 101;
constexpr int kRoundMessages = 512;
constexpr int kTexts = 64;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Of this thread, so that what else the machine does counts little.
double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

/// Nanoseconds a message.
template <class Each>
double measure(const std::vector<std::string>& texts, Each each) {
  std::vector<double> rounds;
  for (int round = 0; round < kRounds; ++round) {
    const double start = cpu_ns();
    for (int i = 0; i < kRoundMessages; ++i) each(texts[static_cast<size_t>(i % kTexts)]);
    rounds.push_back((cpu_ns() - start) / kRoundMessages);
  }
  return median(rounds);
}

SipMessage read(const std::string& text) {
  return read_datagram({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

/// All patterns in one database over the whole message.
double one_database_ns(const std::vector<Rule>& rules, const std::vector<std::string>& texts) {
  std::vector<const char*> patterns;
  std::vector<unsigned> flags, ids;
  for (const Rule& rule : rules) {
    patterns.push_back(rule.pattern.empty() ? rule.header.c_str() : rule.pattern.c_str());
    flags.push_back(HS_FLAG_SINGLEMATCH);
    ids.push_back(static_cast<unsigned>(ids.size()));
  }
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  hs_scratch_t* scratch = nullptr;
  if (hs_compile_multi(patterns.data(), flags.data(), ids.data(), static_cast<unsigned>(ids.size()),
                       HS_MODE_BLOCK, nullptr, &database, &error) != HS_SUCCESS ||
      hs_alloc_scratch(database, &scratch) != HS_SUCCESS)
    return 0;
  const double ns = measure(texts, [&](const std::string& text) {
    hs_scan(
        database, text.data(), static_cast<unsigned>(text.size()), 0, scratch,
        [](unsigned, unsigned long long, unsigned long long, unsigned, void*) { return 0; },
        nullptr);
  });
  hs_free_scratch(scratch);
  hs_free_database(database);
  return ns;
}

int measure(const char* name, const std::vector<Rule>& rules) {
  std::vector<gmesp::settings::Error> errors;
  const auto start = Clock::now();
  const auto set = SignatureSet::compile(rules, 1, errors);
  const std::chrono::duration<double, std::milli> took = Clock::now() - start;
  if (set == nullptr) {
    std::fprintf(stderr, "%s\n", to_string(errors.front()).c_str());
    return 1;
  }
  std::printf("%s: %zu rules, compiled in %.0f ms, %zu KiB, scratch %zu KiB a worker\n", name,
              rules.size(), took.count(), set->database_bytes() / 1024,
              set->scratch_bytes() / 1024);
  const std::pair<const char*, size_t> kKinds[] = {
      {"REGISTER", 700}, {"MESSAGE", 300}, {"INVITE", 600}, {"INVITE", 1400}};
  std::mt19937 random(1);
  uint64_t sink = 0;
  for (const auto& [method, bytes] : kKinds) {
    std::vector<std::string> texts;
    for (int i = 0; i < kTexts; ++i)
      texts.push_back(gmesp::bench::made_message(method, bytes, random));
    const double read_ns =
        measure(texts, [&](const std::string& text) { sink += read(text).header_fields; });
    std::vector<SipMessage> messages;
    for (const std::string& text : texts) messages.push_back(read(text));
    size_t at = 0;
    const double match_ns = measure(texts, [&](const std::string& text) {
      const SipMessage& sip = messages[at++ % kTexts];
      const SieveResult left = set->sift(0, {text, true, false});
      if (!left.is_nothing()) sink += set->scan(0, {sip, text, false, 1, 1, left}).matches;
    });
    const double bits = 8.0 * static_cast<double>(bytes);
    std::printf(
        "  %-9s %5zu B  read %6.0f ns  match %6.0f ns  both %6.2f Gbit/s  one database"
        " %6.0f ns\n",
        method, bytes, read_ns, match_ns, bits / (read_ns + match_ns),
        one_database_ns(rules, texts));
  }
  return sink == 0;
}

}  // namespace

int main() {
  const RuleFile shipped = read_rules(GMESP_SHIPPED_RULES, RuleAction::kCount);
  if (!shipped.errors.empty()) return 1;
  return measure("shipped", shipped.rules) | measure("made", gmesp::bench::made_rules(100)) |
         measure("made", gmesp::bench::made_rules(1000));
}
