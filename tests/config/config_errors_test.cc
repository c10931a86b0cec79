// Every kind of mistake in a configuration is told with file, line, column, key, what was found and
// what is allowed, and all mistakes are told at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include "dataplane/config.h"

namespace gmesp::dataplane {
namespace {

struct Mistake {
  const char* name;
  const char* text;  ///< begins with a line of its own, so that line 1 is never right by chance
  uint32_t line;
  uint32_t column;
  const char* key;
  const char* found;
  const char* allowed;  ///< a part of what is allowed
};

const Mistake kMistakes[] = {
    {"not_toml", "\n[workers\n", 2, 9, "", "", "TOML 1.0"},
    {"key_twice", "\n[sa]\ncapacity_sets = 1\ncapacity_sets = 2\n", 4, 17, "", "redefine", "TOML"},
    {"unknown_key", "\n[control]\nsokcet = \"/x\"\n", 3, 1, "control.sokcet", "an unknown key",
     "did you mean socket?"},
    {"unknown_table", "\n[worker]\ncount = 1\n", 2, 2, "worker", "an unknown table",
     "did you mean workers?"},
    {"unknown_key_at_the_top", "\nspeed = 1\n", 2, 1, "speed", "an unknown key", "instance"},
    {"too_large", "\n[sa]\ncapacity_sets = 2000001\n", 3, 17, "sa.capacity_sets", "2000001",
     "1..2000000"},
    {"zero", "\n[sa]\ncapacity_sets = 0\n", 3, 17, "sa.capacity_sets", "0", "1..2000000"},
    {"negative", "\n[workers]\ncount = -1\n", 3, 9, "workers.count", "-1", "0..64"},
    {"fraction", "\n[workers]\ncount = 1.0\n", 3, 9, "workers.count", "a number with a fraction",
     "0..64"},
    {"text_for_a_number", "\n[workers]\ncount = \"1\"\n", 3, 9, "workers.count", "\"1\"", "0..64"},
    {"not_a_multiple", "\n[sa]\nreplay_window_packets = 100\n", 3, 25, "sa.replay_window_packets",
     "100", "64..4096, a multiple of 64, or 32"},
    {"number_for_a_boolean", "\n[nat]\nfollow_peer_port = 1\n", 3, 20, "nat.follow_peer_port", "1",
     "true or false"},
    {"not_a_choice", "\n[workers]\nidle = \"nap\"\n", 3, 8, "workers.idle", "\"nap\"",
     "\"sleep\", \"yield\", \"poll\""},
    {"not_a_path", "\n[control]\nsocket = \"gmespd.sock\"\n", 3, 10, "control.socket",
     "\"gmespd.sock\"", "an absolute path"},
    {"nul_in_a_path", "\n[control]\nsocket = \"/a\\u0000b\"\n", 3, 10, "control.socket",
     "\"/a\\u0000b\"", "an absolute path"},
    {"mode_without_owner", "\n[control]\nsocket_mode = \"0060\"\n", 3, 15, "control.socket_mode",
     "\"0060\"", "four octal digits"},
    {"mode_that_is_a_word", "\n[control]\nsocket_mode = \"all\"\n", 3, 15, "control.socket_mode",
     "\"all\"", "\"auto\", or a string of four octal digits"},
    {"users_whom_the_mode_keeps_out",
     "\n[control]\nsocket_mode = \"0600\"\nallowed_uids = [0, 1000]\n", 3, 15,
     "control.socket_mode", "\"0600\"", "the users of control.allowed_uids can open the socket"},
    {"table_for_a_value", "\n[workers.count]\n", 2, 1, "workers.count", "a table", "0..64"},
    {"value_for_a_table", "\nworkers = 3\n", 2, 11, "workers", "3", "a table, [workers]"},
    {"value_for_a_list", "\n[workers]\ncores = 1\n", 3, 9, "workers.cores", "1", "an array"},
    {"wrong_list_entry", "\n[workers]\ncores = [0, \"1\"]\n", 3, 13, "workers.cores[1]", "\"1\"",
     "0..1023"},
    {"table_for_tables", "\n[pair]\naccess = \"net_null0\"\n", 2, 1, "pair", "a table", "[[pair]]"},
    {"sip_method", "\n[screen]\nmethods = [\"register\"]\n", 3, 12, "screen.methods[0]",
     "\"register\"", "\"REGISTER\", \"INVITE\""},
    {"answer_that_is_no_refusal", "\n[screen]\nnot_allowed_status = 200\n", 3, 22,
     "screen.not_allowed_status", "200", "400..699"},
    {"response_class", "\n[screen]\nresponses = [404]\n", 3, 14, "screen.responses[0]", "404",
     "1..6"},
    {"screen_on_a_protected_port", "\n[screen]\nports = [5064]\n", 3, 9, "screen.ports", "5064",
     "ports outside protected_ports.ranges"},
    {"screen_without_ports", "\n[screen]\nports = []\n", 3, 9, "screen.ports", "none",
     "screen.enabled = false"},
    {"rule_file_without_a_folder", "\n[screen]\nrules = [\"r.toml\"]\n", 3, 10, "screen.rules[0]",
     "\"r.toml\"", "an absolute path"},
    {"empty_tables", "\npair = []\n", 2, 8, "pair", "an array", "[[pair]]"},
    {"pair_without_host", "\n[[pair]]\naccess = \"net_null0\"\n", 2, 1, "pair[0].host", "nothing",
     "a device"},
    {"not_a_device", "\n[[pair]]\naccess = \"eth0\"\nhost = \"net_null1\"\n", 3, 10,
     "pair[0].access", "\"eth0\"", "0000:3b:00.0"},
    {"mtu_below_ipv6",
     "\n[[pair]]\naccess = \"net_null0\"\nhost = \"net_null1\"\n"
     "access_mtu_bytes = 576\n",
     5, 20, "pair[0].access_mtu_bytes", "576", "1280..9500"},
    {"virtio_user_server",
     "\n[[pair]]\naccess = \"net_null0\"\nhost = \"net_virtio_user0,path=/s,server=1\"\n", 4, 8,
     "pair[0].host", "server=1", "without server=1"},
    {"memif_lends_memory",
     "\n[[pair]]\naccess = \"net_null0\"\nhost = \"net_memif0,role=client,zero-copy=yes\"\n", 4, 8,
     "pair[0].host", "zero-copy=yes", "without zero-copy=yes"},
    {"device_twice", "\n[[pair]]\naccess = \"net_null0\"\nhost = \"net_null0,copy=1\"\n", 4, 8,
     "pair[0].host", "\"net_null0,copy=1\"", "other than pair[0].access's"},
    {"range_backwards", "\n[protected_ports]\nranges = [\"5099-5062\"]\n", 3, 11,
     "protected_ports.ranges[0]", "\"5099-5062\"", "first-last"},
    {"range_with_port_0", "\n[protected_ports]\nranges = [\"0-5062\"]\n", 3, 11,
     "protected_ports.ranges[0]", "\"0-5062\"", "1..65535"},
    {"workers_and_cores_differ", "\n[workers]\ncount = 3\ncores = [0, 1]\n", 3, 9, "workers.count",
     "3 workers and 2 cores", "as many workers as cores"},
    {"core_twice", "\n[workers]\ncores = [1, 1]\n", 3, 9, "workers.cores", "core 1 twice", "once"},
    {"joined_below_mtu", "\n[fragments]\ndatagram_bytes_max = 1400\n", 3, 22,
     "fragments.datagram_bytes_max", "1400", "at least the largest MTU, 1500"},
    {"source_above_all", "\n[fragments]\ndatagrams_max = 32\n", 2, 1, "fragments.per_source_max",
     "64", "at most fragments.datagrams_max, 32"},
    {"no_integrity_left",
     "\n[crypto]\nwithdrawn_integrity = [\"hmac-md5-96\", \"hmac-sha-1-96\"]\n", 3, 23,
     "crypto.withdrawn_integrity", "every algorithm", "at least one must remain"},
    {"unknown_algorithm", "\n[crypto]\nwithdrawn_cipher = [\"des\"]\n", 3, 21,
     "crypto.withdrawn_cipher[0]", "\"des\"", "\"null\", \"aes-cbc\", \"des-ede3-cbc\""},
    {"bad_instance", "\n[instance]\nname = \"a/b\"\n", 3, 8, "instance.name", "\"a/b\"", "letters"},
    {"relative_audit_file", "\n[log]\naudit = \"audit.log\"\n", 3, 9, "log.audit", "\"audit.log\"",
     "\"stderr\", \"syslog\", \"off\""},
};

class OneMistake : public testing::TestWithParam<Mistake> {};

TEST_P(OneMistake, IsToldWithPlaceKeyFoundAndAllowed) {
  const Mistake& mistake = GetParam();
  const ConfigResult result = parse_config(mistake.text, "gmespd.toml");
  ASSERT_EQ(result.errors.size(), 1u) << (result.errors.empty() ? "" : to_string(result.errors[0]));
  const settings::Error& error = result.errors[0];
  EXPECT_EQ(error.file, "gmespd.toml");
  EXPECT_EQ(error.line, mistake.line) << to_string(error);
  EXPECT_EQ(error.column, mistake.column) << to_string(error);
  EXPECT_EQ(error.key, mistake.key);
  EXPECT_NE(error.found.find(mistake.found), std::string::npos) << to_string(error);
  EXPECT_NE(error.allowed.find(mistake.allowed), std::string::npos) << to_string(error);
}

INSTANTIATE_TEST_SUITE_P(Config, OneMistake, testing::ValuesIn(kMistakes),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ConfigErrors, AllAreToldAtOnceInTheOrderOfTheFile) {
  const ConfigResult result = parse_config(
      "[sa]\ncapacity_sets = 0\n[workers]\nidle = \"nap\"\n[nat]\ntunel_ttl = 3\n", "gmespd.toml");
  ASSERT_EQ(result.errors.size(), 3u);
  EXPECT_EQ(to_string(result.errors[0]),
            "gmespd.toml:2:17: sa.capacity_sets: found 0, allowed 1..2000000");
  EXPECT_EQ(to_string(result.errors[1]),
            "gmespd.toml:4:8: workers.idle: found \"nap\", allowed \"sleep\", \"yield\", \"poll\"");
  EXPECT_EQ(result.errors[2].key, "nat.tunel_ttl");
  EXPECT_NE(result.errors[2].allowed.find("did you mean tunnel_ttl?"), std::string::npos);
}

/// Ports at which protection is forbidden, each in the middle of a range.
struct ForbiddenPort {
  const char* name;
  const char* ranges;
  const char* more;
  const char* found;
};

class ProtectedPorts : public testing::TestWithParam<ForbiddenPort> {};

// Shows: R-7.1-15
TEST_P(ProtectedPorts, MayNotIncludeAPortThatMustStayClear) {
  const ForbiddenPort& port = GetParam();
  const std::string text =
      std::string("[protected_ports]\nranges = ") + port.ranges + "\n" + port.more;
  const ConfigResult result = parse_config(text, "gmespd.toml");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0].key, "protected_ports.ranges");
  EXPECT_EQ(result.errors[0].line, 2u);
  EXPECT_EQ(result.errors[0].found, port.found);
}

