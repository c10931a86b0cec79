// Any bytes as a configuration file: no crash, errors have a text, and what is accepted is printed
// and read back as the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dataplane/config.h"

using namespace gmesp::dataplane;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ConfigResult result = parse_config(text, "fuzz.toml");
  for (const gmesp::settings::Error& error : result.errors)
    if (to_string(error).empty() || error.allowed.empty()) std::abort();
  if (!result.errors.empty()) return 0;
  const ConfigResult again = parse_config(config_text(result.config), "printed.toml");
  if (!again.errors.empty() || !(again.config == result.config)) std::abort();
  return 0;
}
