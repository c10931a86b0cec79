// Every command of libgmesp through shared memory to a model of the SA table, and back.
#include <poll.h>

#include <chrono>
#include <set>
#include <thread>
#include <vector>

#include "control/shm/layout.h"
#include "dp_client.h"
#include "raw_client.h"
#include "running_server.h"

namespace gmesp::test {
namespace {

class Commands : public ::testing::Test {
 protected:
  RunningServer server_;
  Dp dp_ = writer(server_.socket_path());

  size_t live_sets() {
    return server_.locked([](ModelTable& table, shm::Server&) { return table.live_sets(); });
  }
  uint64_t installed(uint32_t number) {
    const gmesp_sa_set set = make_set(number);
    uint64_t set_id = 0;
    EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, &set_id, kTimeoutMs), GMESP_OK);
    return set_id;
  }
};

// Shows: R-C-01, R-6.3-01, R-6.2-01
TEST_F(Commands, InstalledRecordArrivesFieldByField) {
  gmesp_sa_set set = make_set(5);
  set.mode = GMESP_MODE_UDP_ENCAPSULATED_TUNNEL;
  set.outer_ue_port = 4501;
  set.not_after_ms = gmesp_not_after_ms(3'600'000);
  ASSERT_EQ(gmesp_address_from_text("10.0.0.3", set.outer_ue_address), GMESP_OK);
  ASSERT_EQ(gmesp_address_from_text("192.0.2.2", set.outer_local_address), GMESP_OK);
  uint64_t set_id = 0;
  ASSERT_EQ(gmesp_dp_install(dp_.get(), &set, &set_id, kTimeoutMs), GMESP_OK);
  const shm::SaSetRecord record =
      server_.locked([](ModelTable& table, shm::Server&) { return table.sets().begin()->second; });
  EXPECT_EQ(record.version, shm::kRecordVersion);
  EXPECT_EQ(record.size, sizeof record);
  EXPECT_EQ(record.mode, 2);
  EXPECT_EQ(record.integrity, 2);
  EXPECT_EQ(record.cipher, 2);
  EXPECT_EQ(record.port_uc, 5100);
  EXPECT_EQ(record.port_us, 5200);
  EXPECT_EQ(record.port_pc, 6100);
  EXPECT_EQ(record.port_ps, 6200);
  EXPECT_EQ(record.spi_uc, 0x10000005u);
  EXPECT_EQ(record.spi_us, 0x20000005u);
  EXPECT_EQ(record.spi_pc, 0x30000005u);
  EXPECT_EQ(record.spi_ps, 0x40000005u);
  EXPECT_EQ(memcmp(record.ue_address, set.ue_address, 16), 0);
  EXPECT_EQ(memcmp(record.local_address, set.local_address, 16), 0);
  EXPECT_EQ(memcmp(record.outer_ue_address, set.outer_ue_address, 16), 0);
  EXPECT_EQ(memcmp(record.outer_local_address, set.outer_local_address, 16), 0);
  EXPECT_EQ(record.outer_ue_port, 4501);
  EXPECT_EQ(record.not_after_ms, set.not_after_ms);
  EXPECT_EQ(record.cookie, 5u);
  EXPECT_EQ(record.integrity_key_bytes, 20);
  EXPECT_EQ(record.cipher_key_bytes, 16);
  EXPECT_EQ(record.integrity_key[19], 0xa1);
  EXPECT_EQ(record.integrity_key[20], 0);
  EXPECT_EQ(record.cipher_key[15], 0xc2);
  EXPECT_EQ(record.cipher_key[16], 0);
}

