// Replies and events of gmesp-control as the public structs of gmesp_control.h.
//
// Nothing of a message is believed before it is looked at: numbers must fit their field, names of
// users must fit whole (a name cut short is another user's), texts for people are cut. Fields that
// are not known are skipped.
// Threading: pure functions. Errors: false if the message makes no sense; then the struct is not
// to be used. libc only.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "control/client/gmesp_control.h"
#include "control/link/message.h"

namespace gmesp::client {

/// A verdict without an error must say what to do.
bool read_verdict(link::MessageReader& from, gmesp_verdict& to);
bool read_event(link::MessageReader& from, gmesp_control_event& to);
/// `cursor`: where to go on from.
bool read_registration(link::MessageReader& from, gmesp_registration& to, uint64_t& cursor);
bool read_refusal(link::MessageReader& from, gmesp_refusal& to, uint64_t& cursor);
bool read_statistic(link::MessageReader& from, gmesp_statistic& to);
/// The text of a reply that holds no more than that; empty if it has none.
bool read_text(link::MessageReader& from, char (&to)[GMESP_DETAIL_BYTES]);

}  // namespace gmesp::client
