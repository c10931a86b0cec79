#include "dataplane/gate/rule_loader.h"

#include <iterator>
#include <utility>

#include "dataplane/screen/rule_file.h"

namespace gmesp::gate {
namespace {

template <class Row>
void append(std::vector<Row>& to, std::vector<Row>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

CompiledRules compile_rules(const RuleSource& source, uint32_t workers) {
  CompiledRules result;
  std::vector<screen::Rule> rules;
  const auto take = [&](screen::RuleFile&& file) {
    append(rules, std::move(file.rules));
    append(result.errors, std::move(file.errors));
  };
  if (source.shipped != screen::RuleAction::kOff)
    take(screen::parse_rules(kShippedRules, std::string(kShippedFile), source.shipped));
  for (const std::string& path : source.files)
    take(screen::read_rules(path, screen::RuleAction::kCount));
  if (result.errors.empty() && !rules.empty())
    result.set = screen::SignatureSet::compile(std::move(rules), workers, result.errors);
  return result;
}

RuleLoader::~RuleLoader() {
  if (thread_.joinable()) thread_.join();
}

bool RuleLoader::start(RuleSource source) {
  if (is_busy() || swap_.has_retired()) return false;
  is_done_.store(false, std::memory_order_relaxed);
  thread_ = std::thread([this, source = std::move(source)] {
    result_ = compile_rules(source, workers_);
    is_done_.store(true, std::memory_order_release);
  });
  return true;
}

bool RuleLoader::finish(std::vector<settings::Error>& errors) {
  if (!is_busy() || !is_done_.load(std::memory_order_acquire)) return false;
  thread_.join();
  errors = std::move(result_.errors);
  if (errors.empty()) swap_.publish(result_.set);
  result_ = {};
  return true;
}

}  // namespace gmesp::gate
