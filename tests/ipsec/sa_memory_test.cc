// SA memory: what is on the file system, what is wiped, who may have it, and what happens without
// room.
#include "dataplane/ipsec/sa_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>

#include "set_record.h"

namespace gmesp::ipsec {
namespace {

/// A folder on tmpfs that goes with the test.
class SaMemoryFile : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/dev/shm/gmesp-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/sa";
  }
  void TearDown() override {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }

  SaDatabaseOptions options() const {
    SaDatabaseOptions options = database_options(8);
    options.memory_path = path_;
    return options;
  }
  Bytes content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool exists() const { return access(path_.c_str(), F_OK) == 0; }

  /// Leaves a file behind as a process does that is killed. Returns its epoch.
  uint64_t die_with_a_set() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      SaDatabase database(options());
      install(database, make_record(1));
      const uint64_t epoch = database.epoch();
      const bool told = write(ends[1], &epoch, sizeof epoch) == sizeof epoch;
      _exit(told ? 0 : 1);  // no destructor runs
    }
    uint64_t epoch = 0;
    EXPECT_EQ(read(ends[0], &epoch, sizeof epoch), ssize_t{sizeof epoch});
    close(ends[0]);
    close(ends[1]);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    return epoch;
  }

  std::string folder_;
  std::string path_;
};

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

bool contains(const Bytes& bytes, const Bytes& part) {
  return std::search(bytes.begin(), bytes.end(), part.begin(), part.end()) != bytes.end();
}

Bytes cipher_key() {
  const shm::SaSetRecord record = make_record(1);
  return {record.cipher_key, record.cipher_key + record.cipher_key_bytes};
}

// Shows: R-D-K2
TEST_F(SaMemoryFile, IsPrivateAndGoneAfterwards) {
  {
    const mode_t mask = umask(0);
    const SaDatabase database(options());
    umask(mask);
    struct stat status {};
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
    EXPECT_EQ(static_cast<uint64_t>(status.st_size), database.memory().bytes());
    EXPECT_GE(static_cast<uint64_t>(status.st_blocks) * 512, database.memory().bytes())
        << "all space is taken at the start";
  }
  EXPECT_FALSE(exists());
}

