#include "dataplane/sa_memory_place.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "dataplane/ipsec/sa_memory.h"

namespace gmesp::dataplane {
namespace {

constexpr uint64_t kMegabyte = 1 << 20, kPage = 2 * kMegabyte;

/// Ordinary folders in place of mounts: what is decided depends on numbers and files alone.
class SaMemoryPlaceTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.instance.name = "west";
    config_.sa.capacity_sets = 1000;
    config_.memory.megabytes = 100;
    plan_.huge_pages = true;
    folders_.tmpfs = folder("tmpfs");
    add_huge("huge", needed() + 100 * kMegabyte);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  uint64_t needed(uint64_t page_bytes = kPage) const {
    return ipsec::SaMemory::bytes_needed(config_.sa.capacity_sets, config_.sa.replay_window_packets,
                                         false, page_bytes);
  }
  std::string folder(const std::string& name) const {
    std::filesystem::create_directories(root_ / name);
    return (root_ / name).string();
  }
  void add_huge(const std::string& name, uint64_t free_bytes, uint64_t page_bytes = kPage) {
    folders_.huge.push_back({folder(name), page_bytes, free_bytes, UINT64_MAX});
  }
  void leave_file(const std::string& folder) const { std::ofstream(folder + "/west.sa") << "x"; }
  SaMemoryPlace place() const { return place_sa_memory(config_, plan_, folders_); }

  void expect_huge() const {
    EXPECT_EQ(place().path, folders_.huge[0].path + "/west.sa");
    EXPECT_EQ(place().lost, "");
  }
  void expect_tmpfs_for(const std::string& why) const {
    EXPECT_EQ(place().path, folders_.tmpfs + "/west.sa");
    EXPECT_NE(place().lost.find(why), std::string::npos) << place().lost;
  }

  const std::filesystem::path root_ =
      std::filesystem::path(testing::TempDir()) / ("place-" + std::to_string(getpid()));
  Config config_;
  EalPlan plan_;
  MemoryFolders folders_;
};

TEST_F(SaMemoryPlaceTest, APathIsTakenAsItIs) {
  config_.sa.memory_path = "/dev/shm/mine.sa";
  EXPECT_EQ(place().path, "/dev/shm/mine.sa");
  config_.sa.memory_path = "";
  EXPECT_EQ(place().path, "");
  EXPECT_EQ(place().lost, "");
}

TEST_F(SaMemoryPlaceTest, OnHugepagesIfThereIsRoomBesidePacketBuffers) {
  expect_huge();
  folders_.huge[0].free_bytes -= kPage;
  expect_tmpfs_for("100 MB of free hugepages, of which packet buffers take 100 MB");
  plan_.huge_pages = false;  // those of packet buffers were not enough, so that none are taken
  expect_huge();
}

TEST_F(SaMemoryPlaceTest, TheLimitOfTheMountCounts) {
  folders_.huge[0].room_bytes = needed();
  expect_huge();
  folders_.huge[0].room_bytes -= kPage;
  expect_tmpfs_for("1000 sets need");
}

TEST_F(SaMemoryPlaceTest, WithoutAMountItIsTold) {
  folders_.huge.clear();
  expect_tmpfs_for("no hugetlbfs is mounted");
  plan_.huge_pages = false;  // then the plan has told that there are no hugepages
  EXPECT_EQ(place().lost, "");
}

TEST_F(SaMemoryPlaceTest, SmallPagesAreNoLossToWhomWantsThem) {
  config_.memory.pages = Config::Pages::kSmall;
  plan_.huge_pages = false;
  EXPECT_EQ(place().path, folders_.tmpfs + "/west.sa");
  EXPECT_EQ(place().lost, "");
}

TEST_F(SaMemoryPlaceTest, TheNextMountIsAskedToo) {
  folders_.huge[0].free_bytes = 0;
  constexpr uint64_t kGigabyte = 1 << 30;
  add_huge("gigantic", needed(kGigabyte) + 100 * kMegabyte, kGigabyte);
  EXPECT_EQ(place().path, folders_.huge[1].path + "/west.sa");
}

// Shows: R-D-A2
TEST_F(SaMemoryPlaceTest, WhereADeadProcessLeftItsSets) {
  leave_file(folders_.tmpfs);
  EXPECT_EQ(place().path, folders_.tmpfs + "/west.sa");
  leave_file(folders_.huge[0].path);
  folders_.huge[0].free_bytes = 0;  // they are in it
  expect_huge();
  config_.memory.pages = Config::Pages::kSmall;
  expect_huge();
}

TEST(MemoryFolders, AllMountsThatMayBeWrittenToAreFound) {
  size_t mounts = 0;
  std::ifstream lines("/proc/mounts");
  for (std::string device, path, type, rest; lines >> device >> path >> type;) {
    std::getline(lines, rest);
    mounts += type == "hugetlbfs" && access(path.c_str(), W_OK) == 0;
  }
  const MemoryFolders folders = find_memory_folders();
  EXPECT_EQ(folders.huge.size(), mounts);
  uint64_t page_bytes = 0;
  for (const HugeFolder& folder : folders.huge) {
    EXPECT_GE(folder.page_bytes, page_bytes) << "smallest first: " << folder.path;
    page_bytes = folder.page_bytes;
    EXPECT_LE(folder.free_bytes, inspect_machine().free_huge_bytes) << folder.path;
    EXPECT_TRUE(folder.room_bytes == UINT64_MAX || folder.room_bytes % page_bytes == 0)
        << folder.path << " has room for " << folder.room_bytes;
  }
}

}  // namespace
}  // namespace gmesp::dataplane
