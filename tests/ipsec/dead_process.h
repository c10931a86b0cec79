// A memory file on tmpfs, processes that die and leave SA sets in it, and what is found there.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "set_record.h"

namespace gmesp::ipsec {

inline constexpr uint32_t kCapacity = 8;

/// The file goes with the test.
class DeadProcess : public testing::Test {
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

  SaDatabaseOptions options(uint32_t capacity_sets = kCapacity) const {
    SaDatabaseOptions options = database_options(capacity_sets);
    options.memory_path = path_;
    options.restore = true;
    options.now_ms = kNowMs;
    return options;
  }
  SaDatabaseOptions wide_options(uint32_t window_packets) const {
    SaDatabaseOptions wide = options();
    wide.window_packets = window_packets;
    return wide;
  }

  /// The end of a life: no destructor runs.
  [[noreturn]] static void die() { _exit(testing::Test::HasFailure() ? 1 : 0); }
  /// Runs `life`, which ends with die(), in a process of its own.
  static void live_and_die(const std::function<void()>& life) {
    const pid_t child = fork();
    if (child == 0) {
      life();
      _exit(2);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_EQ(status, 0);
  }
  /// Leaves UEs 1 to `count`.
  void die_with_sets(uint32_t count, const RecordShape& shape = {}) const {
    live_and_die([&] {
      SaDatabase database(options());
      for (uint32_t number = 1; number <= count; ++number)
        install(database, make_record(number, shape));
      die();
    });
  }
  /// Changes what a dead process left, by a start that fails.
  void change(const std::function<void(SaMemory&)>& action, uint32_t window_packets = 128) const {
    struct StartFails {};
    try {
      SaMemory memory({path_, kCapacity, window_packets, true});
      ASSERT_TRUE(memory.is_adopted()) << memory.wiped_because();
      action(memory);
      throw StartFails{};
    } catch (const StartFails&) {
    }
  }

  Bytes content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write_content(const Bytes& bytes) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
  }

  std::string folder_;
  std::string path_;
};

inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const Bytes& bytes, const Bytes& part) {
  return std::search(bytes.begin(), bytes.end(), part.begin(), part.end()) != bytes.end();
}

}  // namespace gmesp::ipsec
