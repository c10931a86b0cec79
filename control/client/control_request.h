// The public structs of gmesp_control.h as requests to gmesp-control.
//
// Every writer checks what it is given before it writes, and names what it found. Threading: the
// connection's. Errors: enum gmesp_error; texts through fail(). libc only.
#pragma once

#include <stdint.h>

#include "control/client/control.h"

namespace gmesp::client {

/// What gmesp_transaction_begin and _end take.
struct TransactionHint {
  uint64_t set;
};

/// What gmesp_deregistered takes.
struct Deregistration {
  const char* impi;
  const char* registration_key;
};

int write(gmesp_control& control, const gmesp_register_request* from, link::MessageWriter& to);
int write(gmesp_control& control, const struct gmesp_challenge* from, link::MessageWriter& to);
int write(gmesp_control& control, const struct gmesp_register_answer* from,
          link::MessageWriter& to);
int write(gmesp_control& control, const struct gmesp_message* from, link::MessageWriter& to);
int write(gmesp_control& control, const gmesp_destination* from, link::MessageWriter& to);
int write(gmesp_control& control, const gmesp_identities* from, link::MessageWriter& to);
int write(gmesp_control& control, const TransactionHint* from, link::MessageWriter& to);
int write(gmesp_control& control, const Deregistration* from, link::MessageWriter& to);

/// A name of a user, at most GMESP_IDENTITY_BYTES with its zero; nothing if it is empty.
int write_identity(gmesp_control& control, link::Tag tag, const char* name, const char* value,
                   link::MessageWriter& to);

}  // namespace gmesp::client
