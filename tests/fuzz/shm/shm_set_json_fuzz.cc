// One line of `gmespctl sa load`: any bytes. A line that is taken must be a set within the limits
// that the errors name.
#include <cstdlib>
#include <string>

#include "control/cli/set_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gmesp::cli;
  gmesp_sa_set set;
  try {
    set_from_json(std::string(reinterpret_cast<const char*>(data), size), set);
  } catch (const InputError&) {
    return 0;
  }
  const bool is_sound = set.size == sizeof set && set.port_uc != 0 && set.port_us != 0 &&
                        set.port_pc != 0 && set.port_ps != 0 && set.spi_uc > 255 &&
                        set.spi_us > 255 && set.spi_pc > 255 && set.spi_ps > 255 &&
                        set.integrity_key_bytes <= sizeof set.integrity_key &&
                        set.cipher_key_bytes <= sizeof set.cipher_key && set.mode >= 1 &&
                        set.mode <= 2 && set.not_after_ms > gmesp_now_ms();
  if (!is_sound) abort();
  return 0;
}
