// The settings of gmespd, read from one TOML file and checked as a whole before anything starts.
//
// A Config from load_config() or parse_config() is complete: what the file left to be computed (a
// host MTU, the memory size, "{instance}" in paths) has its value. A default-made Config{} still
// holds the zeros that stand for "computed". Units stand in the names. Threading: plain values.
// Errors: returned, all at once, never thrown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/settings/codec.h"
#include "control/settings/error.h"
#include "control/settings/log.h"
#include "crypto/engine.h"
#include "crypto/suite.h"
#include "dataplane/screen/clear_policy.h"
#include "dataplane/screen/rule.h"

namespace gmesp::dataplane {

/// A path that the machine decides (sa_memory_place.h).
inline constexpr const char* kAutoMemoryPath = "auto";

struct Config {
  struct Instance {
    std::string name = "gmespd";
    friend bool operator==(const Instance&, const Instance&) = default;
  } instance;

  struct Control {
    std::string socket = "/run/gmesp/{instance}.sock";
    uint32_t socket_mode = settings::SocketMode::kAuto;
    std::vector<uint32_t> allowed_uids;
    uint32_t connections_max = 16;
    friend bool operator==(const Control&, const Control&) = default;
  } control;

  struct Pair {
    std::string access;  ///< PCI address or "driver,argument=value,..."
    std::string host;
    uint16_t access_mtu_bytes = 1500;
    uint16_t host_mtu_bytes = 0;  ///< 0: access_mtu_bytes - 100, so that ESP fits; at least 1280
    bool promiscuous = true;
    bool share_mac = true;  ///< a TAP on the host side takes the access port's MAC
    uint16_t queue_descriptors = 1024;
    friend bool operator==(const Pair&, const Pair&) = default;
  };
  /// Never empty.
  std::vector<Pair> pairs = {
      {.access = "net_tap0,iface=gmesp-access", .host = "net_tap1,iface=gmesp-host"}};

  enum class Idle : uint8_t { kSleep, kYield, kPoll };
  struct Workers {
    uint32_t count = 0;           ///< 0: one per entry of `cores`, or one
    std::vector<uint32_t> cores;  ///< empty: chosen from the cores we may use, highest first
    Idle idle = Idle::kSleep;
    uint32_t idle_sleep_us = 50;
    uint32_t idle_after_polls = 256;
    uint32_t burst_packets = 64;
    friend bool operator==(const Workers&, const Workers&) = default;
  } workers;

  enum class Pages : uint8_t { kAuto, kHuge, kSmall };
  struct Memory {
    Pages pages = Pages::kAuto;
    uint32_t megabytes = 0;       ///< 0: computed from packet_buffers
    uint32_t packet_buffers = 0;  ///< 0: computed from queues, workers and bursts
    friend bool operator==(const Memory&, const Memory&) = default;
  } memory;

  struct Sa {
    uint32_t capacity_sets = 100'000;
    uint32_t replay_window_packets = 128;
    std::string memory_path = kAutoMemoryPath;  ///< empty: anonymous memory
    bool restore = true;      ///< the sets that a dead process left in memory_path
    bool key_export = false;  ///< raw keys are kept and given to root and our own user
    friend bool operator==(const Sa&, const Sa&) = default;
  } sa;

  using PortRange = settings::PortRange;
  struct ProtectedPorts {
    std::vector<PortRange> ranges = {{5062, 5099}};
    std::vector<uint16_t> unprotected = {5060, 5061};
    friend bool operator==(const ProtectedPorts&, const ProtectedPorts&) = default;
  } protected_ports;

  enum class DontFragment : uint8_t { kCopy, kSet, kClear };
  enum class Dscp : uint8_t { kCopy, kZero };
  struct Nat {
    uint16_t encapsulation_port = 4500;  ///< 0: no UDP encapsulation
    bool follow_peer_port = false;
    uint8_t tunnel_ttl = 64;
    DontFragment tunnel_dont_fragment = DontFragment::kCopy;
    Dscp tunnel_dscp = Dscp::kCopy;
    friend bool operator==(const Nat&, const Nat&) = default;
  } nat;

