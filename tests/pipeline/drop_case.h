// One way to make the pipeline drop a packet for one reason, and what the audit must say of it.
#pragma once

#include <vector>

#include "lab.h"

namespace gmesp::test {

/// What an audit notice must name. Empty addresses: the packet could not be read that far.
struct AuditDetails {
  Ip source = {};
  Ip destination = {};
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t spi = 0;
  uint32_t sequence = 0;
};

/// A case at work: a lab with one registration installed.
struct DropTrial {
  Lab& lab;
  const Registration ue;
  const uint64_t set_id;
  std::vector<Sent> sent = {};  ///< by the packet that is to be dropped, not by those before it
  AuditDetails audit = {};
};

struct DropCase {
  const char* what;
  ipsec::DropReason reason;
  void (*provoke)(DropTrial&);
  void (*adjust)(LabOptions&, Registration&) = nullptr;
  bool is_silent = false;        ///< the normal course: counted, not audited
  bool is_answered = false;      ///< an ICMP error goes back to the sender
  const char* before = nullptr;  ///< the drop that had to come first, as Lab::drops() tells it
};

/// Frames and IP headers; fragments.
const std::vector<DropCase>& header_drop_cases();
/// The access side, before ESP.
const std::vector<DropCase>& access_drop_cases();
/// The SIP screen, floods and overload.
const std::vector<DropCase>& screen_drop_cases();
/// ESP in.
const std::vector<DropCase>& esp_drop_cases();
/// The host side, ESP out, and gmespd itself.
const std::vector<DropCase>& host_drop_cases();

/// The registration of a case in tunnel mode, for `adjust`.
void in_a_tunnel(LabOptions& options, Registration& ue);

/// The addresses and ports of `packet`, as the audit must name them.
AuditDetails audit_of(const Bytes& packet);
/// The same for a packet on an SA; addresses from `packet`, ports and SPI those of the SA.
AuditDetails audit_of(const Registration& ue, shm::SaRole role, const Bytes& packet,
                      uint32_t sequence = 0);

}  // namespace gmesp::test
