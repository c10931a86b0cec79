// The settings of gmesp-control, read from one TOML file and checked as a whole.
//
// A Config from load_config() is complete. Units stand in the names. Threading: plain values.
// Errors: returned, all at once, never thrown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/daemon/control_plane.h"
#include "control/settings/codec.h"
#include "control/settings/error.h"
#include "control/settings/log.h"

namespace gmesp::control {

struct Config {
  struct Control {
    std::string socket = "/run/gmesp/control.sock";
    uint32_t socket_mode = settings::SocketMode::kAuto;
    std::vector<uint32_t> allowed_uids;
    uint32_t connections_max = 256;
    uint32_t unread_max = 4096;
  } control;

  struct DataPlane {
    std::string socket = "/run/gmesp/gmespd.sock";
    uint32_t answer_ms = 1000;
    uint32_t retry_ms = 200;
  } data_plane;

  struct State {
    std::string path = "/run/gmesp/registrations";
    uint32_t megabytes_max = 2048;
  } state;

  struct Security {
    std::vector<sa::Integrity> integrity = {sa::Integrity::kHmacSha1_96,
                                            sa::Integrity::kHmacMd5_96};
    std::vector<sa::Cipher> ciphers = {sa::Cipher::kAesCbc, sa::Cipher::kDesEde3Cbc};
    sa::Confidentiality confidentiality = sa::Confidentiality::kWhenSupported;
    bool verify_bytewise = false;
    bool withdrawal_removes_live = false;
  } security;

  struct Ports {
    /// Those that gmespd protects unless it is told otherwise.
    uint16_t server = 5062;
    std::vector<settings::PortRange> client = {{5063, 5099}};
    std::vector<uint16_t> unprotected = {5060, 5061};
  } ports;

  struct Spis {
    uint32_t first = 0x10000;
    uint32_t last = UINT32_MAX;
  } spis;

  struct Timers {
    uint32_t t1_ms = 2000;
    uint32_t temporary_s = 240;
    uint32_t margin_s = 30;
    uint32_t near_expiry_s = 0;
    uint32_t rest_s = 0;
  } timers;

  struct Registration {
    bool many = false;
    bool nat_traversal = true;
    bool answer_missing_nat_capability = false;
    bool reject_clear = false;
    uint32_t procedures_max = 65'536;
    uint32_t procedures_per_user_max = 4;
    uint32_t expected = 10'000;
  } registration;

  struct Log {
    settings::LogLevel level = settings::LogLevel::kInfo;
    settings::LogFormat format = settings::LogFormat::kText;
  } log;
};

struct ConfigResult {
  Config config;  ///< of use only without errors
  std::vector<settings::Error> errors;
};

ConfigResult load_config(const std::string& path);
/// `file` is what errors name.
ConfigResult parse_config(std::string_view text, const std::string& file);
/// The configuration as commented TOML that load_config() reads back as the same.
std::string config_text(const Config& config);

sa::Policy policy_of(const Config& config);
ControlPlaneOptions options_of(const Config& config);

}  // namespace gmesp::control
