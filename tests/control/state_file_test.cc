// The state file of gmesp-control: what was written is found again, whole or not at all, whatever
// happened in between.
#include "control/daemon/state_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <random>
#include <set>

namespace gmesp::control {
namespace {

constexpr uint64_t kBytesMax = uint64_t{64} << 20;

class StateFileTest : public testing::Test {
 protected:
  StateFileTest() {
    char name[] = "/dev/shm/gmesp-state-XXXXXX";
    folder_ = mkdtemp(name);
    path_ = folder_ + "/registrations";
  }
  ~StateFileTest() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  std::multiset<std::string> found() {
    StateFile file(path_, kBytesMax);
    std::multiset<std::string> records;
    for (const StateFile::Found& record : file.take_found()) records.insert(record.bytes);
    return records;
  }
  void overwrite(uint64_t at, const std::string& bytes) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  std::string folder_;
  std::string path_;
};

// Shows: R-C-03
TEST_F(StateFileTest, FindsWhatTheLastProcessWrote) {
  const std::string large(3000, 'x');
  {
    StateFile file(path_, kBytesMax);
    uint32_t one = 0, two = 0, three = 0;
    ASSERT_TRUE(file.put(one, "first"));
    ASSERT_TRUE(file.put(two, large));
    ASSERT_TRUE(file.put(three, "gone"));
    ASSERT_TRUE(file.put(one, "first, changed"));
    file.erase(three);
  }
  EXPECT_EQ(found(), (std::multiset<std::string>{"first, changed", large}));
  EXPECT_EQ(found().size(), 2u) << "also the second time";
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(StateFileTest, MakesItsFolderAndTellsWhenItCannot) {
  const std::string inner = folder_ + "/run";
  {
    StateFile file(inner + "/registrations", kBytesMax);
    uint32_t record = 0;
    EXPECT_TRUE(file.put(record, "first"));
  }
  EXPECT_EQ(unlink((inner + "/registrations").c_str()), 0);
  EXPECT_EQ(rmdir(inner.c_str()), 0);
  EXPECT_THROW(StateFile(inner + "/two/registrations", kBytesMax), std::runtime_error);
}

// Shows: R-C-03
TEST_F(StateFileTest, AgreesWithAMapUnderRandomChanges) {
  std::mt19937_64 random(7);
  std::map<uint32_t, std::string> expected;
  uint64_t used = 0;
  {
    StateFile file(path_, kBytesMax);
    for (int i = 0; i < 20'000; ++i) {
      uint32_t record = 0;
      if (!expected.empty() && random() % 3 != 0) {
        record = std::next(expected.begin(), static_cast<long>(random() % expected.size()))->first;
        expected.erase(record);
      }
      if (random() % 4 == 0) {
        file.erase(record);
        continue;
      }
      const std::string bytes(random() % 1500, static_cast<char>('a' + i % 26));
      ASSERT_TRUE(file.put(record, bytes));
      expected[record] = bytes;
    }
    used = file.slots_used();
  }
  std::multiset<std::string> all;
  for (const auto& [record, bytes] : expected) all.insert(bytes);
  EXPECT_EQ(found(), all);
  StateFile file(path_, kBytesMax);
  EXPECT_EQ(file.slots_used(), used) << "no slot is lost";
  EXPECT_EQ(file.damaged_slots(), 0u);
}

/// A process that dies while it writes leaves some slots of the new version.
// Shows: R-C-03
TEST_F(StateFileTest, SpaceForWhatIsExpectedIsTakenAtOnceAndNoMoreThanAllowed) {
  StateFile file(path_, kBytesMax);
  file.expect(20'000);
  const uint64_t bytes = file.bytes();
  for (int i = 0; i < 20'000; ++i) {
    uint32_t record = 0;
    ASSERT_TRUE(file.put(record, "a registration"));
  }
  EXPECT_EQ(file.bytes(), bytes);
  file.expect(10'000'000);
  EXPECT_LE(file.bytes(), kBytesMax);
  EXPECT_GT(file.bytes(), kBytesMax * 3 / 4);
  StateFile nowhere("", kBytesMax);
  nowhere.expect(20'000);
}

TEST_F(StateFileTest, ADamagedRecordIsLeftOutAndTheOthersStay) {
  {
    StateFile file(path_, kBytesMax);
    for (int i = 0; i < 10; ++i) {
      uint32_t record = 0;
      ASSERT_TRUE(file.put(record, "record " + std::to_string(i) + std::string(600, '.')));
    }
  }
  std::mt19937_64 random(11);
  constexpr uint64_t kSlotBytes = 512;
  for (int i = 0; i < 3; ++i)
    overwrite(kSlotBytes * (1 + random() % 20) + random() % 400, std::string(1, '\x7f'));
  const std::multiset<std::string> left = found();
  EXPECT_GE(left.size(), 7u);
  EXPECT_LT(left.size(), 10u);
  for (const std::string& record : left) EXPECT_EQ(record.substr(0, 7), "record ");
}

// Shows: R-C-03
TEST_F(StateFileTest, AnotherBootBeginsAnew) {
  {
    StateFile file(path_, kBytesMax);
    uint32_t record = 0;
    ASSERT_TRUE(file.put(record, "of another boot"));
  }
  overwrite(16, "00000000-0000");
  StateFile file(path_, kBytesMax);
  EXPECT_TRUE(file.take_found().empty());
  EXPECT_NE(file.begun_anew(), "");
}

TEST_F(StateFileTest, FilesThatAreNoneAreBegunAnewOrRefused) {
  for (const size_t bytes : {size_t{1}, size_t{511}, size_t{4} << 20}) {
    std::ofstream(path_, std::ios::trunc) << std::string(bytes, 'z');
    StateFile file(path_, kBytesMax);
    EXPECT_TRUE(file.take_found().empty()) << bytes;
  }
  unlink(path_.c_str());
  ASSERT_EQ(symlink("/etc/passwd", path_.c_str()), 0);
  EXPECT_THROW(StateFile(path_, kBytesMax), std::runtime_error) << "a link is not followed";
}

TEST_F(StateFileTest, ASecondProcessIsRefused) {
  StateFile file(path_, kBytesMax);
  EXPECT_THROW(StateFile(path_, kBytesMax), std::runtime_error);
}

TEST_F(StateFileTest, AFullFileSaysSoAndKeepsWhatItHas) {
  constexpr uint64_t kSmall = uint64_t{4} << 20;
  uint64_t written = 0;
  {
    StateFile file(path_, kSmall);
    uint32_t record = 0;
    while (file.put(record, std::string(400, 'k'))) {
      ++written;
      record = 0;
    }
  }
  EXPECT_EQ(written, kSmall / 512 - 1);
  EXPECT_EQ(found().size(), written);
}

}  // namespace
}  // namespace gmesp::control
