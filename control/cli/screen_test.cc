// gmespctl screen test: the code that gmespd runs, on the messages of a capture.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "control/cli/capture.h"
#include "control/cli/connection.h"
#include "control/cli/printable.h"
#include "control/cli/screen_commands.h"
#include "control/cli/set_json.h"
#include "dataplane/screen/rule_file.h"
#include "dataplane/screen/signature_set.h"

namespace gmesp::cli {
namespace {

using nlohmann::ordered_json;
using screen::SignatureSet;

/// Ends the command with all of them.
[[noreturn]] void refuse(const std::vector<settings::Error>& errors) {
  std::string text;
  for (const settings::Error& error : errors)
    text += (text.empty() ? "" : "\ngmespctl: ") + to_string(error);
  throw InputError(text);
}

std::unique_ptr<SignatureSet> read_set(const ScreenTest& options) {
  screen::RuleAction action{};
  if (!screen::action_of(options.action, action))
    throw InputError(fmt::format(
        "action: found \"{}\", allowed \"off\", \"count\", \"event\" or \"drop\"", options.action));
  std::vector<screen::Rule> rules;
  std::vector<settings::Error> errors;
  for (const std::string& path : options.rules) {
    screen::RuleFile file = screen::read_rules(path, action);
    errors.insert(errors.end(), file.errors.begin(), file.errors.end());
    for (screen::Rule& rule : file.rules) rules.push_back(std::move(rule));
  }
  if (!errors.empty()) refuse(errors);
  auto set = SignatureSet::compile(std::move(rules), 1, errors);
  if (set == nullptr) refuse(errors);
  return set;
}

struct Ports {
  uint16_t first = 0;
  uint16_t last = 0;
  bool has(uint16_t port) const { return first <= port && port <= last; }
};

Ports read_ports(const std::string& text) {
  Ports ports;
  const char* end = text.data() + text.size();
  const auto [dash, is_first] = std::from_chars(text.data(), end, ports.first);
  ports.last = ports.first;
  const char* stop = dash;
  if (is_first == std::errc{} && dash != end && *dash == '-')
    stop = std::from_chars(dash + 1, end, ports.last).ptr;
  if (is_first != std::errc{} || stop != end || stop[-1] == '-' || ports.first == 0 ||
      ports.first > ports.last)
    throw InputError(fmt::format(
        "protected-ports: found \"{}\", allowed \"first-last\" or one port, within 1..65535",
        text));
  return ports;
}

class Test {
 public:
  Test(const Common& common, const ScreenTest& options)
      : common_(common),
        options_(options),
        set_(read_set(options)),
        protected_ports_(read_ports(options.protected_ports)),
        capture_(options.capture) {}

  int run() {
    for (Payload payload; capture_.next(payload);)
      if (options_.to.empty() || options_.to == payload.destination) look_at(payload);
    common_.json ? print_json() : print_table();
    return kDone;
  }

 private:
  /// A segment may hold several messages; what follows one of unknown length is left out.
  void look_at(const Payload& payload) {
    std::span<const uint8_t> rest = payload.bytes;
    while (!rest.empty()) {
      const screen::SipMessage message =
          payload.is_tcp ? screen::read_stream(rest) : screen::read_datagram(rest);
      const bool goes_on =
          payload.is_tcp && message.message_bytes > 0 && message.message_bytes < rest.size();
      const auto bytes = goes_on ? rest.first(message.message_bytes) : rest;
      scan(payload, message, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      rest = rest.subspan(bytes.size());
    }
  }

  void scan(const Payload& payload, const screen::SipMessage& message, std::string_view bytes) {
    const bool is_protected = protected_ports_.has(payload.destination_port);
    const screen::ScanResult result = set_->scan(
        0,
        {message, bytes, is_protected, std::hash<std::string>{}(payload.source), payload.time_ms});
    if (result.matches == 0) return;
    ordered_json names = ordered_json::array();
    for (size_t i = 0; i < std::min<size_t>(result.matches, screen::kMatchesTold); ++i)
      names.push_back(set_->rules()[result.rules[i]].name);
    matches_.push_back({{"packet", payload.packet},
                        {"source", payload.source},
                        {"source_port", payload.source_port},
                        {"destination", payload.destination},
                        {"destination_port", payload.destination_port},
                        {"protocol", payload.is_tcp ? "tcp" : "udp"},
                        {"side", is_protected ? "protected" : "clear"},
                        {"dropped", result.is_dropped},
                        {"rules", names}});
  }

  ordered_json totals() const {
    const screen::ScanTotals totals = set_->totals();
    return {{"packets", capture_.packets()},     {"messages", totals.scanned},
            {"matched", totals.matched},         {"dropped", totals.dropped},
            {"events", totals.events},           {"encrypted_packets", capture_.encrypted()},
            {"fragments", capture_.fragments()}, {"cut_packets", capture_.cut()}};
  }

  void print_json() const {
    ordered_json out = totals();
    ordered_json rules = ordered_json::array();
    for (size_t i = 0; i < set_->rules().size(); ++i) {
      const screen::Rule& rule = set_->rules()[i];
      const screen::RuleCount count = set_->count(i);
      rules.push_back({{"name", rule.name},
                       {"action", screen::action_name(rule.action)},
                       {"where", screen::place_name(rule.where)},
                       {"header", rule.header},
                       {"on", screen::sides_name(rule.sides)},
                       {"matched", count.matched},
                       {"dropped", count.dropped},
                       {"comment", rule.comment}});
    }
    out["rules"] = rules;
    out["matches"] = matches_;
    fmt::print("{}\n", json_text(out));
  }

  void print_table() const {
    for (const ordered_json& match : matches_) {
      std::string names;
      for (const auto& name : match["rules"])
        names += (names.empty() ? "" : ", ") + name.get<std::string>();
      fmt::print("packet {:<8} {} {} > {} {} {} {:<9} {:<7} {}\n", match["packet"].get<uint64_t>(),
                 match["source"].get<std::string>(), match["source_port"].get<uint16_t>(),
                 match["destination"].get<std::string>(), match["destination_port"].get<uint16_t>(),
                 match["protocol"].get<std::string>(), match["side"].get<std::string>(),
                 match["dropped"] ? "drop" : "pass", names);
    }
    fmt::print("{:>10} {:>10} {:<10} {:<32} {}\n", "matched", "dropped", "action", "rule",
               "comment");
    for (size_t i = 0; i < set_->rules().size(); ++i) {
      const screen::RuleCount count = set_->count(i);
      if (count.matched == 0) continue;
      const screen::Rule& rule = set_->rules()[i];
      fmt::print("{:>10} {:>10} {:<10} {:<32} {}\n", count.matched, count.dropped,
                 screen::action_name(rule.action), rule.name, rule.comment);
    }
    const ordered_json all = totals();
    for (const auto& [name, value] : all.items()) fmt::print("{:<18} {}\n", name, value.dump());
  }

  const Common& common_;
  const ScreenTest& options_;
  const std::unique_ptr<SignatureSet> set_;
  const Ports protected_ports_;
  Capture capture_;
  ordered_json matches_ = ordered_json::array();
};

}  // namespace

int screen_test(const Common& common, const ScreenTest& options) {
  return Test(common, options).run();
}

}  // namespace gmesp::cli
