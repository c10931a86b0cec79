#include "control/settings/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace gmesp::settings {
namespace {

/// Edit distance, for "did you mean"; both sides are short.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] != b[j] ? 1 : 0);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// The known name that was probably meant, or nothing.
std::string_view nearest(std::string_view name, const std::vector<std::string>& known) {
  constexpr size_t kNameBytesMax = 64;
  if (name.size() > kNameBytesMax) return {};
  std::string_view best;
  size_t best_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : known)
    if (const size_t d = distance(name, candidate); d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  return best;
}

std::string printable(std::string_view name) {
  constexpr size_t kShownBytesMax = 64;
  const bool bare = !name.empty() && name.size() <= kShownBytesMax &&
                    std::all_of(name.begin(), name.end(), [](unsigned char c) {
                      return std::isalnum(c) || c == '_' || c == '-';
                    });
  return bare ? std::string(name) : describe(toml::value<std::string>(std::string(name)));
}

}  // namespace

Reader::Reader(const toml::table& root, std::string file) : file_(std::move(file)) {
  enter(root, "");
}

void Reader::finish() {
  leave();
}

void Reader::enter(const toml::table& table, const std::string& path) {
  frames_.push_back({&table, path, {}});
  prefix_ = path.empty() ? "" : path + '.';
  positions_[path] = table.source().begin;
}

void Reader::leave() {
  report_unknown(frames_.back());
  frames_.pop_back();
  const std::string path = frames_.empty() ? "" : frames_.back().path;
  prefix_ = path.empty() ? "" : path + '.';
}

const toml::node* Reader::take(const char* name) {
  Frame& frame = frames_.back();
  frame.known.emplace_back(name);
  const toml::node* node = frame.table->get(name);
  if (node != nullptr) positions_[prefix_ + name] = node->source().begin;
  return node;
}

const toml::table* Reader::take_table(const char* name) {
  const toml::node* node = take(name);
  if (node == nullptr) return nullptr;
  if (!node->is_table())
    add(prefix_ + name, node->source(), describe(*node), fmt::format("a table, [{}]", name));
  return node->as_table();
}

const toml::array* Reader::take_array(const char* name, const std::string& allowed) {
  const toml::node* node = take(name);
  if (node == nullptr) return nullptr;
  if (!node->is_array())
    add(prefix_ + name, node->source(), describe(*node), "an array, each of " + allowed);
  return node->as_array();
}

const toml::array* Reader::take_array_of_tables(const char* name) {
  const toml::node* node = take(name);
  if (node == nullptr) return nullptr;
  const toml::array* array = node->as_array();
  const bool all_tables =
      array != nullptr && !array->empty() &&
      std::all_of(array->begin(), array->end(), [](const toml::node& n) { return n.is_table(); });
  if (all_tables) return array;
  add(prefix_ + name, node->source(), describe(*node),
      fmt::format("tables, each begun by [[{}]]", name));
  return nullptr;
}

void Reader::add(const std::string& key, const toml::source_region& where, const std::string& found,
                 const std::string& allowed) {
  errors_.push_back({file_, where.begin.line, where.begin.column, key, found, allowed});
}

void Reader::add(const std::string& key, const std::string& found, const std::string& allowed) {
  const size_t dot = key.rfind('.');
  auto at = positions_.find(key);
  if (at == positions_.end()) at = positions_.find(key.substr(0, dot == key.npos ? 0 : dot));
  const toml::source_position position =
      at == positions_.end() ? toml::source_position{} : at->second;
  errors_.push_back({file_, position.line, position.column, key, found, allowed});
}

bool Reader::has_error_under(const std::string& key) const {
  return std::any_of(errors_.begin(), errors_.end(), [&](const Error& error) {
    return error.key == key || error.key.starts_with(key + '[');
  });
}

std::vector<Error> Reader::take_errors() {
  std::stable_sort(errors_.begin(), errors_.end(), [](const Error& a, const Error& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return std::move(errors_);
}

void Reader::report_unknown(const Frame& frame) {
  for (const auto& [key, node] : *frame.table) {
    const std::string_view name = key.str();
    if (std::find(frame.known.begin(), frame.known.end(), name) != frame.known.end()) continue;
    std::string allowed = fmt::format("{}", fmt::join(frame.known, ", "));
    if (const std::string_view meant = nearest(name, frame.known); !meant.empty())
      allowed = fmt::format("did you mean {}? All: {}", meant, allowed);
    add((frame.path.empty() ? "" : frame.path + '.') + printable(name), key.source(),
        node.is_table() || node.is_array_of_tables() ? "an unknown table" : "an unknown key",
        allowed);
  }
}

}  // namespace gmesp::settings