// Shows: R-D-K2, R-D-A2
TEST_F(SaMemoryFile, OldKeysAreWipedAndTheEpochGrows) {
  const uint64_t old_epoch = die_with_a_set();
  ASSERT_TRUE(contains(content(), cipher_key())) << "the test must see what it looks for";
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  // A second descriptor sees the old pages for as long as they exist.
  const int old = open(path_.c_str(), O_RDONLY);
  const SaDatabase database(options());
  EXPECT_GT(database.epoch(), old_epoch);
  EXPECT_EQ(database.live_sets(), 0u);
  EXPECT_FALSE(contains(content(), cipher_key()));
  struct stat status {};
  ASSERT_EQ(fstat(old, &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  close(old);
}

// Shows: R-D-K2
TEST_F(SaMemoryFile, KeysAreWipedWhenASetGoes) {
  SaDatabase database(options());
  const uint64_t set_id = install(database, make_record(1));
  EXPECT_TRUE(contains(content(), cipher_key()));
  remove(database, set_id);
  EXPECT_FALSE(contains(content(), cipher_key()));
}

// Shows: R-D-K2
TEST_F(SaMemoryFile, KeysAreWipedAtTheEnd) {
  auto database = std::make_unique<SaDatabase>(options());
  install(*database, make_record(1));
  const int file = open(path_.c_str(), O_RDONLY);
  const uint64_t bytes = database->memory().bytes();
  database.reset();
  Bytes left(bytes);
  ASSERT_EQ(pread(file, left.data(), bytes, 0), static_cast<ssize_t>(bytes));
  close(file);
  EXPECT_FALSE(contains(left, cipher_key()));
}

// Shows: R-D-K2
TEST_F(SaMemoryFile, TwoProcessesCannotShareIt) {
  const SaDatabase database(options());
  const std::string error = error_of([&] { SaDatabase second(options()); });
  EXPECT_NE(error.find(path_), std::string::npos) << error;
  EXPECT_NE(error.find("in use"), std::string::npos) << error;
  EXPECT_TRUE(exists()) << "the loser must not remove it";
}

TEST_F(SaMemoryFile, CanBeUsedAgainAfterACleanStop) {
  uint64_t epoch = 0;
  for (int i = 0; i < 3; ++i) {
    const SaDatabase database(options());
    EXPECT_GE(database.epoch(), epoch);
    epoch = database.epoch();
  }
}

// Shows: R-D-K2
TEST_F(SaMemoryFile, ForeignFilesAreLeftAlone) {
  for (const std::string& text : {std::string("short"), std::string(5000, 'x')}) {
    std::ofstream(path_) << text;
    const std::string error = error_of([&] { SaDatabase database(options()); });
    EXPECT_NE(error.find("not an SA memory"), std::string::npos) << error;
    const Bytes left = content();
    EXPECT_EQ(std::string(left.begin(), left.end()), text);
  }
}

/// Keys must not reach a disk; nor does a link lead them elsewhere.
// Shows: R-D-K2
TEST_F(SaMemoryFile, MustBeARegularFileOnTmpfs) {
  SaDatabaseOptions elsewhere = options();
  elsewhere.memory_path = "/proc/self/comm";
  EXPECT_NE(error_of([&] { SaDatabase database(elsewhere); }), "");
  elsewhere.memory_path = folder_;
  EXPECT_NE(error_of([&] { SaDatabase database(elsewhere); }), "");
  elsewhere.memory_path = folder_ + "/missing/sa";
  EXPECT_NE(error_of([&] { SaDatabase database(elsewhere); }).find("missing"), std::string::npos);
  ASSERT_EQ(symlink("/dev/shm/gmesp-test-target", path_.c_str()), 0);
  EXPECT_NE(error_of([&] { SaDatabase database(options()); }), "");
}

/// Runs `check` in a process of its own, with a tmpfs of 64 KiB at `folder`. Returns its exit
/// status, or -1 if this machine gives no mount name space.
int on_a_small_file_system(const std::string& folder, const std::function<int()>& check) {
  constexpr int kNoNamespace = 77;
  const pid_t child = fork();
  if (child == 0) {
    const bool is_root = geteuid() == 0;
    const bool mounted =
        unshare(CLONE_NEWNS | (is_root ? 0 : CLONE_NEWUSER)) == 0 &&
        (!is_root || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) &&
        mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=64k") == 0;
    _exit(mounted ? check() : kNoNamespace);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return 128 + WTERMSIG(status);
  return WEXITSTATUS(status) == kNoNamespace ? -1 : WEXITSTATUS(status);
}

// Shows: R-D-E2
TEST_F(SaMemoryFile, LackOfSpaceIsAClearErrorAtTheStart) {
  const int status = on_a_small_file_system(folder_, [&] {
    SaDatabaseOptions large = options();
    large.capacity_sets = 1000;
    const std::string error = error_of([&] { SaDatabase database(large); });
    if (error.find("no space") == std::string::npos) return 1;
    if (error.find("1000 sets") == std::string::npos) return 2;
    if (exists()) return 3;
    const SaDatabase small(options());
    return small.live_sets() == 0 ? 0 : 4;
  });
  if (status == -1) GTEST_SKIP() << "needs a mount name space";
  EXPECT_EQ(status, 0);
}

/// A process without the right to lock runs on, and says so.
// Shows: R-D-K2
TEST_F(SaMemoryFile, LockingIsReported) {
  constexpr int kLocksAreIgnored = 77;  // sanitizers turn mlock() into nothing
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none = {0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) _exit(1);
    if (geteuid() == 0 && (setgid(65'534) != 0 || setuid(65'534) != 0)) _exit(2);
    if (mlock(this, 1) == 0) _exit(kLocksAreIgnored);
    const SaDatabase database(database_options(1));
    const std::string& failure = database.memory().lock_failure();
    _exit(failure.find("RLIMIT_MEMLOCK is 0") != std::string::npos ? 0 : 3);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WEXITSTATUS(status) == kLocksAreIgnored) GTEST_SKIP() << "nothing to see under a sanitizer";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

/// smaps names the flags of the mapping: "dd" is MADV_DONTDUMP.
// Shows: R-D-K2
TEST_F(SaMemoryFile, StaysOutOfCoreDumps) {
  const SaDatabase database(options());
  std::ifstream smaps("/proc/self/smaps");
  bool is_ours = false;
  bool is_kept_out = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find('-') < 17 && line.find(' ') < 34) is_ours = line.find(path_) != std::string::npos;
    if (is_ours && line.rfind("VmFlags:", 0) == 0)
      is_kept_out = line.find(" dd") != std::string::npos;
  }
  EXPECT_TRUE(is_kept_out);
}

/// Where the bytes go: DRAM per set is what limits the number of UEs.
// Shows: R-C-06
TEST(SaMemory, HasTheSizeThatItsRecordsAddUpTo) {
  EXPECT_EQ(sizeof(SetState) + sizeof(SetHot), 704u);
  constexpr uint32_t kSets = 10'000;
  for (const auto& [window, bytes] : {std::pair{128u, 704u},
                                      {256u, 704u + 2 * 5 * 8},
                                      {1024u, 704u + 2 * 17 * 8},
                                      {4096u, 704u + 2 * 65 * 8}}) {
    const SaMemory memory({"", kSets, window});
    EXPECT_GE(memory.bytes(), uint64_t{kSets} * bytes);
    EXPECT_LE(memory.bytes(), uint64_t{kSets} * bytes + 8192);
  }
}

/// No two SAs share a byte, whatever the window.
// Shows: R-2406-03
TEST(SaMemory, RecordsDoNotOverlap) {
  for (const uint32_t window : {32u, 128u, 160u, 4096u}) {
    constexpr uint32_t kSets = 20;
    const SaMemory memory({"", kSets, window});
    std::vector<std::pair<const char*, size_t>> ranges;
    const auto add = [&](const void* at, size_t bytes) {
      ranges.emplace_back(static_cast<const char*>(at), bytes);
    };
    add(&memory.header(), sizeof(SaMemoryHeader));
    for (SetIndex set = 0; set < kSets; ++set) {
      add(&memory.set_state(set), sizeof(SetState));
      add(&memory.keys(set), sizeof(crypto::SaKeys));
      EXPECT_EQ(reinterpret_cast<uintptr_t>(&memory.keys(set)) % 64, 0u);
      for (uint32_t role = 0; role < kSasPerSet; ++role) {
        const SaIndex sa = set * kSasPerSet + role;
        add(&memory.hot(sa), sizeof(SaHot));
        EXPECT_EQ(reinterpret_cast<uintptr_t>(&memory.hot(sa)) % 64, 0u);
        if (is_inbound(role_of(sa)) && window > kInlineWindowPackets)
          add(memory.window(sa), window_words(window) * sizeof(uint64_t));
      }
    }
    std::sort(ranges.begin(), ranges.end());
    for (size_t i = 1; i < ranges.size(); ++i)
      ASSERT_LE(ranges[i - 1].first + ranges[i - 1].second, ranges[i].first);
    const auto* begin = reinterpret_cast<const char*>(&memory.header());
    EXPECT_LE(ranges.back().first + ranges.back().second, begin + memory.bytes());
  }
}

/// The next process compares these before it believes a file (R-D-A2).
// Shows: R-C-02, R-D-A2
TEST(SaMemory, HeaderSaysWhatItIs) {
  const SaMemory memory({"", 3, 256});
  const SaMemoryHeader& header = memory.header();
  EXPECT_EQ(header.magic, SaMemoryHeader::kMagic);
  EXPECT_NE(header.layout_hash, 0u);
  EXPECT_EQ(header.capacity_sets, 3u);
  EXPECT_EQ(header.window_packets, 256u);
  EXPECT_EQ(header.bytes, memory.bytes());
  EXPECT_GT(header.created_ms, 0u);
  EXPECT_EQ(std::string(header.boot_id.data()).size(), 36u);
}

}  // namespace
}  // namespace gmesp::ipsec
