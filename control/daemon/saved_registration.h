// One registration as the state file holds it: identities, and its sets without keys.
//
// Threading: pure functions. Errors: false when the bytes are not such a record.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/sa/registration.h"

namespace gmesp::control {

/// Live and lingering sets only: a registration procedure does not survive a restart.
/// Identities that find no room are left out from the end; the next registration brings them again.
std::string save_registration(const sa::Context& context);

bool read_registration(std::string_view bytes, sa::Context& context, std::vector<sa::SaSet>& sets);

}  // namespace gmesp::control
