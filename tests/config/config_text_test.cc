// What runs when nothing is said, what is computed, and that printed and shipped configurations say
// the same.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "dataplane/config.h"

namespace gmesp::dataplane {
namespace {

Config read(std::string_view text) {
  const ConfigResult result = parse_config(text, "test.toml");
  for (const settings::Error& error : result.errors) ADD_FAILURE() << to_string(error);
  return result.config;
}

std::string contents(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(ConfigDefaults, AnEmptyFileRunsOnTwoTaps) {
  const Config config = read("");
  ASSERT_EQ(config.pairs.size(), 1u);
  EXPECT_EQ(config.pairs[0].access, "net_tap0,iface=gmesp-access");
  EXPECT_EQ(config.pairs[0].host, "net_tap1,iface=gmesp-host");
  EXPECT_EQ(config.workers.count, 1u);
  EXPECT_EQ(config.workers.idle, Config::Idle::kSleep);
}

TEST(ConfigDefaults, PathsCarryTheInstanceName) {
  const Config config =
      read("[instance]\nname = \"west\"\n[sa]\nmemory_path = \"/dev/shm/{instance}.sa\"\n");
  EXPECT_EQ(config.control.socket, "/run/gmesp/west.sock");
  EXPECT_EQ(config.sa.memory_path, "/dev/shm/west.sa");
}

TEST(ConfigDefaults, TheHostMtuLeavesRoomForEsp) {
  const auto host_mtu = [](int access_mtu, const std::string& more) {
    return read("[[pair]]\naccess = \"net_null0\"\nhost = \"net_null1\"\naccess_mtu_bytes = " +
                std::to_string(access_mtu) + "\n" + more)
        .pairs[0]
        .host_mtu_bytes;
  };
  EXPECT_EQ(host_mtu(1500, ""), 1400);
  EXPECT_EQ(host_mtu(9000, ""), 8900);
  EXPECT_EQ(host_mtu(1280, ""), 1280);  // IPv6 needs it, RFC 8200 5
  EXPECT_EQ(host_mtu(1500, "host_mtu_bytes = 1500\n"), 1500);
}

TEST(ConfigDefaults, WorkersFollowTheirCores) {
  EXPECT_EQ(read("[workers]\ncores = [3, 5]\n").workers.count, 2u);
  EXPECT_EQ(read("[workers]\ncount = 4\n").workers.count, 4u);
}

TEST(ConfigDefaults, BuffersCoverFullQueuesOfEveryWorker) {
  const Config small = read("");
  const Config large = read("[workers]\ncount = 4\n");
  EXPECT_GE(small.memory.packet_buffers, 4u * 1024);
  EXPECT_GE(large.memory.packet_buffers, 4u * 4 * 1024 + 4 * 3 * kHandoffSlots);
  EXPECT_GT(large.memory.megabytes, small.memory.megabytes);
  EXPECT_EQ(read("[memory]\npacket_buffers = 5000\n").memory.packet_buffers, 5000u);
}

TEST(ConfigDefaults, ManyWorkersAndJumboFramesDoNotOverflow) {
  std::string text = "[workers]\ncount = 64\n";
  for (int i = 0; i < 8; ++i)
    text += "[[pair]]\naccess = \"net_null" + std::to_string(2 * i) + "\"\nhost = \"net_null" +
            std::to_string(2 * i + 1) + "\"\naccess_mtu_bytes = 9500\nqueue_descriptors = 8192\n";
  const Config config = read(text);
  const uint64_t needed_bytes = uint64_t{config.memory.packet_buffers} * 9500;
  EXPECT_GT(uint64_t{config.memory.megabytes} << 20, needed_bytes);
}

TEST(ConfigText, IsReadBackAsTheSame) {
  Config config = read("");
  config.instance.name = "a-b_c";
  config.control.allowed_uids = {0, 1000, UINT32_MAX - 1};
  config.control.socket_mode = 0660;
  config.pairs = {
      {"0000:3b:00.0", "net_memif0,socket=/run/a \"b\" \\c.sock", 9000, 8000, false, false, 4096},
      {"net_null0", "net_null1", 1500, 1400, true, true, 512}};
  config.workers = {2, {1, 7}, Config::Idle::kPoll, 10, 20, 32};
  config.memory = {Config::Pages::kHuge, 1024, 200'000};
  config.sa = {2'000'000, 4096, "", false};
  config.protected_ports = {{{6000, 6999}, {7100, 7100}}, {5060, 5080}};
  config.nat = {4501, true, 255, Config::DontFragment::kClear, Config::Dscp::kZero};
  config.crypto = {crypto::EngineChoice::kOpenSsl,
                   {crypto::Integrity::kHmacMd5_96},
                   {crypto::Cipher::kDesEde3Cbc, crypto::Cipher::kNull}};
  config.log = {Config::LogLevel::kWarning, Config::LogFormat::kJson, "/var/log/audit.json"};
  EXPECT_EQ(read(config_text(config)), config);
}

TEST(ConfigText, ShippedExampleIsTheDefaultsWordForWord) {
  const std::string example = contents(GMESP_EXAMPLE_CONFIG);
  EXPECT_EQ(example, config_text(Config{})) << "scripts/gmespd.toml is not what the schema says";
  EXPECT_EQ(read(example), read(""));
}

}  // namespace
}  // namespace gmesp::dataplane
