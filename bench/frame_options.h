// The command line options that say whose frames are made, the same for every program that makes
// some.
#pragma once

#include <CLI/CLI.hpp>
#include <vector>

#include "frame_store.h"

namespace gmesp::bench {

/// --ues, --cipher, --integrity, --tunnel and their sisters. `options` must outlive the parsing.
void add_frame_options(CLI::App& app, FrameStoreOptions& options);

/// --direction, one or more; `both` may be left out.
CLI::Option* add_direction_option(CLI::App& app, std::vector<Way>& ways, bool allows_both);

}  // namespace gmesp::bench
