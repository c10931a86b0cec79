// gmespctl registrations: who is registered, on which SA sets.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "control/cli/commands.h"
#include "control/cli/control_connection.h"
#include "control/cli/printable.h"
#include "control/cli/set_json.h"

namespace gmesp::cli {
namespace {

using nlohmann::ordered_json;

const char* state_name(uint32_t state) {
  switch (state) {
    case GMESP_SET_INSTALLING:
      return "installing";
    case GMESP_SET_REGISTRATION:
      return "registration";
    case GMESP_SET_LIVE:
      return "live";
    case GMESP_SET_LINGERING:
      return "lingering";
    default:
      return "unknown";
  }
}

ordered_json seconds_until(uint64_t time_ms) {
  if (time_ms == GMESP_FOREVER) return nullptr;
  const uint64_t now_ms = gmesp_now_ms();
  return time_ms > now_ms ? (time_ms - now_ms) / 1000 : 0;
}

ordered_json json_of(const gmesp_registration_set& set) {
  return {{"number", set.number},
          {"id", id_text(set.data_plane_id)},
          {"state", state_name(set.state)},
          {"is_latest", set.is_latest != 0},
          {"is_outbound", set.is_outbound != 0},
          {"pending_transactions", set.pending_transactions},
          {"left_s", seconds_until(set.not_after_ms)},
          {"dropped_in_s", seconds_until(set.drop_at_ms)},
          {"mode", mode_name(set.mode)},
          {"integrity", integrity_name(set.integrity)},
          {"cipher", cipher_name(set.cipher)},
          {"ue", address_text(set.ue_address)},
          {"local", address_text(set.local_address)},
          {"port_uc", set.port_uc},
          {"port_us", set.port_us},
          {"port_pc", set.port_pc},
          {"port_ps", set.port_ps},
          {"peer_port", set.peer_port},
          {"spi_uc", set.spi_uc},
          {"spi_us", set.spi_us},
          {"spi_pc", set.spi_pc},
          {"spi_ps", set.spi_ps}};
}

ordered_json json_of(const gmesp_registration& registration) {
  ordered_json impus = ordered_json::array();
  for (uint32_t i = 0; i < registration.impu_count; ++i) impus.push_back(registration.impus[i]);
  ordered_json sets = ordered_json::array();
  for (uint32_t i = 0; i < registration.set_count; ++i)
    sets.push_back(json_of(registration.sets[i]));
  return {{"impi", registration.impi},
          {"registration_key", registration.registration_key},
          {"impus", impus},
          {"procedures", registration.procedures},
          {"sets", sets}};
}

std::string user_text(const gmesp_registration& registration) {
  std::string text = printable(registration.impi);
  if (registration.registration_key[0] != '\0')
    text += " (" + printable(registration.registration_key) + ")";
  return text;
}

std::string seconds_text(uint64_t time_ms) {
  const ordered_json seconds = seconds_until(time_ms);
  return seconds.is_null() ? "-" : seconds.dump();
}

/// A heading, or a row: one set of one user.
void print_columns(const std::string& user, const std::string& set, const std::string& state,
                   const std::string& left, const std::string& dropped_in, const std::string& ue,
                   const std::string& ue_ports, const std::string& local_ports,
                   const std::string& mode, const std::string& algorithms,
                   const std::string& marks) {
  fmt::print("{:<32} {:>8} {:<12} {:>7} {:>7} {:<26} {:>11} {:>11} {:<23} {:<24} {}\n", user, set,
             state, left, dropped_in, ue, ue_ports, local_ports, mode, algorithms, marks);
}

void print_heading() {
  print_columns("user", "set", "state", "left s", "drop s", "ue", "uc/us", "pc/ps", "mode",
                "algorithms", "marks");
}

void print_set(const std::string& user, const gmesp_registration_set& set) {
  std::string marks;
  if (set.is_latest != 0) marks += "latest ";
  if (set.is_outbound != 0) marks += "outbound ";
  if (set.pending_transactions != 0) marks += fmt::format("pending={} ", set.pending_transactions);
  if (set.peer_port != 0) marks += fmt::format("peer-port={} ", set.peer_port);
  if (!marks.empty()) marks.pop_back();
  print_columns(user, std::to_string(set.number), state_name(set.state),
                seconds_text(set.not_after_ms), seconds_text(set.drop_at_ms),
                address_text(set.ue_address), fmt::format("{}/{}", set.port_uc, set.port_us),
                fmt::format("{}/{}", set.port_pc, set.port_ps), mode_name(set.mode),
                cipher_name(set.cipher) + "/" + integrity_name(set.integrity), marks);
}

void print_registration(const gmesp_registration& registration) {
  const std::string user = user_text(registration);
  for (uint32_t i = 0; i < registration.set_count; ++i) print_set(user, registration.sets[i]);
  if (registration.set_count == 0) fmt::print("{:<32} {:>8}\n", user, "no set");
  std::string impus;
  for (uint32_t i = 0; i < registration.impu_count; ++i)
    impus += (impus.empty() ? "" : ", ") + printable(registration.impus[i]);
  if (!impus.empty()) fmt::print("  {}\n", impus);
  if (registration.procedures != 0)
    fmt::print("  {} registrations under way\n", registration.procedures);
}

}  // namespace

void registrations(const Common& common, const std::string& impi) {
  const ControlConnection connection(common.control_socket);
  gmesp_registration registration;
  GMESP_INIT(&registration);
  uint64_t shown = 0;
  if (!common.json) print_heading();
  for (uint64_t cursor = 0;; ++shown) {
    const int error = gmesp_next_registration(connection.get(), impi.c_str(), &cursor,
                                              &registration, ControlConnection::kTimeoutMs);
    if (error == GMESP_E_END) break;
    connection.require(error, "registrations");
    if (common.json)
      fmt::print("{}{}", shown == 0 ? "[" : ",\n", json_text(json_of(registration)));
    else
      print_registration(registration);
  }
  if (common.json)
    fmt::print("{}]\n", shown == 0 ? "[" : "");
  else
    fmt::print("{} registrations\n", shown);
}

}  // namespace gmesp::cli
