// Texts that came from the network on a terminal: a UE chooses its own IMPI, and an escape sequence
// in it must not reach the operator's screen.
//
// Threading: pure functions. Errors: none.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace gmesp::cli {

/// `text` with a '?' for every byte that is not printable ASCII.
std::string printable(std::string_view text);

/// One line of JSON; bytes that are not UTF-8 are replaced.
std::string json_text(const nlohmann::ordered_json& value);

}  // namespace gmesp::cli
