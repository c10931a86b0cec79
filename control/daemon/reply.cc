#include "control/daemon/reply.h"

namespace gmesp::control {

using link::Tag;

Reply& Reply::verdict(const sa::Verdict& verdict) {
  number(Tag::kAction, static_cast<uint64_t>(verdict.action));
  if (verdict.refusal != sa::Refusal::kNone) {
    const sa::RefusalInfo& refusal = sa::info(verdict.refusal);
    number(Tag::kRefusal, static_cast<uint64_t>(verdict.refusal));
    number(Tag::kSip, verdict.status);
    text(Tag::kRefusalClause, refusal.clause);
    text(Tag::kText, refusal.text);
  }
  const sa::Send& send = verdict.send;
  number(Tag::kArrivedOn, verdict.arrived_on);
  number(Tag::kIsIntegrityProtected, verdict.is_integrity_protected ? 1 : 0);
  number(Tag::kIsRepetition, verdict.is_repetition ? 1 : 0);
  number(Tag::kSendSet, send.set);
  number(Tag::kSendMode, static_cast<uint64_t>(send.mode));
  address(Tag::kSendLocal, send.local);
  number(Tag::kSendLocalPort, send.local_port);
  address(Tag::kSendRemote, send.remote);
  number(Tag::kSendRemotePort, send.remote_port);
  number(Tag::kOnSameConnection, send.on_same_connection ? 1 : 0);
  number(Tag::kSameConnectionPossible, send.same_connection_possible ? 1 : 0);
  if (!verdict.security_server.empty()) text(Tag::kSecurityServer, verdict.security_server);
  if (!verdict.impi.empty()) text(Tag::kImpi, verdict.impi);
  for (const std::string& impu : verdict.impus) text(Tag::kImpu, impu);
  return *this;
}

Reply& Reply::set(const sa::SaSet& set, bool is_latest, bool is_outbound) {
  number(Tag::kSetState, static_cast<uint64_t>(set.state));
  number(Tag::kSetNumber, set.number);
  number(Tag::kDataPlaneId, set.data_plane_id);
  number(Tag::kMode, static_cast<uint64_t>(set.mode));
  number(Tag::kIntegrity, static_cast<uint64_t>(set.algorithms.integrity));
  number(Tag::kCipher, static_cast<uint64_t>(set.algorithms.cipher));
  number(Tag::kPortUc, set.port_uc).number(Tag::kPortUs, set.port_us);
  number(Tag::kPortPc, set.port_pc).number(Tag::kPortPs, set.port_ps);
  number(Tag::kSpiUc, set.spi_uc).number(Tag::kSpiUs, set.spi_us);
  number(Tag::kSpiPc, set.spi_pc).number(Tag::kSpiPs, set.spi_ps);
  number(Tag::kNotAfterMs, set.not_after_ms);
  number(Tag::kDropAtMs, set.drop_at_ms);
  number(Tag::kPeerPort, set.peer_port);
  number(Tag::kPendingTransactions, set.pending_transactions);
  number(Tag::kIsLatest, is_latest ? 1 : 0);
  number(Tag::kIsOutbound, is_outbound ? 1 : 0);
  address(Tag::kUe, set.ue);
  address(Tag::kLocal, set.local);
  return *this;
}

}  // namespace gmesp::control
