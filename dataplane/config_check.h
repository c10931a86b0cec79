// The rules that span several settings, and the values that are computed from others.
//
// Threading: any. Errors: given to the reader, which knows where the keys stand.
#pragma once

#include "control/settings/reader.h"
#include "dataplane/config.h"

namespace gmesp::dataplane {

/// Fills in what is computed.
void complete_config(Config& config);
/// `config` is complete.
void check_config(const Config& config, settings::Reader& reader);

}  // namespace gmesp::dataplane
