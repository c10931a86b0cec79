// Folders of runtime files. /run/gmesp is not there after a boot; whichever daemon starts first
// makes it.
//
// Threading: any. Errors: thrown as std::system_error, with the folder's name.
#pragma once

#include <string>

namespace gmesp::shm {

/// The folder that `path` lies in, if it is missing; not those above it.
void make_folder_of(const std::string& path);

}  // namespace gmesp::shm
