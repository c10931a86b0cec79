// Which file the SA memory is, if the configuration leaves that to the machine: on hugetlbfs where
// pages are to spare, else on tmpfs. In pages of 4 KiB a packet among very many sets waits for the
// TLB, a twentieth to a tenth of its time (ARCHITECTURE.md).
//
// Units: bytes. Threading: none. Errors: none; what cannot be had is told and done without.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/config.h"
#include "dataplane/eal.h"

namespace gmesp::dataplane {

/// A hugetlbfs that we may write to.
struct HugeFolder {
  std::string path;
  uint64_t page_bytes;
  uint64_t free_bytes;  ///< in pages of this size, whoever takes them first
  uint64_t room_bytes;  ///< what the mount's size= leaves of them
};

/// Where a file is memory.
struct MemoryFolders {
  std::vector<HugeFolder> huge;  ///< smallest pages first
  std::string tmpfs = "/dev/shm";
};
MemoryFolders find_memory_folders();

struct SaMemoryPlace {
  std::string path;  ///< as SaMemoryOptions has it
  std::string lost;  ///< what the place costs and how to get a better one, or empty
};
/// Where a dead process left its sets, that is the place. Packet buffers come first: `plan` says
/// whether they take hugepages. Reads folders, changes nothing.
SaMemoryPlace place_sa_memory(const Config& config, const EalPlan& plan,
                              const MemoryFolders& folders);

}  // namespace gmesp::dataplane
