// gmespctl sa list, sa show: live sets with their counters.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using nlohmann::ordered_json;

/// Walks the table with many queries under way: a window asks "the next set from index n, n+1,
/// n+2, ... on". In a full table every answer is another set; in a sparse one most answers repeat,
/// and the window shrinks.
class Walk {
 public:
  explicit Walk(const Connection& connection) : connection_(connection) {
    answers_.resize(gmesp_dp_depth(connection.get()));
    for (gmesp_completion& answer : answers_) GMESP_INIT(&answer);
    GMESP_INIT(&answer_);
  }

  template <class Row>
  void each(Row row) {
    size_t window = std::min(kFirstWindow, answers_.size());
    for (uint64_t from = 0;;) {
      ask(from, window);
      size_t found = 0;
      for (size_t i = 0; i < window; ++i) {
        const gmesp_completion& answer = answers_[i];
        if (answer.error == GMESP_E_END) return;
        connection_.require(answer.error, "sa list");
        if (answer.next_index <= from) continue;  // a repetition
        from = answer.next_index;
        ++found;
        row(answer.view);
      }
      if (2 * found >= window) window = std::min(window * 2, answers_.size());
      if (8 * found < window) window = std::max<size_t>(window / 2, 1);
    }
  }

 private:
  static constexpr size_t kFirstWindow = 16;

  void ask(uint64_t from, size_t window) {
    for (size_t i = 0; i < window; ++i)
      connection_.require(gmesp_dp_submit_next_set(connection_.get(), from + i, i), "sa list");
    for (size_t i = 0; i < window; ++i) {
      connection_.next_completion(answer_);
      answers_[answer_.tag] = answer_;
    }
  }

  const Connection& connection_;
  gmesp_completion answer_;
  std::vector<gmesp_completion> answers_;
};

bool matches(const gmesp_set_view& view, const ListFilter& filter, const uint8_t* ue) {
  const gmesp_sa_set& set = view.set;
  if (ue != nullptr && std::memcmp(ue, set.ue_address, GMESP_ADDRESS_BYTES) != 0 &&
      std::memcmp(ue, set.outer_ue_address, GMESP_ADDRESS_BYTES) != 0)
    return false;
  if (!filter.spi) return true;
  const uint32_t spi = *filter.spi;
  return spi == set.spi_uc || spi == set.spi_us || spi == set.spi_pc || spi == set.spi_ps;
}

std::string text_of(const ordered_json& value) {
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_heading() {
  fmt::print("{:<20} {:<26} {:>11} {:>11} {:<24} {:>9} {:>9} {:>7} {:>8} {:>8}\n", "id", "ue",
             "uc/us", "pc/ps", "algorithms", "in pkts", "out pkts", "failed", "age s", "left s");
}

void print_row(const gmesp_set_view& view) {
  uint64_t in = 0;
  uint64_t out = 0;
  uint64_t failed = 0;
  for (size_t i = 0; i < GMESP_SAS_PER_SET; ++i) {
    (i % 2 == 0 ? in : out) += view.sa[i].packets;
    failed += view.sa[i].icv_failures + view.sa[i].replays + view.sa[i].other_drops;
  }
  const auto left = left_s(view.set);
  fmt::print("{:<20} {:<26} {:>5}/{:<5} {:>5}/{:<5} {:<24} {:>9} {:>9} {:>7} {:>8} {:>8}\n",
             id_text(view.set_id), address_text(view.set.ue_address), view.set.port_uc,
             view.set.port_us, view.set.port_pc, view.set.port_ps, suite_text(view.set), in, out,
             failed, age_s(view), left ? std::to_string(*left) : "-");
}

/// Its fields, a line each, then its four SAs as a table.
void print_set(const ordered_json& set) {
  for (const auto& [field, value] : set.items())
    if (!value.is_object()) fmt::print("{:<16} {}\n", field, text_of(value));
  fmt::print("\n{:<10} {:>12} {:>14} {:>10} {:>12} {:>10} {:>11}\n", "SA", "packets", "bytes",
             "sequence", "icv failures", "replays", "other drops");
  for (const auto& [role, sa] : set["sas"].items())
    fmt::print("{:<10} {:>12} {:>14} {:>10} {:>12} {:>10} {:>11}\n", role, text_of(sa["packets"]),
               text_of(sa["bytes"]), text_of(sa["sequence"]), text_of(sa["icv_failures"]),
               text_of(sa["replays"]), text_of(sa["other_drops"]));
}

}  // namespace

void sa_list(const Common& common, const ListFilter& filter) {
  uint8_t ue[GMESP_ADDRESS_BYTES];
  if (!filter.ue.empty() && gmesp_address_from_text(filter.ue.c_str(), ue) != GMESP_OK)
    throw InputError(fmt::format("--ue: found \"{}\", allowed an IPv4 or IPv6 address", filter.ue));
  const Connection connection(common.socket, GMESP_READER);
  uint64_t shown = 0;
  if (!common.json) print_heading();
  Walk(connection).each([&](const gmesp_set_view& view) {
    if (!matches(view, filter, filter.ue.empty() ? nullptr : ue)) return;
    if (common.json)
      fmt::print("{}{}", shown == 0 ? "[" : ",\n", json_of(view).dump());
    else
      print_row(view);
    ++shown;
  });
  if (common.json)
    fmt::print("{}]\n", shown == 0 ? "[" : "");
  else
    fmt::print("{} sets\n", shown);
}

void sa_show(const Common& common, const std::string& id) {
  const uint64_t set_id = parse_id(id);
  const Connection connection(common.socket, GMESP_READER);
  gmesp_set_view view;
  GMESP_INIT(&view);
  connection.require(gmesp_dp_get_set(connection.get(), set_id, &view, Connection::kTimeoutMs), id);
  if (common.json)
    fmt::print("{}\n", json_of(view).dump());
  else
    print_set(json_of(view));
}

}  // namespace gmesp::cli
