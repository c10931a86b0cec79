// What an operator asks of gmesp-control and tells it.
#include <string.h>

#include "control/client/control_reply.h"
#include "control/client/control_request.h"
#include "control/client/record.h"
#include "control/sa/refusal.h"

namespace gmesp::client {
namespace {

using link::Kind;
using link::MessageReader;
using link::MessageWriter;
using link::Tag;

constexpr const char* kNoSense = "reply of gmesp-control makes no sense";

/// Sends the request and waits; an error of gmesp-control's comes with its text as the detail.
int ask(gmesp_control& control, MessageWriter& message, int timeout_ms, MessageReader& reply) {
  const int error = call(control, message, timeout_ms, reply);
  if (error != GMESP_OK || reply.header().error == GMESP_OK) return error;
  char text[GMESP_DETAIL_BYTES];
  if (reply.header().error < 0 || !read_text(reply, text)) return break_protocol(control, kNoSense);
  return fail(control, reply.header().error, "%s", text);
}

/// A walk with a cursor. `read` fills `to` and the cursor; one that does not move would never end.
template <class Struct, class Read>
int ask_next(gmesp_control& control, MessageWriter& message, uint64_t& cursor, Struct& to,
             int timeout_ms, Read read) {
  message.number(Tag::kCursor, cursor);
  MessageReader reply;
  const int error = ask(control, message, timeout_ms, reply);
  if (error != GMESP_OK) return error;
  uint64_t moved = cursor;
  if (!read(reply, to, moved) || moved == cursor) {
    GMESP_INIT(&to);
    return break_protocol(control, kNoSense);
  }
  cursor = moved;
  return GMESP_OK;
}

int change_algorithm(gmesp_control* control, Kind kind, int integrity, int cipher, int remove_live,
                     int timeout_ms) {
  const int error = begin(control);
  if (error != GMESP_OK) return error;
  if (integrity < 0 || cipher < 0)
    return fail(*control, GMESP_E_BAD_ARGUMENT, "integrity %d, cipher %d", integrity, cipher);
  MessageWriter message(control->request, sizeof control->request, kind, 0);
  message.number(Tag::kIntegrity, static_cast<uint64_t>(integrity));
  message.number(Tag::kCipher, static_cast<uint64_t>(cipher));
  if (kind == Kind::kWithdraw) message.number(Tag::kRemovesLive, remove_live != 0 ? 1 : 0);
  MessageReader reply;
  return ask(*control, message, timeout_ms, reply);
}

}  // namespace
}  // namespace gmesp::client

using namespace gmesp::client;
using gmesp::link::Kind;
using gmesp::link::MessageReader;
using gmesp::link::MessageWriter;
using gmesp::link::Tag;

int gmesp_next_registration(gmesp_control* control, const char* impi, uint64_t* cursor,
                            gmesp_registration* registration, int timeout_ms) {
  int error = begin(control);
  if (error == GMESP_OK)
    error = cursor != nullptr ? check_room(registration) : GMESP_E_BAD_ARGUMENT;
  if (error != GMESP_OK) return error;
  MessageWriter message(control->request, sizeof control->request, Kind::kNextRegistration, 0);
  error = write_identity(*control, Tag::kImpi, "impi", impi, message);
  if (error != GMESP_OK) return error;
  return ask_next(*control, message, *cursor, *registration, timeout_ms, read_registration);
}

int gmesp_next_refusal(gmesp_control* control, uint64_t* cursor, struct gmesp_refusal* refusal,
                       int timeout_ms) {
  int error = begin(control);
  if (error == GMESP_OK) error = cursor != nullptr ? check_room(refusal) : GMESP_E_BAD_ARGUMENT;
  if (error != GMESP_OK) return error;
  MessageWriter message(control->request, sizeof control->request, Kind::kNextRefusal, 0);
  return ask_next(*control, message, *cursor, *refusal, timeout_ms, read_refusal);
}

int gmesp_control_get_statistic(gmesp_control* control, uint64_t row, gmesp_statistic* statistic,
                                int timeout_ms) {
  int error = begin(control);
  if (error == GMESP_OK) error = check_room(statistic);
  if (error != GMESP_OK) return error;
  MessageWriter message(control->request, sizeof control->request, Kind::kNextTotal, 0);
  message.number(Tag::kCursor, row);
  MessageReader reply;
  error = ask(*control, message, timeout_ms, reply);
  if (error != GMESP_OK || read_statistic(reply, *statistic)) return error;
  GMESP_INIT(statistic);
  return break_protocol(*control, kNoSense);
}

int gmesp_control_withdraw(gmesp_control* control, int integrity, int cipher, int remove_live,
                           int timeout_ms) {
  return change_algorithm(control, Kind::kWithdraw, integrity, cipher, remove_live, timeout_ms);
}

int gmesp_control_restore(gmesp_control* control, int integrity, int cipher, int timeout_ms) {
  return change_algorithm(control, Kind::kRestore, integrity, cipher, 0, timeout_ms);
}

int gmesp_control_evict(gmesp_control* control, const char* impi, int timeout_ms) {
  int error = begin(control);
  if (error != GMESP_OK) return error;
  if (impi == nullptr || impi[0] == '\0')
    return fail(*control, GMESP_E_BAD_ARGUMENT, "impi: found nothing");
  MessageWriter message(control->request, sizeof control->request, Kind::kEvict, 0);
  error = write_identity(*control, Tag::kImpi, "impi", impi, message);
  MessageReader reply;
  return error == GMESP_OK ? ask(*control, message, timeout_ms, reply) : error;
}

int gmesp_control_reload(gmesp_control* control, int timeout_ms) {
  const int error = begin(control);
  if (error != GMESP_OK) return error;
  MessageWriter message(control->request, sizeof control->request, Kind::kReload, 0);
  MessageReader reply;
  return ask(*control, message, timeout_ms, reply);
}

const char* gmesp_control_refusal_name(uint32_t refusal) {
  return refusal < gmesp::sa::kRefusalCount ? gmesp::sa::kRefusals[refusal].name : "unknown";
}
