#include "control/settings/socket_access.h"

#include <algorithm>

#include "control/settings/codec.h"

namespace gmesp::settings {
namespace {

constexpr uint32_t kOwnerOnly = 0600;
constexpr uint32_t kEverybody = 0666;
constexpr uint32_t kGroupMayWrite = 0020;  // connect() asks for no more
constexpr uint32_t kOthersMayWrite = 0002;

}  // namespace

uint32_t socket_permissions(uint32_t mode, const std::vector<uint32_t>& allowed_uids) {
  if (mode != SocketMode::kAuto) return mode;
  return allowed_uids.empty() ? kOwnerOnly : kEverybody;
}

void check_socket_access(uint32_t mode, const std::vector<uint32_t>& allowed_uids, Reader& reader) {
  const bool names_others =
      std::ranges::any_of(allowed_uids, [](uint32_t uid) { return uid != 0; });
  const uint32_t permissions = socket_permissions(mode, allowed_uids);
  if (names_others && (permissions & (kGroupMayWrite | kOthersMayWrite)) == 0)
    reader.add(
        "control.socket_mode", SocketMode{}.write(mode),
        "\"auto\", or a mode by which the users of control.allowed_uids can open the socket");
}

}  // namespace gmesp::settings
