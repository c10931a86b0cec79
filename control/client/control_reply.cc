#include "control/client/control_reply.h"

namespace gmesp::client {
namespace {

using link::Field;
using link::MessageReader;
using link::Tag;

/// A number from 0 to `most` into a field that can hold it.
template <class Number>
bool number(const Field& field, Number& to, uint64_t most = static_cast<Number>(~Number{0})) {
  uint64_t value;
  if (!field.number(value) || value > most) return false;
  to = static_cast<Number>(value);
  return true;
}

bool flag(const Field& field, uint8_t& to) {
  return number(field, to, 1);
}

/// A text that counts as a whole.
template <size_t kBytes>
bool name(const Field& field, char (&to)[kBytes]) {
  if (field.length >= kBytes || memchr(field.data, 0, field.length) != nullptr) return false;
  memcpy(to, field.data, field.length);
  to[field.length] = '\0';
  return true;
}

/// A text for people: cut where there is no room.
template <size_t kBytes>
bool text(const Field& field, char (&to)[kBytes]) {
  const size_t bytes = field.length < kBytes ? field.length : kBytes - 1;
  memcpy(to, field.data, bytes);
  to[bytes] = '\0';
  return true;
}

template <class Struct>
bool impu(const Field& field, Struct& to) {
  return to.impu_count < GMESP_IDENTITIES_MAX && name(field, to.impus[to.impu_count++]);
}

/// Gives every field to `take`, which returns false if it makes no sense.
template <class Take>
bool each_field(MessageReader& from, Take take) {
  for (Field field; from.next(field);)
    if (!take(field)) return false;
  return !from.is_broken();
}

bool take_send(const Field& field, gmesp_send& to) {
  switch (field.tag) {
    case Tag::kSendSet:
      return number(field, to.set);
    case Tag::kSendMode:
      return number(field, to.mode);
    case Tag::kSendLocal:
      return field.address(to.local);
    case Tag::kSendLocalPort:
      return number(field, to.local_port);
    case Tag::kSendRemote:
      return field.address(to.remote);
    case Tag::kSendRemotePort:
      return number(field, to.remote_port);
    case Tag::kOnSameConnection:
      return flag(field, to.on_same_connection);
    case Tag::kSameConnectionPossible:
      return flag(field, to.same_connection_possible);
    default:
      return true;
  }
}

bool take_verdict(const Field& field, gmesp_verdict& to) {
  switch (field.tag) {
    case Tag::kAction:
      return number(field, to.action, GMESP_DISCARD);
    case Tag::kRefusal:
      return number(field, to.refusal);
    case Tag::kSip:
      return number(field, to.sip_status, 699);
    case Tag::kIsIntegrityProtected:
      return flag(field, to.is_integrity_protected);
    case Tag::kIsRepetition:
      return flag(field, to.is_repetition);
    case Tag::kArrivedOn:
      return number(field, to.arrived_on);
    case Tag::kImpi:
      return name(field, to.impi);
    case Tag::kImpu:
      return impu(field, to);
    case Tag::kSecurityServer:
      return name(field, to.security_server);
    case Tag::kRefusalClause:
      return text(field, to.clause);
    case Tag::kText:
      return text(field, to.text);
    default:
      return take_send(field, to.send);
  }
}

/// Ports, SPIs and addresses of a set.
bool take_selector(const Field& field, gmesp_registration_set& to) {
  switch (field.tag) {
    case Tag::kPortUc:
      return number(field, to.port_uc);
    case Tag::kPortUs:
      return number(field, to.port_us);
    case Tag::kPortPc:
      return number(field, to.port_pc);
    case Tag::kPortPs:
      return number(field, to.port_ps);
    case Tag::kSpiUc:
      return number(field, to.spi_uc);
    case Tag::kSpiUs:
      return number(field, to.spi_us);
    case Tag::kSpiPc:
      return number(field, to.spi_pc);
    case Tag::kSpiPs:
      return number(field, to.spi_ps);
    case Tag::kPeerPort:
      return number(field, to.peer_port);
    case Tag::kUe:
      return field.address(to.ue_address);
    case Tag::kLocal:
      return field.address(to.local_address);
    default:
      return true;
  }
}

bool take_set(const Field& field, gmesp_registration_set& to) {
  switch (field.tag) {
    case Tag::kSetNumber:
      return number(field, to.number);
    case Tag::kDataPlaneId:
      return number(field, to.data_plane_id);
    case Tag::kMode:
      return number(field, to.mode);
    case Tag::kIntegrity:
      return number(field, to.integrity);
    case Tag::kCipher:
      return number(field, to.cipher);
    case Tag::kNotAfterMs:
      return number(field, to.not_after_ms);
    case Tag::kDropAtMs:
      return number(field, to.drop_at_ms);
    case Tag::kPendingTransactions:
      return number(field, to.pending_transactions);
    case Tag::kIsLatest:
      return flag(field, to.is_latest);
    case Tag::kIsOutbound:
      return flag(field, to.is_outbound);
    default:
      return take_selector(field, to);
  }
}

/// Fields of the registration itself, and the ones that begin a set.
bool take_registration(const Field& field, gmesp_registration& to) {
  constexpr uint32_t kSetsMax = sizeof to.sets / sizeof to.sets[0];
  switch (field.tag) {
    case Tag::kImpi:
      return name(field, to.impi);
    case Tag::kRegistrationKey:
      return name(field, to.registration_key);
    case Tag::kImpu:
      return impu(field, to);
    case Tag::kValue:
      return number(field, to.procedures);
    case Tag::kSetState:
      return to.set_count < kSetsMax && number(field, to.sets[to.set_count++].state);
    default:
      return to.set_count == 0 || take_set(field, to.sets[to.set_count - 1]);
  }
}

bool take_refusal(const Field& field, gmesp_refusal& to) {
  switch (field.tag) {
    case Tag::kRefusal:
      return number(field, to.refusal);
    case Tag::kTimeMs:
      return number(field, to.time_ms);
    case Tag::kSource:
      return field.address(to.source);
    case Tag::kSourcePort:
      return number(field, to.source_port);
    case Tag::kSip:
      return number(field, to.sip_status, 699);
    case Tag::kImpi:
      return name(field, to.impi);
    case Tag::kName:
      return text(field, to.name);
    case Tag::kRefusalClause:
      return text(field, to.clause);
    case Tag::kText:
      return text(field, to.text);
    default:
      return true;
  }
}

}  // namespace

bool read_verdict(MessageReader& from, gmesp_verdict& to) {
  GMESP_INIT(&to);
  to.error = from.header().error;
  to.tag = from.header().tag;
  if (!each_field(from, [&to](const Field& field) { return take_verdict(field, to); }))
    return false;
  return to.error > 0 || (to.error == GMESP_OK && to.action != 0);
}

bool read_event(MessageReader& from, gmesp_control_event& to) {
  GMESP_INIT(&to);
  const bool is_whole = each_field(from, [&to](const Field& field) {
    switch (field.tag) {
      case Tag::kEventKind:
        return number(field, to.kind);
      case Tag::kGoneBecause:
        return number(field, to.because);
      case Tag::kPeerPort:
        return number(field, to.peer_port);
      case Tag::kSetNumber:
        return number(field, to.set);
      case Tag::kUe:
        return field.address(to.ue_address);
      case Tag::kLocal:
        return field.address(to.local_address);
      case Tag::kPortUc:
        return number(field, to.port_uc);
      case Tag::kPortUs:
        return number(field, to.port_us);
      case Tag::kPortPc:
        return number(field, to.port_pc);
      case Tag::kPortPs:
        return number(field, to.port_ps);
      case Tag::kImpi:
        return name(field, to.impi);
      default:
        return true;
    }
  });
  return is_whole && to.kind != 0;
}

bool read_registration(MessageReader& from, gmesp_registration& to, uint64_t& cursor) {
  GMESP_INIT(&to);
  bool has_cursor = false;
  const bool is_whole = each_field(from, [&](const Field& field) {
    if (field.tag != Tag::kCursor) return take_registration(field, to);
    has_cursor = true;
    return number(field, cursor);
  });
  return is_whole && has_cursor;
}

bool read_refusal(MessageReader& from, gmesp_refusal& to, uint64_t& cursor) {
  GMESP_INIT(&to);
  bool has_cursor = false;
  const bool is_whole = each_field(from, [&](const Field& field) {
    if (field.tag != Tag::kCursor) return take_refusal(field, to);
    has_cursor = true;
    return number(field, cursor);
  });
  return is_whole && has_cursor;
}

bool read_statistic(MessageReader& from, gmesp_statistic& to) {
  GMESP_INIT(&to);
  return each_field(from, [&to](const Field& field) {
    switch (field.tag) {
      case Tag::kName:
        return text(field, to.name);
      case Tag::kUnit:
        return text(field, to.unit);
      case Tag::kText:
        return text(field, to.text);
      case Tag::kValue:
        return number(field, to.value);
      default:
        return true;
    }
  });
}

bool read_text(MessageReader& from, char (&to)[GMESP_DETAIL_BYTES]) {
  to[0] = '\0';
  return each_field(
      from, [&to](const Field& field) { return field.tag != Tag::kText || text(field, to); });
}

}  // namespace gmesp::client
