// What operators ask gmesp-control, and what they change.
#include <algorithm>

#include "control/client/gmesp_control.h"
#include "control/daemon/control_plane.h"

namespace gmesp::control {
namespace {

using link::Kind;
using link::Tag;

struct Total {
  const char* name;
  const char* unit;
  const char* text;
  uint64_t value;
};

}  // namespace

void ControlPlane::serve_operator(ClientId client, const Request& request) {
  switch (request.kind) {
    case Kind::kNextRegistration:
      return tell_registration(client, request);
    case Kind::kNextRefusal:
      return tell_refusal(client, request);
    case Kind::kNextTotal:
      return tell_total(client, request);
    case Kind::kWithdraw:
    case Kind::kRestore:
      return change_algorithm(client, request);
    case Kind::kEvict: {
      const bool is_known = sa_manager_.evict(request.impi, now_ms_);
      Reply reply(request.tag, is_known ? GMESP_OK : GMESP_E_NOT_FOUND);
      if (!is_known) reply.text(Tag::kText, "no registration of this user is known");
      return send(client, reply);
    }
    case Kind::kReload: {
      const std::string wrong = reload_();
      Reply reply(request.tag, wrong.empty() ? GMESP_OK : GMESP_E_BAD_ARGUMENT);
      reply.text(Tag::kText, wrong);
      return send(client, reply);
    }
    default: {
      Reply reply(request.tag, GMESP_E_UNKNOWN_COMMAND);
      return send(client, reply);
    }
  }
}

void ControlPlane::tell_registration(ClientId client, const Request& request) {
  uint64_t cursor = request.cursor;
  const sa::Context* context = request.impi.empty()
                                   ? sa_manager_.next_context(cursor)
                                   : sa_manager_.next_context(request.impi, cursor);
  Reply reply(request.tag, context == nullptr ? GMESP_E_END : GMESP_OK);
  if (context != nullptr) {
    reply.number(Tag::kCursor, cursor).text(Tag::kImpi, context->impi);
    reply.text(Tag::kRegistrationKey, context->registration_key);
    reply.number(Tag::kValue, context->procedures.size());
    const sa::SaSet* outbound = sa_manager_.outbound(*context, now_ms_);
    for (const sa::SaSet* set : context->sets)
      reply.set(*set, set->number == context->latest, set == outbound);
    for (const std::string& impu : context->impus) reply.text(Tag::kImpu, impu);
  }
  send(client, reply);
}

void ControlPlane::tell_refusal(ClientId client, const Request& request) {
  const std::deque<sa::RefusalRecord>& refusals = sa_manager_.refusals();
  if (request.cursor >= refusals.size()) {
    Reply reply(request.tag, GMESP_E_END);
    return send(client, reply);
  }
  const sa::RefusalRecord& record = refusals[refusals.size() - 1 - request.cursor];
  const sa::RefusalInfo& refusal = sa::info(record.refusal);
  Reply reply(request.tag);
  reply.number(Tag::kCursor, request.cursor + 1);
  reply.number(Tag::kRefusal, static_cast<uint64_t>(record.refusal));
  reply.number(Tag::kTimeMs, record.time_ms).number(Tag::kSip, refusal.sip_status);
  reply.address(Tag::kSource, record.source).number(Tag::kSourcePort, record.source_port);
  reply.text(Tag::kImpi, record.impi).text(Tag::kName, refusal.name);
  reply.text(Tag::kRefusalClause, refusal.clause).text(Tag::kText, refusal.text);
  send(client, reply);
}

void ControlPlane::tell_total(ClientId client, const Request& request) {
  const sa::SaManagerTotals& totals = sa_manager_.totals();
  const Total rows[] = {
      {"users", "users", "users with sets or registrations under way", sa_manager_.contexts()},
      {"sets", "sets", "SA sets that are stored", sa_manager_.sets()},
      {"procedures", "procedures", "registration procedures under way", sa_manager_.procedures()},
      {"registrations", "procedures", "authentications that succeeded (SM12)",
       totals.registrations},
      {"authentication_failures", "procedures", "authentications that failed",
       totals.authentication_failures},
      {"sets_installed", "sets", "acknowledged by gmespd", totals.sets_installed},
      {"sets_removed", "sets", "removed for any reason", totals.sets_removed},
      {"sets_lost", "sets", "that gmespd did not have any more", sets_lost_},
      {"procedures_evicted", "procedures", "given up for newer ones", totals.procedures_evicted},
      {"spis_taken", "SPIs", "in use or resting", sa_manager_.spis().taken()},
      {"installs_in_flight", "sets", "not acknowledged by gmespd yet",
       data_plane_.installs_in_flight()},
      {"connections", "connections", "proxies and operators", server_.connections()},
      {"data_plane_up", "0 or 1", "gmespd is connected", data_plane_.is_up() ? 1u : 0u},
      {"state_bytes", "bytes", "size of the state file", state_file_.bytes()},
  };
  const uint64_t row = request.cursor;
  const uint64_t refusal = row - std::size(rows) + 1;  // row 0 of the refusals is "none"
  if (row >= std::size(rows) && refusal >= sa::kRefusalCount) {
    Reply reply(request.tag, GMESP_E_END);
    return send(client, reply);
  }
  Total total = row < std::size(rows) ? rows[row] : Total{};
  std::string name = row < std::size(rows) ? total.name : "";
  if (row >= std::size(rows)) {
    const sa::RefusalInfo& info = sa::info(static_cast<sa::Refusal>(refusal));
    name = std::string("refused_") + info.name;
    total = {nullptr, "messages", info.text, totals.refusals[refusal]};
  }
  Reply reply(request.tag);
  reply.text(Tag::kName, name).text(Tag::kUnit, total.unit).text(Tag::kText, total.text);
  reply.number(Tag::kValue, total.value);
  send(client, reply);
}

/// R-7.1-04: gone from SM6 and from what is chosen at once; gmespd refuses it from now on too.
void ControlPlane::change_algorithm(ClientId client, const Request& request) {
  const auto integrity = static_cast<sa::Integrity>(request.integrity);
  const auto cipher = static_cast<sa::Cipher>(request.cipher);
  const bool removes_live = request.removes_live != 0 || options_.removes_live_on_withdrawal;
  if (request.kind == Kind::kWithdraw) {
    if (request.integrity != 0) {
      withdrawn_integrity_.push_back(integrity);
      sa_manager_.withdraw(integrity, removes_live, now_ms_);
    }
    if (request.cipher != 0) {
      withdrawn_ciphers_.push_back(cipher);
      sa_manager_.withdraw(cipher, removes_live, now_ms_);
    }
    data_plane_.withdraw(static_cast<int>(request.integrity), static_cast<int>(request.cipher));
  } else {
    if (request.integrity != 0) std::erase(withdrawn_integrity_, integrity);
    if (request.cipher != 0) std::erase(withdrawn_ciphers_, cipher);
    sa_manager_.set_policy(without_withdrawn(configured_));
    data_plane_.restore(static_cast<int>(request.integrity), static_cast<int>(request.cipher));
  }
  Reply reply(request.tag);
  send(client, reply);
}

}  // namespace gmesp::control
