// gmespctl algorithm withdraw, algorithm restore: by gmesp-control where there is one, since it
// must stop offering what gmespd does not take any more.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "control/cli/commands.h"
#include "control/cli/connection.h"
#include "control/cli/control_connection.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

struct Change {
  const std::string& name;
  int integrity;
  int cipher;
  bool withdraws;
  int removes_live;
};

void change_at(const ControlConnection& control, const Change& change) {
  constexpr int kTimeoutMs = ControlConnection::kTimeoutMs;
  control.require(
      change.withdraws
          ? gmesp_control_withdraw(control.get(), change.integrity, change.cipher,
                                   change.removes_live, kTimeoutMs)
          : gmesp_control_restore(control.get(), change.integrity, change.cipher, kTimeoutMs),
      change.name);
}

void change_at(const Connection& connection, const Change& change) {
  constexpr int kTimeoutMs = Connection::kTimeoutMs;
  connection.require(
      change.withdraws
          ? gmesp_dp_withdraw(connection.get(), change.integrity, change.cipher,
                              change.removes_live, kTimeoutMs)
          : gmesp_dp_restore(connection.get(), change.integrity, change.cipher, kTimeoutMs),
      change.name);
}

/// True if it was done.
bool change_by_control(const Common& common, const Change& change) {
  if (common.names_control_socket) {
    change_at(ControlConnection(common.control_socket), change);
    return true;
  }
  if (common.names_socket) return false;
  const auto control = ControlConnection::find(common.control_socket);
  if (control) change_at(*control, change);
  return control.has_value();
}

}  // namespace

void change_algorithm(const Common& common, const std::string& name, bool withdraw,
                      bool remove_live) {
  const Change change{name, integrity_number(name), cipher_number(name), withdraw,
                      remove_live ? 1 : 0};
  if (change.integrity == 0 && change.cipher == 0)
    throw InputError(
        fmt::format("algorithm: found \"{}\", allowed \"hmac-md5-96\", \"hmac-sha-1-96\", "
                    "\"null\", \"aes-cbc\", \"des-ede3-cbc\"",
                    name));
  const bool is_by_control = change_by_control(common, change);
  if (!is_by_control) change_at(Connection(common.socket, GMESP_WRITER), change);
  if (common.json)
    fmt::print("{}\n", nlohmann::ordered_json{{"algorithm", name}, {"withdrawn", withdraw}}.dump());
  else
    fmt::print("{} {}{}\n", name, withdraw ? "withdrawn" : "restored",
               is_by_control ? " by gmesp-control" : "");
}

}  // namespace gmesp::cli
