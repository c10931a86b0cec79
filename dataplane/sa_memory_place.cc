#include "dataplane/sa_memory_place.h"

#include <fmt/format.h>
#include <mntent.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "dataplane/ipsec/sa_memory.h"

namespace gmesp::dataplane {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;

HugeFolder inspect(const char* path, const struct statfs& file_system) {
  const auto page_bytes = static_cast<uint64_t>(file_system.f_bsize);
  HugeFolder folder{path, page_bytes, free_huge_bytes(page_bytes), UINT64_MAX};
  // Without a limit of its own, the file system says that it has no blocks at all.
  if (file_system.f_blocks != 0) folder.room_bytes = file_system.f_bavail * page_bytes;
  return folder;
}

uint64_t bytes_needed(const Config& config, uint64_t page_bytes) {
  return ipsec::SaMemory::bytes_needed(config.sa.capacity_sets, config.sa.replay_window_packets,
                                       config.sa.key_export, page_bytes);
}

uint64_t bytes_of_buffers(const Config& config, const EalPlan& plan) {
  return plan.huge_pages ? config.memory.megabytes * kMegabyte : 0;
}

bool has_room(const HugeFolder& folder, const Config& config, const EalPlan& plan) {
  const uint64_t needed = bytes_needed(config, folder.page_bytes);
  return folder.room_bytes >= needed &&
         folder.free_bytes >= needed + bytes_of_buffers(config, plan);
}

bool is_there(const std::string& path) {
  std::error_code error;  // a folder that may not be searched has nothing of ours
  return std::filesystem::exists(path, error);
}

std::string why_in_ordinary_pages(const MemoryFolders& folders, const Config& config,
                                  const EalPlan& plan) {
  std::string found = "no hugetlbfs is mounted that we may write to";
  if (!folders.huge.empty()) {
    const HugeFolder& folder = folders.huge.front();
    found = fmt::format(
        "{} has {} MB of free hugepages, of which packet buffers take {} MB, and "
        "{} sets need {} MB",
        folder.path, std::min(folder.free_bytes, folder.room_bytes) / kMegabyte,
        bytes_of_buffers(config, plan) / kMegabyte, config.sa.capacity_sets,
        bytes_needed(config, folder.page_bytes) / kMegabyte);
  }
  return fmt::format(
      "SA memory in ordinary pages ({}): up to a tenth of the throughput with very many SA sets; "
      "scripts/setup reserves and mounts hugepages, GMESP_HUGEPAGES says how many",
      found);
}

}  // namespace

MemoryFolders find_memory_folders() {
  MemoryFolders folders;
  FILE* const mounts = setmntent("/proc/self/mounts", "r");
  if (mounts == nullptr) return folders;
  while (const mntent* mount = getmntent(mounts)) {
    struct statfs file_system {};
    if (std::string_view(mount->mnt_type) == "hugetlbfs" &&
        access(mount->mnt_dir, W_OK | X_OK) == 0 && statfs(mount->mnt_dir, &file_system) == 0)
      folders.huge.push_back(inspect(mount->mnt_dir, file_system));
  }
  endmntent(mounts);
  std::ranges::stable_sort(folders.huge, {}, &HugeFolder::page_bytes);
  return folders;
}

SaMemoryPlace place_sa_memory(const Config& config, const EalPlan& plan,
                              const MemoryFolders& folders) {
  if (config.sa.memory_path != kAutoMemoryPath) return {config.sa.memory_path, ""};
  const auto file_in = [&](const std::string& folder) {
    return folder + "/" + config.instance.name + ".sa";
  };
  const std::string on_tmpfs = file_in(folders.tmpfs);
  for (const HugeFolder& folder : folders.huge)
    if (is_there(file_in(folder.path))) return {file_in(folder.path), ""};
  if (config.memory.pages == Config::Pages::kSmall || is_there(on_tmpfs)) return {on_tmpfs, ""};
  for (const HugeFolder& folder : folders.huge)
    if (has_room(folder, config, plan)) return {file_in(folder.path), ""};
  // Where there are no hugepages at all, the plan says so already.
  return {on_tmpfs, plan.huge_pages ? why_in_ordinary_pages(folders, config, plan) : ""};
}

}  // namespace gmesp::dataplane
