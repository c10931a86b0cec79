// What a proxy reports, waiting and not waiting, and the verdicts and events it fetches.
#include <string.h>

#include "control/client/control_reply.h"
#include "control/client/control_request.h"
#include "control/client/record.h"

namespace gmesp::client {
namespace {

using link::Kind;
using link::MessageReader;
using link::MessageWriter;

/// Writes the request; what a failed one has left in the buffer is wiped.
template <class Request>
int write_request(gmesp_control& control, const Request* request, MessageWriter& message) {
  int error = write(control, request, message);
  if (error == GMESP_OK && !message.ok())
    error = fail(control, GMESP_E_BAD_ARGUMENT, "request is longer than %u bytes",
                 link::kMessageBytesMax);
  if (error != GMESP_OK) explicit_bzero(control.request, message.finish());
  return error;
}

int to_verdict(gmesp_control& control, MessageReader& reply, gmesp_verdict& verdict) {
  if (read_verdict(reply, verdict)) return GMESP_OK;
  GMESP_INIT(&verdict);
  return break_protocol(control, "verdict of gmesp-control makes no sense");
}

template <class Request>
int ask(gmesp_control* control, Kind kind, const Request* request, gmesp_verdict* verdict,
        int timeout_ms) {
  int error = begin(control);
  if (error == GMESP_OK) error = check_room(verdict);
  if (error != GMESP_OK) return error;
  MessageWriter message(control->request, sizeof control->request, kind, 0);
  MessageReader reply;
  error = write_request(*control, request, message);
  if (error == GMESP_OK) error = call(*control, message, timeout_ms, reply);
  if (error == GMESP_OK) error = to_verdict(*control, reply, *verdict);
  if (error != GMESP_OK || verdict->error == GMESP_OK) return error;
  return fail(*control, verdict->error, "%s", verdict->text);
}

template <class Request>
int post(gmesp_control* control, Kind kind, const Request* request, uint64_t tag) {
  int error = begin(control);
  if (error != GMESP_OK) return error;
  MessageWriter message(control->request, sizeof control->request, kind, 0);
  error = write_request(*control, request, message);
  return error == GMESP_OK ? submit(*control, message, tag) : error;
}

}  // namespace
}  // namespace gmesp::client

using namespace gmesp::client;
using gmesp::link::Kind;

int gmesp_register(gmesp_control* control, const gmesp_register_request* request,
                   gmesp_verdict* verdict, int timeout_ms) {
  return ask(control, Kind::kRegister, request, verdict, timeout_ms);
}

int gmesp_challenge(struct gmesp_control* control, const struct gmesp_challenge* challenge,
                    gmesp_verdict* verdict, int timeout_ms) {
  return ask(control, Kind::kChallenge, challenge, verdict, timeout_ms);
}

int gmesp_register_answer(struct gmesp_control* control, const struct gmesp_register_answer* answer,
                          gmesp_verdict* verdict, int timeout_ms) {
  return ask(control, Kind::kRegisterAnswer, answer, verdict, timeout_ms);
}

int gmesp_message(struct gmesp_control* control, const struct gmesp_message* message,
                  gmesp_verdict* verdict, int timeout_ms) {
  return ask(control, Kind::kMessage, message, verdict, timeout_ms);
}

int gmesp_route(gmesp_control* control, const gmesp_destination* destination,
                gmesp_verdict* verdict, int timeout_ms) {
  return ask(control, Kind::kRoute, destination, verdict, timeout_ms);
}

int gmesp_transaction_begin(gmesp_control* control, uint64_t set, gmesp_verdict* verdict,
                            int timeout_ms) {
  const TransactionHint hint{set};
  return ask(control, Kind::kTransactionBegin, &hint, verdict, timeout_ms);
}

int gmesp_transaction_end(gmesp_control* control, uint64_t set, gmesp_verdict* verdict,
                          int timeout_ms) {
  const TransactionHint hint{set};
  return ask(control, Kind::kTransactionEnd, &hint, verdict, timeout_ms);
}

int gmesp_set_identities(gmesp_control* control, const gmesp_identities* identities,
                         gmesp_verdict* verdict, int timeout_ms) {
  return ask(control, Kind::kIdentities, identities, verdict, timeout_ms);
}

int gmesp_deregistered(gmesp_control* control, const char* impi, const char* registration_key,
                       gmesp_verdict* verdict, int timeout_ms) {
  const Deregistration deregistration{impi, registration_key};
  return ask(control, Kind::kDeregistered, &deregistration, verdict, timeout_ms);
}

int gmesp_submit_register(gmesp_control* control, const gmesp_register_request* request,
                          uint64_t tag) {
  return post(control, Kind::kRegister, request, tag);
}

int gmesp_submit_challenge(gmesp_control* control, const struct gmesp_challenge* challenge,
                           uint64_t tag) {
  return post(control, Kind::kChallenge, challenge, tag);
}

int gmesp_submit_register_answer(gmesp_control* control, const struct gmesp_register_answer* answer,
                                 uint64_t tag) {
  return post(control, Kind::kRegisterAnswer, answer, tag);
}

int gmesp_submit_message(gmesp_control* control, const struct gmesp_message* message,
                         uint64_t tag) {
  return post(control, Kind::kMessage, message, tag);
}

int gmesp_submit_route(gmesp_control* control, const gmesp_destination* destination, uint64_t tag) {
  return post(control, Kind::kRoute, destination, tag);
}

int gmesp_submit_transaction_begin(gmesp_control* control, uint64_t set, uint64_t tag) {
  const TransactionHint hint{set};
  return post(control, Kind::kTransactionBegin, &hint, tag);
}

int gmesp_submit_transaction_end(gmesp_control* control, uint64_t set, uint64_t tag) {
  const TransactionHint hint{set};
  return post(control, Kind::kTransactionEnd, &hint, tag);
}

int gmesp_submit_set_identities(gmesp_control* control, const gmesp_identities* identities,
                                uint64_t tag) {
  return post(control, Kind::kIdentities, identities, tag);
}

int gmesp_submit_deregistered(gmesp_control* control, const char* impi,
                              const char* registration_key, uint64_t tag) {
  const Deregistration deregistration{impi, registration_key};
  return post(control, Kind::kDeregistered, &deregistration, tag);
}

void gmesp_control_hold(gmesp_control* control, int is_held) {
  if (begin(control) != GMESP_OK || control->broken != GMESP_OK) return;
  control->is_held = is_held != 0;
  if (!control->is_held) send_gathered(*control);
}

int gmesp_poll_verdict(gmesp_control* control, gmesp_verdict* verdict) {
  int error = begin(control);
  if (error == GMESP_OK) error = check_room(verdict);
  if (error != GMESP_OK) return error;
  gmesp::link::MessageReader reply;
  error = next_submitted(*control, reply);
  return error == GMESP_OK ? to_verdict(*control, reply, *verdict) : error;
}

int gmesp_control_poll_event(gmesp_control* control, gmesp_control_event* event) {
  int error = begin(control);
  if (error == GMESP_OK) error = check_room(event);
  if (error != GMESP_OK) return error;
  gmesp::link::MessageReader message;
  error = next_event(*control, message);
  if (error != GMESP_OK || read_event(message, *event)) return error;
  GMESP_INIT(event);
  return break_protocol(*control, "event of gmesp-control makes no sense");
}