INSTANTIATE_TEST_SUITE_P(
    Config, ProtectedPorts,
    testing::Values(ForbiddenPort{"sip", "[\"5050-5060\"]", "", "port 5060 in \"5050-5060\""},
                    ForbiddenPort{"sips", "[5061, 5062]", "", "port 5061 in \"5061-5061\""},
                    ForbiddenPort{"sip_though_not_listed", "[5060, 5062]", "unprotected = []",
                                  "port 5060 in \"5060-5060\""},
                    ForbiddenPort{"another_clear_listener", "[\"7000-7010\"]",
                                  "unprotected = [7005]", "port 7005 in \"7000-7010\""},
                    ForbiddenPort{"encapsulation", "[\"4000-5000\"]", "",
                                  "port 4500 in \"4000-5000\""},
                    ForbiddenPort{"encapsulation_elsewhere", "[\"6000-6010\"]",
                                  "[nat]\nencapsulation_port = 6001", "port 6001 in \"6000-6010\""},
                    ForbiddenPort{"a_single_port", "[5062]", "", "fewer than two ports"},
                    ForbiddenPort{"none", "[]", "", "fewer than two ports"}),
    [](const auto& info) { return std::string(info.param.name); });

// Shows: R-7.1-15
TEST(ProtectedPorts, MayIncludePort4500WhenNothingIsEncapsulated) {
  const ConfigResult result = parse_config(
      "[protected_ports]\nranges = [\"4000-5000\"]\n[nat]\nencapsulation_port = 0\n", "f");
  EXPECT_TRUE(result.errors.empty());
}

