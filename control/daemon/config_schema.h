// Every setting of gmesp-control once: where it is kept, what it may be, what it means.
//
// A Visitor is a settings::Reader or settings::Writer. Threading: constants and templates only.
#pragma once

#include <string_view>
#include <utility>

#include "control/daemon/config.h"
#include "control/settings/codec.h"
#include "control/settings/text.h"

namespace gmesp::control {

inline constexpr std::pair<std::string_view, sa::Integrity> kIntegrityNames[] = {
    {"hmac-sha1-96", sa::Integrity::kHmacSha1_96}, {"hmac-md5-96", sa::Integrity::kHmacMd5_96}};
inline constexpr std::pair<std::string_view, sa::Cipher> kCipherNames[] = {
    {"aes-cbc", sa::Cipher::kAesCbc}, {"des-ede3-cbc", sa::Cipher::kDesEde3Cbc}};
inline constexpr std::pair<std::string_view, sa::Confidentiality> kConfidentialityNames[] = {
    {"never", sa::Confidentiality::kNever},
    {"when-supported", sa::Confidentiality::kWhenSupported},
    {"required", sa::Confidentiality::kRequired}};

template <class Visitor>
void visit_process(Visitor& v, Config& config) {
  using namespace settings;
  const Text path{is_path, "an absolute path"};
  v.table("control", "The Unix socket for SIP proxies (libgmesp) and gmespctl.", [&] {
    auto& control = config.control;
    v.key("socket", control.socket, path, "Its folder is made if it is missing.");
    v.key("socket_mode", control.socket_mode, SocketMode{},
          "File permissions, octal. \"auto\": \"0600\", or \"0666\" where allowed_uids says who "
          "may connect.");
    v.list("allowed_uids", control.allowed_uids, WholeNumber{0, UINT32_MAX - 1},
           "Users that may connect, besides root and the one gmesp-control runs as.");
    v.key("connections_max", control.connections_max, WholeNumber{1, 4096},
          "Processes that may be connected at a time; every SIP worker process is one.");
    v.key("unread_max", control.unread_max, WholeNumber{16, 1'048'576},
          "A client that leaves more answers and events unread is dropped.");
  });
  v.table("data_plane", "gmespd, which holds the SAs.", [&] {
    v.key("socket", config.data_plane.socket, path, "control.socket of gmespd.");
    v.key("answer_ms", config.data_plane.answer_ms, WholeNumber{50, 60'000},
          "gmespd is given up, and connected anew, when it does not answer for so long.");
    v.key("retry_ms", config.data_plane.retry_ms, WholeNumber{10, 60'000},
          "Between attempts to connect.");
  });
  v.table("state", "What the next gmesp-control goes on with. No keys are in it.", [&] {
    v.key("path", config.state.path, Text{is_path_or_empty, "an absolute path or \"\""},
          "A file on tmpfs; it means nothing after a reboot. Its folder is made if it is missing.\n"
          "\"\": nothing is kept.");
    v.key("megabytes_max", config.state.megabytes_max, WholeNumber{4, 1'048'576},
          "About half a kilobyte per registration.");
  });
  v.table("log", "", [&] {
    v.key("level", config.log.level, Choice<LogLevel>{kLogLevelNames},
          "Of the log on stderr: \"trace\", \"debug\", \"info\", \"warning\" or \"error\".");
    v.key("format", config.log.format, Choice<LogFormat>{kLogFormatNames}, "\"text\" or \"json\".");
  });
}

template <class Visitor>
void visit_security(Visitor& v, Config& config) {
  using namespace settings;
  v.table("security", "Algorithms (TS 33.203 7.1, 7.2).", [&] {
    auto& security = config.security;
    v.list("integrity", security.integrity, Choice<sa::Integrity>{kIntegrityNames},
           "By falling priority.");
    v.list("ciphers", security.ciphers, Choice<sa::Cipher>{kCipherNames}, "By falling priority.");
    v.key("confidentiality", security.confidentiality,
          Choice<sa::Confidentiality>{kConfidentialityNames},
          "\"never\", \"when-supported\" (by the UE) or \"required\".");
    v.key("verify_bytewise", security.verify_bytewise, Boolean{},
          "Compare Security-Verify as text, not by what it says.");
    v.key("withdrawal_removes_live", security.withdrawal_removes_live, Boolean{},
          "Sets with an algorithm that is withdrawn go at once, instead of with the next\n"
          "registration.");
  });
  v.table("ports", "Protected ports of this P-CSCF; gmespd must protect them too.", [&] {
    v.key("server", config.ports.server, WholeNumber{1, UINT16_MAX}, "port_ps.");
    v.list("client", config.ports.client, PortRangeText{},
           "port_pc of every set comes from these; at least four.");
    v.list("unprotected", config.ports.unprotected, WholeNumber{1, UINT16_MAX},
           "Ports on which SIP is taken in clear; a UE may not offer them as protected ones.");
  });
  v.table("spis", "SPIs of the P-CSCF's inbound SAs. Another range if others use IPsec here.", [&] {
    v.key("first", config.spis.first, WholeNumber{256, UINT32_MAX}, "");
    v.key("last", config.spis.last, WholeNumber{256, UINT32_MAX}, "");
  });
}

template <class Visitor>
void visit_life_cycle(Visitor& v, Config& config) {
  using namespace settings;
  v.table("timers", "Of the life cycle (TS 33.203 7.4.2a).", [&] {
    auto& timers = config.timers;
    v.key(
        "t1_ms", timers.t1_ms, WholeNumber{100, 60'000},
        "T1 towards UEs (TS 24.229: 2 s). 64*T1 is the longest that a replaced set waits for its\n"
        "transactions, and that a finished one repeats its last answer.");
    v.key("temporary_s", timers.temporary_s, WholeNumber{5, 3600},
          "Lifetime of a set until its authentication has succeeded.");
    v.key("margin_s", timers.margin_s, WholeNumber{0, 3600},
          "A set outlives its registration by this.");
    v.key("near_expiry_s", timers.near_expiry_s, WholeNumber{1, 3600, 1, 0},
          "An old set with less to live is not sent on any more. 0: 64*T1.");
    v.key("rest_s", timers.rest_s, WholeNumber{1, 86'400, 1, 0},
          "Before a freed SPI or port_pc is used again. 0: 64*T1.");
  });
  v.table("registration", "", [&] {
    auto& registration = config.registration;
    v.key("many", registration.many, Boolean{},
          "Several registrations of one IMPI from different addresses live side by side.");
    v.key("nat_traversal", registration.nat_traversal, Boolean{},
          "UDP-encapsulated tunnel mode for UEs behind NAT (Annex M).");
    v.key("answer_missing_nat_capability", registration.answer_missing_nat_capability, Boolean{},
          "An error to UEs behind NAT that cannot do that, instead of silence (M.7.3.2.4).");
    v.key("reject_clear", registration.reject_clear, Boolean{},
          "403 to requests that may not come in clear, instead of silence (7.1).");
    v.key("procedures_max", registration.procedures_max, WholeNumber{64, 16'777'216},
          "Registrations under way; then the oldest without a challenge gives way.");
    v.key("procedures_per_user_max", registration.procedures_per_user_max, WholeNumber{1, 64}, "");
    v.key("expected", registration.expected, WholeNumber{0, 16'777'216},
          "Memory for so many, 1.3 kilobytes each, and room in the state file are taken at the\n"
          "start, so that none of them waits for it. More are served all the same.");
  });
}

template <class Visitor>
void visit_settings(Visitor& visitor, Config& config) {
  visit_process(visitor, config);
  visit_security(visitor, config);
  visit_life_cycle(visitor, config);
}

}  // namespace gmesp::control
