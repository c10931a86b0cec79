#include "control/shm/folder.h"

#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace gmesp::shm {

void make_folder_of(const std::string& path) {
  constexpr mode_t kMode = 0755;
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || slash == 0) return;
  const std::string folder = path.substr(0, slash);
  if (mkdir(folder.c_str(), kMode) != 0 && errno != EEXIST)
    throw std::system_error(errno, std::generic_category(), "folder " + folder);
}

}  // namespace gmesp::shm
