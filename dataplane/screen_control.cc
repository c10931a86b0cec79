#include "dataplane/screen_control.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "dataplane/pipeline_options.h"
#include "dataplane/screen/rule_file.h"

namespace gmesp::dataplane {
namespace {

using shm::Status;

constexpr size_t kFilesMax = 16;

template <size_t N>
void copy_text(char (&to)[N], std::string_view from) {
  const size_t count = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), count);
  to[count] = '\0';
}

std::string all_of(const std::vector<settings::Error>& errors) {
  std::string text = "rules refused:";
  for (const settings::Error& error : errors) text += "\n  " + to_string(error);
  return text;
}

/// As much as an answer holds; the log has all.
std::string first_of(const std::vector<settings::Error>& errors) {
  std::string text = to_string(errors.front());
  if (errors.size() > 1) text = fmt::format("{} errors, see the log; {}", errors.size(), text);
  return text;
}

}  // namespace

ScreenControl::ScreenControl(const Config& config, uint32_t workers, rte_rcu_qsbr* readers)
    : is_on_(config.screen.enabled),
      configured_(rule_source(config)),
      readers_(readers),
      loader_(swap_, workers) {
  if (!is_on_) return;
  gate::CompiledRules compiled = gate::compile_rules(configured_, workers);
  if (!compiled.errors.empty()) throw std::runtime_error(all_of(compiled.errors));
  const size_t rules = compiled.set == nullptr ? 0 : compiled.set->rules().size();
  swap_.publish(compiled.set);
  spdlog::info("SIP screen: {} rules", rules);
}

bool ScreenControl::on_command(shm::ConnectionId connection, uint32_t uid,
                               const shm::Command& command, shm::Completion& completion) {
  std::string detail;
  Status status = Status::kOk;
  if (uid != 0 && uid != geteuid()) {
    status = Status::kRulesNotAllowed;
    detail = fmt::format("user {}, allowed are 0 and {}", uid, geteuid());
  } else if (!is_on_) {
    status = Status::kScreenOff;
    detail = "found [screen] enabled = false";
  } else if (static_cast<shm::CommandKind>(command.kind) == shm::CommandKind::kAddRuleFile) {
    status = add_file(connection, command, detail);
  } else {
    status = load(connection, command, detail);
    if (status == Status::kOk) {
      asked_by_ = connection;
      pending_ = completion;
      return false;
    }
  }
  completion.status = static_cast<uint32_t>(status);
  if (status != Status::kOk) copy_text(completion.body.detail, detail);
  return true;
}

Status ScreenControl::add_file(shm::ConnectionId connection, const shm::Command& command,
                               std::string& detail) {
  const char* text = command.body.text;
  const std::string path(text, strnlen(text, sizeof command.body.text));
  std::vector<std::string>& files = added_[connection];
  if (path.size() == sizeof command.body.text || !path.starts_with('/'))
    detail = "rule file: allowed is an absolute path that ends with a zero";
  else if (files.size() == kFilesMax)
    detail = fmt::format("more than {} rule files", kFilesMax);
  if (!detail.empty()) {
    added_.erase(connection);
    return Status::kBadArgument;
  }
  files.push_back(path);
  return Status::kOk;
}

Status ScreenControl::load(shm::ConnectionId connection, const shm::Command& command,
                           std::string& detail) {
  gate::RuleSource source = configured_;
  const auto which = static_cast<shm::RuleLoad>(command.body.argument.value);
  if (which == shm::RuleLoad::kAdded) {
    source.files = std::move(added_[connection]);
  } else if (which != shm::RuleLoad::kConfigured) {
    detail = fmt::format("load {}, allowed are 0 and 1", command.body.argument.value);
    return Status::kBadArgument;
  }
  added_.erase(connection);
  if (is_swapping_ || !loader_.start(std::move(source))) return Status::kRulesBusy;
  return Status::kOk;
}

void ScreenControl::tick(const Answer& answer) {
  std::vector<settings::Error> errors;
  if (loader_.finish(errors)) {
    if (!errors.empty()) return refuse(errors, answer);
    is_swapping_ = true;
    token_ = rte_rcu_qsbr_start(readers_);
  }
  if (!is_swapping_ || rte_rcu_qsbr_check(readers_, token_, false) != 1) return;
  is_swapping_ = false;
  swap_.end_grace_period();
  ++loads_;
  const screen::SignatureSet* set = swap_.current();
  pending_.value = set == nullptr ? 0 : set->rules().size();
  spdlog::info("SIP screen: {} rules in force on command", pending_.value);
  answer(asked_by_, pending_);
}

void ScreenControl::refuse(const std::vector<settings::Error>& errors, const Answer& answer) {
  ++loads_refused_;
  spdlog::warn("{}", all_of(errors));
  pending_.status = static_cast<uint32_t>(Status::kRulesRefused);
  copy_text(pending_.body.detail, first_of(errors));
  answer(asked_by_, pending_);
}

Status ScreenControl::fill_rule(uint64_t row, shm::Completion& completion) const {
  if (!is_on_) return Status::kScreenOff;
  const screen::SignatureSet* set = swap_.current();
  if (set == nullptr || row >= set->rules().size()) return Status::kEnd;
  const screen::Rule& rule = set->rules()[row];
  const screen::RuleCount count = set->count(row);
  shm::RuleRow& to = completion.body.rule;
  to.matched = count.matched;
  to.dropped = count.dropped;
  copy_text(to.name, rule.name);
  copy_text(to.action, screen::action_name(rule.action));
  copy_text(to.where, screen::place_name(rule.where));
  copy_text(to.sides, screen::sides_name(rule.sides));
  copy_text(to.header, rule.header);
  copy_text(to.comment, rule.comment);
  return Status::kOk;
}

std::string ScreenControl::rule_name(uint64_t row) const {
  const screen::SignatureSet* set = swap_.current();
  return set != nullptr && row < set->rules().size() ? set->rules()[row].name : "gone";
}

screen::ScanTotals ScreenControl::totals() const {
  const screen::SignatureSet* set = swap_.current();
  return set == nullptr ? screen::ScanTotals{} : set->totals();
}

}  // namespace gmesp::dataplane
