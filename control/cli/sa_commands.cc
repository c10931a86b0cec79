// gmespctl sa ...
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using nlohmann::ordered_json;

/// Calls `row` for every live set, with as many queries under way as the connection takes.
template <class Row>
void walk_sets(const Connection& connection, Row&& row) {
  uint64_t index = 0;
  gmesp_set_view view;
  GMESP_INIT(&view);
  for (;;) {
    const int error = gmesp_dp_next_set(connection.get(), &index, &view, Connection::kTimeoutMs);
    if (error == GMESP_E_END) return;
    connection.require(error, "sa list");
    row(view);
  }
}

bool matches(const gmesp_set_view& view, const ListFilter& filter, const uint8_t* ue) {
  const gmesp_sa_set& set = view.set;
  if (ue != nullptr && std::memcmp(ue, set.ue_address, GMESP_ADDRESS_BYTES) != 0 &&
      std::memcmp(ue, set.outer_ue_address, GMESP_ADDRESS_BYTES) != 0)
    return false;
  if (!filter.spi) return true;
  const uint32_t spi = *filter.spi;
  return spi == set.spi_uc || spi == set.spi_us || spi == set.spi_pc || spi == set.spi_ps;
}

void print_row(const gmesp_set_view& view) {
  const ordered_json set = json_of(view);
  uint64_t in = 0;
  uint64_t out = 0;
  uint64_t failed = 0;
  for (size_t i = 0; i < GMESP_SAS_PER_SET; ++i) {
    (i % 2 == 0 ? in : out) += view.sa[i].packets;
    failed += view.sa[i].icv_failures + view.sa[i].replays + view.sa[i].other_drops;
  }
  const std::string left =
      set["left_s"].is_null() ? "-" : std::to_string(set["left_s"].get<uint64_t>());
  fmt::print("{:<20} {:<26} {:>5}/{:<5} {:>5}/{:<5} {:<24} {:>9} {:>9} {:>7} {:>8} {:>8}\n",
             id_text(view.set_id), set["ue"].get<std::string>(), view.set.port_uc, view.set.port_us,
             view.set.port_pc, view.set.port_ps,
             set["cipher"].get<std::string>() + "/" + set["integrity"].get<std::string>(), in, out,
             failed, set["age_s"].get<uint64_t>(), left);
}

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

void sa_add(const Common& common, const std::string& object) {
  std::string text = object == "-" ? read_all(std::cin) : object;
  gmesp_sa_set set;
  set_from_json(text, set);
  explicit_bzero(text.data(), text.size());
  const Connection connection(common.socket, GMESP_WRITER);
  uint64_t set_id = 0;
  const int error = gmesp_dp_install(connection.get(), &set, &set_id, Connection::kTimeoutMs);
  gmesp_sa_set_wipe(&set);
  connection.require(error, "sa add");
  if (common.json)
    fmt::print("{}\n", ordered_json{{"id", id_text(set_id)}}.dump());
  else
    fmt::print("installed {}\n", id_text(set_id));
}

void sa_list(const Common& common, const ListFilter& filter) {
  uint8_t ue[GMESP_ADDRESS_BYTES];
  if (!filter.ue.empty() && gmesp_address_from_text(filter.ue.c_str(), ue) != GMESP_OK)
    throw InputError(fmt::format("--ue: found \"{}\", allowed an IPv4 or IPv6 address", filter.ue));
  const Connection connection(common.socket, GMESP_READER);
  uint64_t shown = 0;
  if (!common.json)
    fmt::print("{:<20} {:<26} {:>11} {:>11} {:<24} {:>9} {:>9} {:>7} {:>8} {:>8}\n", "id", "ue",
               "uc/us", "pc/ps", "algorithms", "in pkts", "out pkts", "failed", "age s", "left s");
  walk_sets(connection, [&](const gmesp_set_view& view) {
    if (!matches(view, filter, filter.ue.empty() ? nullptr : ue)) return;
    if (common.json)
      fmt::print("{}{}", shown == 0 ? "[" : ",\n", json_of(view).dump());
    else
      print_row(view);
    ++shown;
  });
  if (common.json) fmt::print("{}]\n", shown == 0 ? "[" : "");
  if (!common.json) fmt::print("{} sets\n", shown);
}

void sa_show(const Common& common, const std::string& id) {
  const Connection connection(common.socket, GMESP_READER);
  gmesp_set_view view;
  GMESP_INIT(&view);
  connection.require(
      gmesp_dp_get_set(connection.get(), parse_id(id), &view, Connection::kTimeoutMs), id);
  fmt::print("{}\n", json_of(view).dump(common.json ? -1 : 2));
}

void sa_del(const Common& common, const std::vector<std::string>& ids) {
  std::vector<uint64_t> numbers;
  for (const std::string& id : ids) numbers.push_back(parse_id(id));
  const Connection connection(common.socket, GMESP_WRITER);
  for (const uint64_t number : numbers)
    connection.require(gmesp_dp_remove(connection.get(), number, Connection::kTimeoutMs),
                       id_text(number));
  if (common.json)
    fmt::print("{}\n", ordered_json{{"removed", numbers.size()}}.dump());
  else
    fmt::print("removed {} sets\n", numbers.size());
}

void sa_flush(const Common& common, bool confirmed) {
  if (!confirmed) {
    if (!isatty(STDIN_FILENO)) throw InputError("sa flush removes every set: say --yes");
    fmt::print(stderr, "Remove every SA set? Type yes: ");
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "yes") throw InputError("nothing removed");
  }
  const Connection connection(common.socket, GMESP_WRITER);
  uint64_t removed = 0;
  connection.require(gmesp_dp_remove_all(connection.get(), &removed, Connection::kTimeoutMs),
                     "sa flush");
  if (common.json)
    fmt::print("{}\n", ordered_json{{"removed", removed}}.dump());
  else
    fmt::print("removed {} sets\n", removed);
}

}  // namespace gmesp::cli