// Shows: R-C-01, R-C-03
TEST_F(Commands, LiveSetsAreReadBackWithoutKeys) {
  const uint64_t set_id = installed(9);
  gmesp_set_view view = make_view();
  ASSERT_EQ(gmesp_dp_get_set(dp_.get(), set_id, &view, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(view.set_id, set_id);
  EXPECT_EQ(view.set.size, sizeof(gmesp_sa_set));
  EXPECT_EQ(view.set.spi_ps, 0x40000009u);
  EXPECT_EQ(view.set.cookie, 9u);
  EXPECT_EQ(view.set.integrity_key_bytes, 0);
  EXPECT_EQ(view.set.integrity_key[0], 0);
  EXPECT_EQ(view.set.cipher_key[0], 0);
  EXPECT_EQ(view.sa[GMESP_SA_IN_UC_PS].packets, 10u);
  EXPECT_EQ(view.sa[GMESP_SA_OUT_PC_US].packets, 13u);
  EXPECT_EQ(gmesp_dp_get_set(dp_.get(), set_id + 1, &view, kTimeoutMs), GMESP_E_NOT_FOUND);
}

// Shows: R-C-03
TEST_F(Commands, WalkFindsEverySetOnce) {
  std::set<uint64_t> ids;
  for (uint32_t i = 0; i < 10; ++i) ids.insert(installed(i));
  for (const uint64_t id : std::vector<uint64_t>(ids.begin(), ids.end()))
    if (id % 3 == 0) {
      ASSERT_EQ(gmesp_dp_remove(dp_.get(), id, kTimeoutMs), GMESP_OK);
      ids.erase(id);
    }
  std::set<uint64_t> found;
  uint64_t index = 0;
  gmesp_set_view view = make_view();
  int error;
  while ((error = gmesp_dp_next_set(dp_.get(), &index, &view, kTimeoutMs)) == GMESP_OK)
    EXPECT_TRUE(found.insert(view.set_id).second);
  EXPECT_EQ(error, GMESP_E_END);
  EXPECT_EQ(found, ids);
}

// Shows: R-C-01, R-7.4-04, R-7.4.2a-08
TEST_F(Commands, ChangesAndTheirRefusals) {
  gmesp_sa_set set = make_set(1);
  set.not_after_ms = gmesp_not_after_ms(100'000);
  uint64_t id = 0;
  ASSERT_EQ(gmesp_dp_install(dp_.get(), &set, &id, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(gmesp_dp_set_not_after(dp_.get(), id, set.not_after_ms + 1, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(gmesp_dp_set_not_after(dp_.get(), id, set.not_after_ms, kTimeoutMs),
            GMESP_E_LIFETIME_SHRINKS);
  EXPECT_EQ(gmesp_dp_set_peer_port(dp_.get(), id, 4700, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(gmesp_dp_set_peer_port(dp_.get(), id, 0, kTimeoutMs), GMESP_E_BAD_ARGUMENT);
  gmesp_set_view view = make_view();
  ASSERT_EQ(gmesp_dp_get_set(dp_.get(), id, &view, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(view.set.outer_ue_port, 4700);
  EXPECT_EQ(gmesp_dp_remove(dp_.get(), id, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(gmesp_dp_remove(dp_.get(), id, kTimeoutMs), GMESP_E_NOT_FOUND);
  installed(2);
  installed(3);
  uint64_t removed = 0;
  EXPECT_EQ(gmesp_dp_remove_all(dp_.get(), &removed, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(removed, 2u);
  EXPECT_EQ(live_sets(), 0u);
}

// Shows: R-7.1-04
TEST_F(Commands, WithdrawnAlgorithmIsRefusedUntilRestored) {
  const gmesp_sa_set set = make_set(1);
  EXPECT_EQ(gmesp_dp_withdraw(dp_.get(), GMESP_INTEGRITY_HMAC_SHA1_96, 0, 0, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_E_ALGORITHM_WITHDRAWN);
  EXPECT_EQ(gmesp_dp_restore(dp_.get(), GMESP_INTEGRITY_HMAC_SHA1_96, 0, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(gmesp_dp_withdraw(dp_.get(), 9, 0, 0, kTimeoutMs), GMESP_E_UNKNOWN_ALGORITHM);
  EXPECT_EQ(gmesp_dp_withdraw(dp_.get(), -1, 0, 0, kTimeoutMs), GMESP_E_BAD_ARGUMENT);
}

// Shows: R-7.1-13, R-C-01
TEST_F(Commands, RefusalSaysWhatWasFoundAndChangesNothing) {
  gmesp_sa_set set = make_set(1);
  set.spi_us = 255;
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_E_SPI_RESERVED);
  EXPECT_STREQ(gmesp_dp_detail(dp_.get()), "SPI 255, allowed are 256 to 4294967295");
  EXPECT_EQ(live_sets(), 0u);
  EXPECT_EQ(gmesp_dp_remove_all(dp_.get(), nullptr, kTimeoutMs), GMESP_OK);
  EXPECT_STREQ(gmesp_dp_detail(dp_.get()), "");
}

// Shows: R-7.1-03
TEST_F(Commands, SetWithoutIntegrityIsRefused) {
  gmesp_sa_set set = make_set(1);
  set.integrity = 0;
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_E_INTEGRITY_MISSING);
  EXPECT_EQ(live_sets(), 0u);
}

// Shows: R-C-04
TEST_F(Commands, StructsOfAnotherSizeAreRefused) {
  gmesp_sa_set set = make_set(1);
  set.size = 8;
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_E_STRUCT_SIZE);
  struct {
    gmesp_sa_set set = make_set(1);
    uint64_t of_a_later_version = 0;
  } larger;
  larger.set.size = sizeof larger;
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &larger.set, nullptr, kTimeoutMs), GMESP_OK);
  larger.of_a_later_version = 1;
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &larger.set, nullptr, kTimeoutMs), GMESP_E_STRUCT_SIZE);
  set = make_set(2);
  set.reserved[0] = 1;
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_E_BAD_RECORD);
  set = make_set(2);
  set.integrity_key_bytes = 33;
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_E_INTEGRITY_KEY_SIZE);
  set = make_set(2);
  set.cipher_key_bytes = 37;
  EXPECT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_E_CIPHER_KEY_SIZE);
  gmesp_set_view view{};
  EXPECT_EQ(gmesp_dp_get_set(dp_.get(), 1, &view, kTimeoutMs), GMESP_E_STRUCT_SIZE);
  gmesp_info info{};
  EXPECT_EQ(gmesp_dp_get_info(dp_.get(), &info, kTimeoutMs), GMESP_E_STRUCT_SIZE);
  EXPECT_EQ(gmesp_dp_get_info(dp_.get(), nullptr, kTimeoutMs), GMESP_E_BAD_ARGUMENT);
  EXPECT_EQ(gmesp_dp_install(nullptr, &set, nullptr, kTimeoutMs), GMESP_E_BAD_ARGUMENT);
}

// Shows: R-C-04
TEST_F(Commands, RowsAreReadToTheirEnd) {
  gmesp_reason reason;
  GMESP_INIT(&reason);
  EXPECT_EQ(gmesp_dp_get_reason(dp_.get(), 2, &reason, kTimeoutMs), GMESP_OK);
  EXPECT_STREQ(reason.name, "reason_2");
  EXPECT_EQ(reason.packets, 2u);
  EXPECT_EQ(gmesp_dp_get_reason(dp_.get(), 3, &reason, kTimeoutMs), GMESP_E_END);
  gmesp_statistic statistic;
  GMESP_INIT(&statistic);
  EXPECT_EQ(gmesp_dp_get_statistic(dp_.get(), 1, &statistic, kTimeoutMs), GMESP_OK);
  EXPECT_STREQ(statistic.name, "statistic_1");
  EXPECT_EQ(statistic.value, 101u);
  gmesp_port port;
  GMESP_INIT(&port);
  EXPECT_EQ(gmesp_dp_get_port(dp_.get(), 0, &port, kTimeoutMs), GMESP_OK);
  EXPECT_STREQ(port.device, "net_tap0");
  EXPECT_EQ(port.mtu_bytes, 1500);
  gmesp_info info;
  GMESP_INIT(&info);
  EXPECT_EQ(gmesp_dp_get_info(dp_.get(), &info, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(info.epoch, 42u);
  EXPECT_STREQ(info.version, "model");
}

// Shows: R-C-02, R-C-03
TEST_F(Commands, ReaderReadsButChangesNothing) {
  const uint64_t id = installed(1);
  const Dp reading = reader(server_.socket_path());
  const gmesp_sa_set set = make_set(2);
  EXPECT_EQ(gmesp_dp_install(reading.get(), &set, nullptr, kTimeoutMs), GMESP_E_NOT_WRITER);
  EXPECT_EQ(gmesp_dp_remove(reading.get(), id, kTimeoutMs), GMESP_E_NOT_WRITER);
  EXPECT_EQ(gmesp_dp_remove_all(reading.get(), nullptr, kTimeoutMs), GMESP_E_NOT_WRITER);
  EXPECT_EQ(gmesp_dp_withdraw(reading.get(), 1, 0, 1, kTimeoutMs), GMESP_E_NOT_WRITER);
  EXPECT_EQ(gmesp_dp_set_peer_port(reading.get(), id, 5, kTimeoutMs), GMESP_E_NOT_WRITER);
  EXPECT_EQ(gmesp_dp_set_not_after(reading.get(), id, 5, kTimeoutMs), GMESP_E_NOT_WRITER);
  gmesp_set_view view = make_view();
  EXPECT_EQ(gmesp_dp_get_set(reading.get(), id, &view, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(live_sets(), 1u);
}

// Shows: R-C-02
TEST_F(Commands, UnknownKindsAndWrongSizesAreAnswered) {
  dp_.reset();
  RawClient client(server_.socket_path());
  ASSERT_TRUE(client.open(shm::Role::kWriter));
  const struct {
    uint32_t kind;
    uint32_t size;
    shm::Status status;
  } kRows[] = {
      {0, 32, shm::Status::kUnknownCommand},    {8, 32, shm::Status::kUnknownCommand},
      {99, 0, shm::Status::kUnknownCommand},    {UINT32_MAX, 32, shm::Status::kUnknownCommand},
      {1, 199, shm::Status::kBadRecord},        {1, 32, shm::Status::kBadRecord},
      {1, UINT32_MAX, shm::Status::kBadRecord}, {2, 200, shm::Status::kBadRecord},
      {21, 0, shm::Status::kBadRecord},         {21, 32, shm::Status::kOk},
  };
  for (uint64_t tag = 0; tag < std::size(kRows); ++tag) {
    shm::Command command = make_install(1, tag);
    command.kind = kRows[tag].kind;
    command.size = kRows[tag].size;
    ASSERT_EQ(client.commands().push(command), shm::RingResult::kDone);
  }
  client.ring();
  for (uint64_t tag = 0; tag < std::size(kRows); ++tag) {
    shm::Completion completion;
    const uint64_t until_ms = boottime_ms() + 2000;
    while (client.completions().pop(completion) != shm::RingResult::kDone &&
           boottime_ms() < until_ms) {
    }
    EXPECT_EQ(completion.tag, tag);
    EXPECT_EQ(completion.status, static_cast<uint32_t>(kRows[tag].status)) << tag;
  }
  EXPECT_EQ(live_sets(), 0u);
}

// Shows: R-C-01, R-C-06
TEST_F(Commands, HundredThousandPipelinedInstallsAreEachAnswered) {
  constexpr uint32_t kSets = 100'000;
  std::vector<bool> answered(kSets);
  uint32_t sent = 0;
  uint32_t done = 0;
  const auto started = std::chrono::steady_clock::now();
  gmesp_completion completion = make_completion();
  gmesp_sa_set set = make_set(0);
  while (done < kSets) {
    while (sent < kSets) {
      set.spi_ps = 0x40000000 + sent;
      const int error = gmesp_dp_submit_install(dp_.get(), &set, sent);
      if (error == GMESP_E_AGAIN) break;
      ASSERT_EQ(error, GMESP_OK);
      ++sent;
    }
    int error;
    while ((error = gmesp_dp_poll_completion(dp_.get(), &completion)) == GMESP_OK) {
      ASSERT_EQ(completion.error, GMESP_OK) << completion.detail;
      ASSERT_FALSE(answered[completion.tag]);
      answered[completion.tag] = true;
      ++done;
    }
    ASSERT_EQ(error, GMESP_E_AGAIN);
    pollfd ready{gmesp_dp_fd(dp_.get()), POLLIN, 0};
    if (done < sent) {
      ASSERT_EQ(poll(&ready, 1, kTimeoutMs), 1) << "no bell after " << done;
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  RecordProperty("installs_per_s", static_cast<int>(kSets / seconds.count()));
  printf("%u installs through the rings: %.0f per second\n", kSets, kSets / seconds.count());
  EXPECT_EQ(live_sets(), kSets);
}

/// Between the two polls of one turn a completion may come; its bell must not be taken for an
/// event's.
// Shows: R-C-04
TEST_F(Commands, PollingForEventsLeavesTheBellOfACompletion) {
  const gmesp_sa_set set = make_set(1);
  gmesp_completion completion;
  GMESP_INIT(&completion);
  server_.locked([&](ModelTable&, shm::Server&) {
    ASSERT_EQ(gmesp_dp_submit_install(dp_.get(), &set, 1), GMESP_OK);
    ASSERT_EQ(gmesp_dp_poll_completion(dp_.get(), &completion), GMESP_E_AGAIN);
  });
  pollfd ready{gmesp_dp_fd(dp_.get()), POLLIN, 0};
  ASSERT_EQ(poll(&ready, 1, kTimeoutMs), 1);
  gmesp_event event;
  GMESP_INIT(&event);
  while (gmesp_dp_poll_event(dp_.get(), &event) == GMESP_OK) continue;
  ASSERT_EQ(poll(&ready, 1, 0), 1) << "nobody would look for the completion";
  ASSERT_EQ(gmesp_dp_poll_completion(dp_.get(), &completion), GMESP_OK);
  EXPECT_EQ(gmesp_dp_poll_completion(dp_.get(), &completion), GMESP_E_AGAIN);
  EXPECT_EQ(poll(&ready, 1, 0), 0) << "the bell was not taken";
}

// Shows: R-C-01
TEST_F(Commands, HeldCommandsWakeGmespdOnce) {
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // it is idle
  server_.locked([&](ModelTable&, shm::Server& server) {
    pollfd awake{server.poll_fd(), POLLIN, 0};
    gmesp_dp_hold(dp_.get(), 1);
    for (uint32_t i = 1; i <= 3; ++i) {
      const gmesp_sa_set set = make_set(i);
      EXPECT_EQ(gmesp_dp_submit_install(dp_.get(), &set, i), GMESP_OK);
    }
    EXPECT_EQ(poll(&awake, 1, 0), 0) << "woken by a held command";
    gmesp_dp_hold(dp_.get(), 0);
    EXPECT_EQ(poll(&awake, 1, kTimeoutMs), 1);
  });
  EXPECT_TRUE(server_.eventually([](ModelTable& table) { return table.live_sets() == 3; }));
}

/// Who looks for an answer is not left without one.
// Shows: R-C-01
TEST_F(Commands, PollingWakesGmespdForHeldCommands) {
  const gmesp_sa_set set = make_set(1);
  gmesp_completion completion;
  GMESP_INIT(&completion);
  gmesp_dp_hold(dp_.get(), 1);
  server_.locked([&](ModelTable&, shm::Server&) {
    ASSERT_EQ(gmesp_dp_submit_install(dp_.get(), &set, 1), GMESP_OK);
    ASSERT_EQ(gmesp_dp_poll_completion(dp_.get(), &completion), GMESP_E_AGAIN);
  });
  pollfd ready{gmesp_dp_fd(dp_.get()), POLLIN, 0};
  ASSERT_EQ(poll(&ready, 1, kTimeoutMs), 1);
  EXPECT_EQ(gmesp_dp_poll_completion(dp_.get(), &completion), GMESP_OK);
}

// Shows: R-C-01
TEST_F(Commands, CallsAndSubmitsMix) {
  const gmesp_sa_set first = make_set(1);
  const gmesp_sa_set second = make_set(2);
  ASSERT_EQ(gmesp_dp_submit_install(dp_.get(), &first, 77), GMESP_OK);
  uint64_t id = 0;
  ASSERT_EQ(gmesp_dp_install(dp_.get(), &second, &id, kTimeoutMs), GMESP_OK);
  ASSERT_EQ(gmesp_dp_submit_get_set(dp_.get(), id, 78), GMESP_OK);
  ASSERT_EQ(gmesp_dp_submit_next_set(dp_.get(), 0, 79), GMESP_OK);
  ASSERT_EQ(gmesp_dp_submit_set_peer_port(dp_.get(), id, 4600, 80), GMESP_OK);
  ASSERT_EQ(gmesp_dp_submit_set_not_after(dp_.get(), id, 1, 81), GMESP_OK);
  ASSERT_EQ(gmesp_dp_submit_remove(dp_.get(), id, 82), GMESP_OK);
  gmesp_info info;
  GMESP_INIT(&info);
  ASSERT_EQ(gmesp_dp_get_info(dp_.get(), &info, kTimeoutMs), GMESP_OK);
  EXPECT_EQ(info.live_sets, 1u);  // commands of one connection are obeyed in order
  gmesp_completion completion = make_completion();
  for (uint64_t tag = 77; tag <= 82; ++tag) {
    ASSERT_EQ(gmesp_dp_poll_completion(dp_.get(), &completion), GMESP_OK);
    EXPECT_EQ(completion.tag, tag);
    EXPECT_EQ(completion.error, tag == 81 ? GMESP_E_LIFETIME_SHRINKS : GMESP_OK);
    if (tag == 78) {
      EXPECT_EQ(completion.view.set.spi_ps, 0x40000002u);
    }
    if (tag == 79) {
      EXPECT_EQ(completion.view.set.spi_ps, 0x40000001u);
      EXPECT_EQ(completion.next_index, 1u);
    }
  }
  EXPECT_EQ(gmesp_dp_poll_completion(dp_.get(), &completion), GMESP_E_AGAIN);
}

// Shows: R-7.1-09
TEST_F(Commands, LifetimeEndsWithTheClientDead) {
  gmesp_sa_set set = make_set(1);
  set.not_after_ms = gmesp_not_after_ms(150);
  ASSERT_EQ(gmesp_dp_install(dp_.get(), &set, nullptr, kTimeoutMs), GMESP_OK);
  dp_.reset();
  EXPECT_EQ(live_sets(), 1u);
  EXPECT_TRUE(server_.eventually([](ModelTable& table) { return table.live_sets() == 0; }));
  EXPECT_GE(gmesp_now_ms(), set.not_after_ms);
}

// Shows: R-C-04
TEST(Errors, TextsAreThoseOfTheStatuses) {
  for (uint32_t status = 0; status <= GMESP_E_RULES_REFUSED; ++status)
    EXPECT_STREQ(gmesp_strerror(static_cast<int>(status)),
                 shm::status_text(static_cast<shm::Status>(status)));
  std::set<std::string> texts;
  for (int error = 0; error <= GMESP_E_STRUCT_SIZE; ++error) {
    if (error > GMESP_E_RULES_REFUSED && error < GMESP_E_NOT_CONNECTED) continue;
    EXPECT_TRUE(texts.insert(gmesp_strerror(error)).second) << error;
  }
  EXPECT_STREQ(gmesp_strerror(-1), "unknown error");
  EXPECT_STREQ(gmesp_strerror(999), "unknown error");
  EXPECT_STREQ(gmesp_strerror(50), "unknown status");
}

// Shows: R-D-S3
TEST(Values, AddressesOfBothFamiliesRoundTrip) {
  uint8_t address[GMESP_ADDRESS_BYTES];
  char text[GMESP_ADDRESS_TEXT_BYTES];
  for (const char* good : {"10.0.0.2", "255.255.255.255", "2001:db8::1", "::", "fe80::1:2"}) {
    ASSERT_EQ(gmesp_address_from_text(good, address), GMESP_OK) << good;
    gmesp_address_to_text(address, text);
    EXPECT_STREQ(text, good);
  }
  for (const char* bad : {"", "10.0.0", "10.0.0.256", "2001:db8::g", "10.0.0.2/24", "localhost"})
    EXPECT_EQ(gmesp_address_from_text(bad, address), GMESP_E_ADDRESS_UNUSABLE) << bad;
  ASSERT_EQ(gmesp_address_from_text("10.0.0.2", address), GMESP_OK);
  EXPECT_EQ(address[10], 0xff);
  EXPECT_EQ(address[12], 10);
}

// Shows: R-7.1-09
TEST(Values, LongLifetimesAreForEver) {
  EXPECT_EQ(gmesp_not_after_ms(UINT64_MAX), GMESP_FOREVER);
  const uint64_t now_ms = gmesp_now_ms();
  const uint64_t not_after_ms = gmesp_not_after_ms(1000);
  EXPECT_GE(not_after_ms, now_ms + 1000);
  EXPECT_LT(not_after_ms, now_ms + 5000);
}

// Shows: R-D-K2
TEST(Values, WipeLeavesNoKey) {
  gmesp_sa_set set = make_set(1);
  gmesp_sa_set_wipe(&set);
  for (const uint8_t byte : set.integrity_key) EXPECT_EQ(byte, 0);
  for (const uint8_t byte : set.cipher_key) EXPECT_EQ(byte, 0);
}

}  // namespace
}  // namespace gmesp::test
