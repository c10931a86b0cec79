// Who may connect to a program's Unix socket: the permissions of its file and the credentials of
// the peer must both let him.
//
// Threading: pure functions. Errors: told to the Reader.
#pragma once

#include <cstdint>
#include <vector>

#include "control/settings/reader.h"

namespace gmesp::settings {

/// File permissions for `mode`. SocketMode::kAuto keeps everybody else from the socket until there
/// are `allowed_uids`; then any user opens it, and the credentials decide.
uint32_t socket_permissions(uint32_t mode, const std::vector<uint32_t>& allowed_uids);

/// An error if a mode lets none of the users open the socket that control.allowed_uids lets in.
void check_socket_access(uint32_t mode, const std::vector<uint32_t>& allowed_uids, Reader& reader);

}  // namespace gmesp::settings
