// Times, addresses, keys: the helpers of gmesp.h that need no connection.
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "control/client/dp.h"

namespace gmesp::client {
namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

uint64_t clock_ms(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace

uint64_t monotonic_ms() {
  return clock_ms(CLOCK_MONOTONIC);
}

}  // namespace gmesp::client

using gmesp::client::kMappedPrefix;

static_assert(GMESP_ADDRESS_TEXT_BYTES == INET6_ADDRSTRLEN);

uint64_t gmesp_now_ms() {
  return gmesp::client::clock_ms(CLOCK_BOOTTIME);
}

uint64_t gmesp_not_after_ms(uint64_t lifetime_ms) {
  const uint64_t now_ms = gmesp_now_ms();
  return lifetime_ms > GMESP_FOREVER - now_ms ? GMESP_FOREVER : now_ms + lifetime_ms;
}

int gmesp_address_from_text(const char* text, uint8_t address[GMESP_ADDRESS_BYTES]) {
  if (text == nullptr || address == nullptr) return GMESP_E_BAD_ARGUMENT;
  uint8_t found[GMESP_ADDRESS_BYTES];
  memcpy(found, kMappedPrefix, sizeof kMappedPrefix);
  if (inet_pton(AF_INET, text, found + sizeof kMappedPrefix) != 1 &&
      inet_pton(AF_INET6, text, found) != 1)
    return GMESP_E_ADDRESS_UNUSABLE;
  memcpy(address, found, sizeof found);
  return GMESP_OK;
}

void gmesp_address_to_text(const uint8_t address[GMESP_ADDRESS_BYTES],
                           char text[GMESP_ADDRESS_TEXT_BYTES]) {
  const bool is_ipv4 = memcmp(address, kMappedPrefix, sizeof kMappedPrefix) == 0;
  const uint8_t* from = is_ipv4 ? address + sizeof kMappedPrefix : address;
  inet_ntop(is_ipv4 ? AF_INET : AF_INET6, from, text, GMESP_ADDRESS_TEXT_BYTES);
}

void gmesp_sa_set_wipe(gmesp_sa_set* set) {
  if (set == nullptr) return;
  explicit_bzero(set->integrity_key, sizeof set->integrity_key);
  explicit_bzero(set->cipher_key, sizeof set->cipher_key);
}
