#include "control/cli/printable.h"

#include <nlohmann/json.hpp>

namespace gmesp::cli {

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& letter : out)
    if (letter < ' ' || letter > '~') letter = '?';
  return out;
}

std::string json_text(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace gmesp::cli