  struct Fragments {
    uint32_t datagrams_max = 1024;
    uint32_t datagram_bytes_max = 16384;
    uint32_t per_source_max = 64;
    uint32_t timeout_ms = 3000;
    friend bool operator==(const Fragments&, const Fragments&) = default;
  } fragments;

  struct Screen {
    bool enabled = true;
    std::vector<uint16_t> ports = {5060};  ///< clear SIP, UDP and TCP
    std::vector<screen::Method> methods = {screen::Method::kRegister};
    std::vector<uint16_t> responses = {4, 5, 6};  ///< classes
    bool emergency = true;
    bool emergency_dialogs = true;
    bool keep_alive = true;
    bool stun = false;
    screen::ClearAction not_allowed = screen::ClearAction::kDiscard;
    uint16_t not_allowed_status = 403;
    screen::ClearAction malformed = screen::ClearAction::kDiscard;
    screen::ClearAction cut_stream = screen::ClearAction::kPass;
    screen::RuleAction shipped_rules = screen::RuleAction::kCount;
    std::vector<std::string> rules;  ///< files
    bool scan_clear = true;
    bool scan_protected = true;
    friend bool operator==(const Screen&, const Screen&) = default;
  } screen;

  /// Per worker, 0: no limit; audit events per worker and reason. A source is an IPv4 address or an
  /// IPv6 /64.
  struct Limits {
    uint32_t clear_packets_per_second = 100'000;
    uint32_t sip_per_second = 20'000;
    uint32_t sip_per_source_per_second = 1000;
    uint32_t connections_per_second = 5000;
    uint32_t connections_per_source_per_second = 100;
    uint32_t sip_replies_per_second = 100;  ///< 0: none
    uint32_t fragments_per_second = 50'000;
    uint32_t fragments_per_source_per_second = 1000;
    uint32_t esp_failures_per_source_per_second = 100;
    uint32_t overload_packets = 512;  ///< 0: nothing is shed
    uint32_t icmp_errors_per_second = 1000;
    uint32_t audit_events_per_second = 100;
    friend bool operator==(const Limits&, const Limits&) = default;
  } limits;

  struct PathMtu {
    uint32_t age_s = 600;
    uint32_t minimum_ipv4_bytes = 576;
    uint32_t minimum_ipv6_bytes = 1280;
    friend bool operator==(const PathMtu&, const PathMtu&) = default;
  } path_mtu;

  struct Sequence {
    uint32_t warn_percent = 90;
    friend bool operator==(const Sequence&, const Sequence&) = default;
  } sequence;

  struct Crypto {
    crypto::EngineChoice engine = crypto::EngineChoice::kAuto;
    std::vector<crypto::Integrity> withdrawn_integrity;
    std::vector<crypto::Cipher> withdrawn_cipher;
    friend bool operator==(const Crypto&, const Crypto&) = default;
  } crypto;

  using LogLevel = settings::LogLevel;
  using LogFormat = settings::LogFormat;
  struct Log {
    LogLevel level = LogLevel::kInfo;
    LogFormat format = LogFormat::kText;
    std::string audit = "stderr";  ///< "stderr", "syslog", "off" or the path of a file
    friend bool operator==(const Log&, const Log&) = default;
  } log;

  friend bool operator==(const Config&, const Config&) = default;
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

/// Sizes that load_config() fills in, of use to who makes queues and buffers.
inline constexpr uint32_t kHandoffSlots = 1024;  ///< allowed for per ordered pair of workers
inline constexpr uint32_t kLargeBuffers = 1024;  ///< allowed for joined datagrams
uint16_t largest_mtu_bytes(const Config& config);

}  // namespace gmesp::dataplane