TEST(ConfigErrors, AFileThatCannotBeReadIsNamedWithTheReason) {
  const ConfigResult absent = load_config("/nonexistent/gmespd.toml");
  ASSERT_EQ(absent.errors.size(), 1u);
  EXPECT_EQ(to_string(absent.errors[0]),
            "/nonexistent/gmespd.toml: found No such file or directory, allowed a readable TOML "
            "file of at most 1 MiB");
  const ConfigResult folder = load_config("/tmp");
  ASSERT_EQ(folder.errors.size(), 1u);
  EXPECT_NE(folder.errors[0].found.find("directory"), std::string::npos);
}

TEST(ConfigErrors, AnEndlessFileIsRefused) {
  const ConfigResult result = load_config("/dev/zero");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0].found, "more than 1 MiB");
}

TEST(ConfigErrors, ALongValueIsCutInTheMessage) {
  const std::string text = "[workers]\nidle = \"" + std::string(5000, 'x') + "\"\n";
  const ConfigResult result = parse_config(text, "f");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_LT(to_string(result.errors[0]).size(), 200u);
}

TEST(ConfigErrors, ASocketPathThatTheKernelCannotTakeIsRefused) {
  const std::string text = "[control]\nsocket = \"/" + std::string(107, 's') + "\"\n";
  const ConfigResult result = parse_config(text, "f");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0].key, "control.socket");
  EXPECT_EQ(result.errors[0].allowed, "at most 107 bytes");
}

}  // namespace
}  // namespace gmesp::dataplane
