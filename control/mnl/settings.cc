#include "control/mnl/settings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "control/client/gmesp.h"
#include "control/mnl/report.h"

namespace gmesp::mnl {
namespace {

/// Digits alone: no sign, no blank, no unit, no more of them than a uint32_t has.
bool read_digits(const char* text, uint64_t& value) {
  const size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 10 || text[digits] != '\0') return false;
  value = strtoull(text, nullptr, 10);
  return true;
}

bool read_number(const char* name, uint32_t least, uint32_t most, uint32_t usual, uint32_t& to) {
  const char* text = getenv(name);
  to = usual;
  if (text == nullptr) return true;
  uint64_t value = 0;
  if (!read_digits(text, value) || value < least || value > most) {
    report("%s is \"%.40s\", allowed is a number from %u to %u", name, text, least, most);
    return false;
  }
  to = static_cast<uint32_t>(value);
  return true;
}

bool read_path(const char* name, const char* usual, const char*& to) {
  const char* text = getenv(name);
  to = text != nullptr ? text : usual;
  const size_t bytes_max = sizeof(sockaddr_un::sun_path) - 1;
  const size_t bytes = strlen(to);
  if (to[0] == '/' && bytes <= bytes_max) return true;
  report("%s is \"%.120s\", allowed is an absolute path of at most %zu bytes", name, to, bytes_max);
  return false;
}

}  // namespace

bool read_settings(Settings& settings) {
  return read_path("GMESP_MNL_SOCKET", GMESP_DEFAULT_SOCKET, settings.socket_path) &&
         read_number("GMESP_MNL_LIFETIME_S", kLifetimeMinS, kLifetimeMaxS, kLifetimeDefaultS,
                     settings.lifetime_s) &&
         read_number("GMESP_MNL_TIMEOUT_MS", kTimeoutMinMs, kTimeoutMaxMs, kTimeoutDefaultMs,
                     settings.timeout_ms);
}

}  // namespace gmesp::mnl
