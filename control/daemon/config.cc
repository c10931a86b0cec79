#include "control/daemon/config.h"

#include <algorithm>
#include <set>

#include "control/daemon/config_schema.h"
#include "control/settings/load.h"
#include "control/settings/socket_access.h"
#include "control/settings/writer.h"

namespace gmesp::control {
namespace {

constexpr uint64_t kT1Multiple = 64;  // TS 24.229 5.2.2

void check_ports(const Config::Ports& ports, settings::Reader& reader) {
  constexpr uint32_t kClientPortsMin = 4;  // three stored sets and a new one
  uint32_t count = 0;
  for (size_t i = 0; i < ports.client.size(); ++i) {
    const settings::PortRange& range = ports.client[i];
    const std::string key = "ports.client[" + std::to_string(i) + "]";
    count += uint32_t{range.last} - range.first + 1;
    if (range.first <= ports.server && ports.server <= range.last)
      reader.add(key, std::to_string(range.first) + "-" + std::to_string(range.last),
                 "ranges without ports.server, " + std::to_string(ports.server));
    for (const uint16_t port : ports.unprotected)
      if (range.first <= port && port <= range.last)
        reader.add(key, std::to_string(range.first) + "-" + std::to_string(range.last),
                   "ranges without the unprotected port " + std::to_string(port));
  }
  if (count < kClientPortsMin)
    reader.add("ports.client", std::to_string(count) + " ports", "at least 4 ports");
  if (std::ranges::find(ports.unprotected, ports.server) != ports.unprotected.end())
    reader.add("ports.server", std::to_string(ports.server),
               "a port that is not among ports.unprotected");
}

template <class Value>
void check_once_each(const std::vector<Value>& values, const char* key, bool may_be_empty,
                     settings::Reader& reader) {
  if (values.empty() && !may_be_empty) reader.add(key, "nothing", "at least one");
  if (std::set<Value>(values.begin(), values.end()).size() != values.size())
    reader.add(key, "an algorithm twice", "each at most once");
}

/// SIP's own ports are never protected, also when the list forgets them (R-7.1-15).
void complete_config(Config& config) {
  constexpr uint16_t kSipPort = 5060;
  constexpr uint16_t kSipsPort = 5061;
  for (const uint16_t port : {kSipPort, kSipsPort})
    if (std::ranges::find(config.ports.unprotected, port) == config.ports.unprotected.end())
      config.ports.unprotected.push_back(port);
}

void check_config(const Config& config, settings::Reader& reader) {
  settings::check_socket_access(config.control.socket_mode, config.control.allowed_uids, reader);
  check_ports(config.ports, reader);
  check_once_each(config.security.integrity, "security.integrity", false, reader);
  const bool needs_cipher = config.security.confidentiality == sa::Confidentiality::kRequired;
  check_once_each(config.security.ciphers, "security.ciphers", !needs_cipher, reader);
  constexpr uint32_t kSpisMin = 1024;
  if (config.spis.last < config.spis.first || config.spis.last - config.spis.first < kSpisMin)
    reader.add("spis.last", std::to_string(config.spis.last),
               "at least spis.first + " + std::to_string(kSpisMin));
  for (const auto& [key, path] : {std::pair("control.socket", &config.control.socket),
                                  std::pair("data_plane.socket", &config.data_plane.socket)})
    if (path->size() > settings::kSocketPathBytesMax)
      reader.add(key, settings::toml_quoted(*path),
                 "at most " + std::to_string(settings::kSocketPathBytesMax) + " bytes");
}

}  // namespace

ConfigResult parse_config(std::string_view text, const std::string& file) {
  return settings::parse<ConfigResult>(text, file, [](settings::Reader& reader, Config& config) {
    visit_settings(reader, config);
    reader.finish();
    complete_config(config);
    check_config(config, reader);
  });
}

ConfigResult load_config(const std::string& path) {
  return settings::load(path, parse_config);
}

std::string config_text(const Config& config) {
  settings::Writer writer("gmesp-control");
  Config copy = config;  // the schema hands out references that a reader may write to
  visit_settings(writer, copy);
  return writer.take();
}

sa::Policy policy_of(const Config& config) {
  const auto ms = [](uint32_t seconds) { return uint64_t{seconds} * 1000; };
  const uint64_t t1_64_ms = config.timers.t1_ms * kT1Multiple;
  sa::Policy policy;
  policy.integrity = config.security.integrity;
  policy.ciphers = config.security.ciphers;
  policy.confidentiality = config.security.confidentiality;
  policy.verifies_bytewise = config.security.verify_bytewise;
  policy.port_ps = config.ports.server;
  policy.ports_pc.clear();
  for (const settings::PortRange& range : config.ports.client)
    policy.ports_pc.push_back({range.first, range.last});
  policy.unprotected_ports = config.ports.unprotected;
  policy.spi_min = config.spis.first;
  policy.spi_max = config.spis.last;
  policy.rest_ms = config.timers.rest_s == 0 ? t1_64_ms : ms(config.timers.rest_s);
  policy.temporary_lifetime_ms = ms(config.timers.temporary_s);
  policy.margin_ms = ms(config.timers.margin_s);
  policy.drop_ms = t1_64_ms;
  policy.linger_ms = t1_64_ms;
  policy.near_expiry_ms =
      config.timers.near_expiry_s == 0 ? t1_64_ms : ms(config.timers.near_expiry_s);
  policy.allows_nat_traversal = config.registration.nat_traversal;
  policy.answers_missing_nat_capability = config.registration.answer_missing_nat_capability;
  policy.rejects_clear = config.registration.reject_clear;
  policy.many_registrations = config.registration.many;
  policy.procedures_max = config.registration.procedures_max;
  policy.procedures_per_context_max = config.registration.procedures_per_user_max;
  return policy;
}

ControlPlaneOptions options_of(const Config& config) {
  ControlPlaneOptions options;
  options.policy = policy_of(config);
  options.data_plane.socket = config.data_plane.socket;
  options.data_plane.answer_ms = config.data_plane.answer_ms;
  options.data_plane.retry_ms = config.data_plane.retry_ms;
  options.server.socket = config.control.socket;
  options.server.socket_mode =
      settings::socket_permissions(config.control.socket_mode, config.control.allowed_uids);
  options.server.allowed_uids = config.control.allowed_uids;
  options.server.connections_max = config.control.connections_max;
  options.server.unread_max = config.control.unread_max;
  options.state_path = config.state.path;
  options.state_bytes_max = uint64_t{config.state.megabytes_max} << 20;
  options.registrations_expected = config.registration.expected;
  options.removes_live_on_withdrawal = config.security.withdrawal_removes_live;
  return options;
}

}  // namespace gmesp::control
