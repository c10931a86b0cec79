// gmesp-control's heart: passes events of proxies, gmespd and the clock to the SA manager, and
// carries out what it decides.
//
// Threading: the event loop only.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/daemon/data_plane.h"
#include "control/daemon/key_digest.h"
#include "control/daemon/proxy_server.h"
#include "control/daemon/reply.h"
#include "control/daemon/request.h"
#include "control/daemon/state_file.h"
#include "control/sa/sa_manager.h"

namespace gmesp::control {

struct ControlPlaneOptions {
  sa::Policy policy;
  DataPlaneOptions data_plane;
  ProxyServerOptions server;
  std::string state_path;
  uint64_t state_bytes_max = uint64_t{2} << 30;
  uint32_t registrations_expected = 0;  ///< whose memory is taken at the start
  bool removes_live_on_withdrawal = false;
};

class ControlPlane final : sa::Sink, DataPlane::Listener, ProxyServer::Handler {
 public:
  /// Reads the state file; nothing is connected yet.
  explicit ControlPlane(const ControlPlaneOptions& options);
  ~ControlPlane() override;

  /// Waits for something to come, from proxies, gmespd, `watch` or the clock, but no longer than
  /// `wait_ms`, and does all that there is to do.
  void run_once(uint64_t wait_ms);
  /// run_once() waits for this too, and calls `on_readable` each time that it finds it so.
  void watch(int descriptor, std::function<void()> on_readable) {
    server_.watch(descriptor, std::move(on_readable));
  }

  /// What an operator changed: everything but sockets, state file, SPI range and resting time.
  void set_policy(const sa::Policy& policy);
  /// Called for a reload request; returns what is wrong, or empty.
  void on_reload(std::function<std::string()> reload) { reload_ = std::move(reload); }

 private:
  struct Asked {
    ClientId client;
    uint64_t tag;
  };

  // sa::Sink
  bool install(const sa::NewSet& set) override;
  void remove(const sa::SaSet& set, sa::GoneBecause because) override;
  void set_not_after(const sa::SaSet& set) override;
  void answer(uint64_t request, const sa::Verdict& verdict) override;
  void changed(const sa::Context& context) override;
  sa::KeyFingerprint fingerprint(std::span<const uint8_t> key) override;

  // DataPlane::Listener
  void on_installed(sa::SetNumber set, uint64_t data_plane_id) override;
  void on_install_failed(sa::SetNumber set, sa::Refusal refusal) override;
  void on_gone(sa::SetNumber set, sa::GoneBecause because) override;
  void on_peer_port(sa::SetNumber set, uint16_t port) override;
  void on_sequence_near_end(sa::SetNumber set) override;
  void on_up() override;
  void on_down(const std::string& why) override;
  bool on_found(const gmesp_set_view& view) override;
  void on_compared(const std::unordered_set<sa::SetNumber>& found, sa::SetNumber before) override;
  sa::SetNumber next_number() const override { return sa_manager_.next_number(); }
  bool is_known(sa::SetNumber set) const override { return sa_manager_.find(set) != nullptr; }

  // ProxyServer::Handler
  void on_request(ClientId client, link::MessageReader& message) override;
  void on_hang_up(ClientId client) override;

  void restore_registrations();
  uint64_t next_deadline_ms() const;
  sa::Verdict decide(const Request& request);
  void take_challenge(ClientId client, const Request& request);
  void serve_operator(ClientId client, const Request& request);
  void tell_registration(ClientId client, const Request& request);
  void tell_refusal(ClientId client, const Request& request);
  void tell_total(ClientId client, const Request& request);
  void change_algorithm(ClientId client, const Request& request);
  void send(ClientId client, Reply& reply);
  void send_event(uint32_t kind, const sa::SaSet& set, uint64_t because);
  sa::Policy without_withdrawn(sa::Policy policy) const;

  const ControlPlaneOptions options_;
  sa::Policy configured_;
  std::vector<sa::Integrity> withdrawn_integrity_;
  std::vector<sa::Cipher> withdrawn_ciphers_;
  std::function<std::string()> reload_;
  uint64_t now_ms_ = 0;
  StateFile state_file_;
  KeyDigest key_digest_;
  sa::SaManager sa_manager_;
  DataPlane data_plane_;
  ProxyServer server_;
  std::unordered_map<uint64_t, Asked> asked_;  ///< challenges without a verdict
  uint64_t next_request_ = 1;
  uint64_t sets_found_unknown_ = 0;
  uint64_t sets_lost_ = 0;
  bool state_is_full_ = false;
  bool has_answers_ = false;  ///< gmespd rang
};

}  // namespace gmesp::control
