// gmespctl sa add, sa del, sa flush: what changes the table set by set, or all at once.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using nlohmann::ordered_json;

}  // namespace

void sa_add(const Common& common, const AddOptions& options) {
  std::string text = add_object(options);
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

int sa_del(const Common& common, const std::vector<std::string>& ids) {
  std::vector<uint64_t> numbers;
  for (const std::string& id : ids) numbers.push_back(parse_id(id));
  const Connection connection(common.socket, GMESP_WRITER);
  uint64_t removed = 0;
  for (const uint64_t number : numbers) {
    const int error = gmesp_dp_remove(connection.get(), number, Connection::kTimeoutMs);
    if (exit_status_of(error) == kNoConnection) connection.require(error, id_text(number));
    if (error == GMESP_OK)
      ++removed;
    else
      fmt::print(stderr, "gmespctl: {}\n",
                 failure_text(id_text(number), error, gmesp_dp_detail(connection.get())));
  }
  if (common.json)
    fmt::print("{}\n", ordered_json{{"removed", removed}}.dump());
  else
    fmt::print("removed {} sets\n", removed);
  return removed == numbers.size() ? kDone : kRefused;
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
