// What a process that died leaves in SA memory, and how the next one goes on with it.
#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <set>

#include "dataplane/ipsec/replay_window.h"
#include "dead_process.h"
#include "uplink.h"

namespace gmesp::ipsec {
namespace {

using shm::SaRole;
using shm::SaSetRecord;
using shm::Status;

constexpr SaRole kSaD = SaRole::kOutPcUs;

class Restore : public DeadProcess {};

/// A clear datagram of ours to the UE, on the SA of `role`.
Bytes answer(const SaSetRecord& record, SaRole role) {
  const IpShape shape = inner_shape(record, role, kProtocolUdp);
  const bool to_uc = role == SaRole::kOutPsUc;
  return ip_packet(shape, udp(shape, to_uc ? record.port_ps : record.port_pc,
                              to_uc ? record.port_uc : record.port_us, pattern(40)));
}

uint32_t sequence_of(const Bytes& esp_packet, const RecordShape& shape) {
  const size_t outer =
      (shape.is_ipv4 ? 20 : 40) + (shape.mode == shm::Mode::kUdpEncapsulatedTunnel ? size_t{8} : 0);
  const uint8_t* at = esp_packet.data() + outer + 4;
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

std::vector<shm::SetView> live(const SaDatabase& database) {
  std::vector<shm::SetView> views;
  shm::SetView view;
  for (uint64_t at = 0; database.next(at, view, at) == Status::kOk;) views.push_back(view);
  return views;
}

// Shows: R-C-03, R-D-A2
TEST_F(Restore, TrafficGoesOnForEveryShape) {
  for (const RecordShape& shape : all_shapes()) {
    SCOPED_TRACE(text(shape));
    Uplink ue(shape);
    const Bytes clear = answer(ue.record, kSaD);
    std::vector<Bytes> capture;
    for (const uint32_t sequence : {1u, 5u, 70u, 100u})
      capture.push_back(ue.wire(ue.good(sequence)));
    live_and_die([&] {
      EspLab lab(ue.record, options());
      for (const Bytes& packet : capture) EXPECT_EQ(lab.receive(packet).reason, DropReason::kNone);
      for (uint32_t sequence = 1; sequence <= 3; ++sequence)
        EXPECT_EQ(sequence_of(lab.send(kSaD, clear).packet, shape), sequence);
      die();
    });

    EspLab lab(options());
    EXPECT_EQ(lab.database.restoration().restored, 1u);
    EXPECT_EQ(lab.database.restoration().lost(), 0u);
    for (const Bytes& packet : capture) {
      const DropReason reason = lab.receive(packet).reason;
      EXPECT_TRUE(reason == DropReason::kReplaySeen || reason == DropReason::kReplayOld);
    }
    EXPECT_EQ(lab.progress(kSaA).packets, 4u);
    EXPECT_EQ(lab.progress(kSaA).sequence, 100u);
    const Received received = lab.receive(ue.wire(ue.good(101)));
    EXPECT_EQ(received.reason, DropReason::kNone);
    EXPECT_EQ(received.packet, ip_packet(ue.inner(), ue.datagram(pattern(29))));
    const Sent sent = lab.send(kSaD, clear);
    ASSERT_EQ(sent.reason, DropReason::kNone) << info(sent.reason).name;
    EXPECT_EQ(sequence_of(sent.packet, shape), 3 + SaDatabase::kSequenceJump + 1);
    EXPECT_EQ(lab.progress(kSaD).packets, 4u);
    EXPECT_FALSE(received.news.first_packet);
  }
}

/// The kill may come between the window's bits and its highest number: then the bits are wrong.
// Shows: R-D-A2, R-2406-03
TEST_F(Restore, NothingUpToTheHighestNumberIsTakenWhateverTheWindowSays) {
  for (const uint32_t window : {32u, 128u, 1024u})
    for (const uint32_t highest : {1u, 63u, 64u, 127u, 1000u, 70'000u})
      for (const uint64_t bits : {uint64_t{0}, ~uint64_t{0}, uint64_t{0x5555'5555'5555'5555}}) {
        SCOPED_TRACE(testing::Message() << "window " << window << ", highest " << highest);
        Uplink ue({});
        live_and_die([&] {
          EspLab lab(ue.record, wide_options(window));
          EXPECT_EQ(lab.receive(ue.wire(ue.good(highest))).reason, DropReason::kNone);
          die();
        });
        change(
            [&](SaMemory& memory) {
              std::fill_n(memory.window(sa_of(0, kSaA)), window_words(window), bits);
            },
            window);
        EspLab lab(wide_options(window));
        ASSERT_EQ(lab.database.live_sets(), 1u);
        const uint32_t from = highest > 2 * window ? highest - 2 * window : 1;
        for (uint32_t sequence = from; sequence <= highest; ++sequence)
          ASSERT_NE(lab.receive(ue.wire(ue.good(sequence))).reason, DropReason::kNone) << sequence;
        // What comes after is judged as ever.
        const std::pair<uint32_t, DropReason> steps[] = {
            {5, DropReason::kNone},       {3, DropReason::kNone},  {3, DropReason::kReplaySeen},
            {0, DropReason::kReplaySeen}, {30, DropReason::kNone}, {6, DropReason::kNone},
            {5, DropReason::kReplaySeen}};
        for (const auto& [ahead, reason] : steps)
          ASSERT_EQ(lab.receive(ue.wire(ue.good(highest + ahead))).reason, reason) << ahead;
      }
}

// Shows: R-C-03
TEST_F(Restore, AnUnusedSetTakesItsFirstNumbers) {
  Uplink ue({});
  die_with_sets(1);
  EspLab lab(options());
  for (const uint32_t sequence : {3u, 1u, 2u})
    EXPECT_EQ(lab.receive(ue.wire(ue.good(sequence))).reason, DropReason::kNone);
  EXPECT_EQ(lab.receive(ue.wire(ue.good(2))).reason, DropReason::kReplaySeen);
}

// Shows: R-C-03, R-D-A2
TEST_F(Restore, IdsStayAndNoneIsGivenTwice) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::array<uint64_t, 4> ids{};
  uint64_t epoch = 0;
  live_and_die([&] {
    SaDatabase database(options());
    for (uint32_t number = 0; number < 4; ++number)
      ids[number] = install(database, make_record(number + 1));
    remove(database, ids[3]);
    epoch = database.epoch();
    EXPECT_EQ(write(ends[1], ids.data(), sizeof ids), ssize_t{sizeof ids});
    EXPECT_EQ(write(ends[1], &epoch, sizeof epoch), ssize_t{sizeof epoch});
    die();
  });
  ASSERT_EQ(read(ends[0], ids.data(), sizeof ids), ssize_t{sizeof ids});
  ASSERT_EQ(read(ends[0], &epoch, sizeof epoch), ssize_t{sizeof epoch});
  close(ends[0]);
  close(ends[1]);

  SaDatabase database(options());
  EXPECT_GT(database.epoch(), epoch);
  const std::vector<shm::SetView> views = live(database);
  ASSERT_EQ(views.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(views[i].set_id, ids[i]);
    EXPECT_EQ(views[i].installed_ms, kNowMs);
    EXPECT_EQ(views[i].record.cookie, make_record(i + 1).cookie);
  }
  shm::SetView view;
  EXPECT_EQ(database.view(ids[3], view), Status::kNotFound);
  EXPECT_EQ(install(database, make_record(4)), ids[3] + (uint64_t{1} << 32))
      << "the generation goes on where it was";
  // The free slots are exactly the others.
  std::set<SetIndex> slots = {0, 1, 2, 3};
  for (uint32_t number = 5; number <= kCapacity; ++number)
    EXPECT_TRUE(slots.insert(static_cast<SetIndex>(install(database, make_record(number)))).second);
  uint64_t set_id = 0;
  std::string detail;
  EXPECT_EQ(database.install(make_record(9), kNowMs, set_id, detail), Status::kTableFull);
  for (const uint64_t id : {ids[0], ids[1], ids[2]}) remove(database, id);
  EXPECT_EQ(database.live_sets(), kCapacity - 3);
}

// Shows: R-D-A2, R-2406-06
TEST_F(Restore, NumbersJumpAtEachDeathAndNeverGoRound) {
  constexpr uint32_t kLastWithRoom = UINT32_MAX - SaDatabase::kSequenceJump;
  die_with_sets(2);
  change([](SaMemory& memory) {
    memory.hot(sa_of(0, SaRole::kOutPsUc)).progress.sequence = kLastWithRoom;
    memory.hot(sa_of(1, SaRole::kOutPsUc)).progress.sequence = kLastWithRoom + 1;
  });
  live_and_die([&] {
    EspLab lab(options());
    EXPECT_EQ(lab.database.live_sets(), 1u);
    EXPECT_EQ(lab.database.restoration().exhausted, 1u);
    EXPECT_EQ(lab.progress(SaRole::kOutPsUc).sequence, UINT32_MAX);
    EXPECT_EQ(lab.progress(kSaD).sequence, SaDatabase::kSequenceJump);
    const Bytes clear = answer(make_record(1), SaRole::kOutPsUc);
    EXPECT_EQ(lab.send(SaRole::kOutPsUc, clear).reason, DropReason::kSequenceExhausted);
    die();
  });
  const SaDatabase database(options());
  EXPECT_EQ(database.live_sets(), 0u);
  EXPECT_EQ(database.restoration().exhausted, 1u);
}

/// A jump past the number that warns does not lose the warning, nor repeat one that was given.
// Shows: R-2406-06
TEST_F(Restore, TheWarningNearTheEndIsGivenOnce) {
  const SaSetRecord record = make_record(1);
  const uint32_t near_end = OutboundOptions{}.near_end_sequence;
  live_and_die([&] {
    EspLab lab(record, options());
    lab.progress(kSaD).sequence = near_end - 2;
    EXPECT_FALSE(lab.send(kSaD, answer(record, kSaD)).news.sequence_near_end);
    die();
  });
  live_and_die([&] {
    EspLab lab(options());
    EXPECT_TRUE(lab.send(kSaD, answer(record, kSaD)).news.sequence_near_end);
    die();
  });
  EspLab lab(options());
  EXPECT_FALSE(lab.send(kSaD, answer(record, kSaD)).news.sequence_near_end);
}

// Shows: R-7.1-09, R-D-K2
TEST_F(Restore, ExpiredAndUnfinishedSetsAreWiped) {
  live_and_die([&] {
    SaDatabase database(options());
    for (uint32_t number = 1; number <= 4; ++number) {
      SaSetRecord record = make_record(number);
      if (number == 1) record.not_after_ms = kNowMs + 1;
      install(database, record);
    }
    uint64_t cookie = 0;
    EXPECT_EQ(database.unpublish(database.live_set_id(1, cookie)), Status::kOk);
    die();
  });
  // Killed before the commit mark was written.
  change(
      [](SaMemory& memory) { memory.set_state(2).commit = static_cast<uint32_t>(Commit::kFree); });
  SaDatabaseOptions later = options();
  later.now_ms = kNowMs + 1;
  SaDatabase database(later);
  EXPECT_EQ(database.restoration().restored, 1u);
  EXPECT_EQ(database.restoration().expired, 1u);
  EXPECT_EQ(database.restoration().unfinished, 2u);
  EXPECT_EQ(database.restoration().lost(), 3u);
  const Bytes bytes = content();
  for (uint32_t number = 1; number <= 4; ++number) {
    const SaSetRecord record = make_record(number);
    const Bytes key(record.cipher_key, record.cipher_key + record.cipher_key_bytes);
    EXPECT_EQ(contains(bytes, key), number == 4) << number;
  }
}

/// What is learned of the path is learned again, except port_Uenc; if its four copies differ, since
/// the kill came while a worker wrote them, it is too.
// Shows: R-C-03, R-M-08
TEST_F(Restore, PeerPortIsKeptAndTheRestOfThePathForgotten) {
  const RecordShape tunnel = {.mode = shm::Mode::kUdpEncapsulatedTunnel};
  for (const bool torn : {false, true}) {
    live_and_die([&] {
      SaDatabase database(options());
      const uint64_t id = install(database, make_record(1, tunnel));
      EXPECT_EQ(database.set_peer_port(id, 4321), Status::kOk);
      database.set_path_mtu(id, 1300, kNowMs + 1000);
      database.hot(0).identity.owner = 3;
      database.hot(2).identity.reported_ue_port = 99;
      if (torn) database.hot(3).identity.outer_ue_port = 0;
      die();
    });
    const SaDatabase database(options());
    ASSERT_EQ(database.live_sets(), 1u);
    const uint16_t port = torn ? 0 : 4321;
    for (SaIndex sa = 0; sa < kSasPerSet; ++sa) {
      EXPECT_EQ(database.hot(sa).identity.outer_ue_port, port);
      EXPECT_EQ(database.hot(sa).identity.owner, kNoOwner);
      EXPECT_EQ(database.hot(sa).identity.path_mtu, 0u);
      EXPECT_EQ(database.hot(sa).identity.reported_ue_port, 0u);
    }
    const Address ue = Address::from_ipv6(make_record(1, tunnel).ue_address);
    EXPECT_EQ(database.find_outbound_by_peer_port(ue, 4321), torn ? kNoSa : sa_of(0, kSaD));
    EXPECT_EQ(database.find_outbound_by_spi(make_record(1).spi_us, ue), sa_of(0, kSaD));
  }
}

/// The configuration may have changed since.
// Shows: R-2401-01, R-C-03
TEST_F(Restore, WhatWouldNotBeInstalledNowIsRefused) {
  die_with_sets(1);
  SaDatabaseOptions other_ports = options();
  other_ports.protected_ports = PortSet{};
  other_ports.protected_ports.add(kPortPs);
  const SaDatabase database(other_ports);
  EXPECT_EQ(database.live_sets(), 0u);
  EXPECT_EQ(database.restoration().refused, 1u);
  ASSERT_EQ(database.restoration().details.size(), 1u);
  EXPECT_NE(database.restoration().details[0].find("port_pc is 6001"), std::string::npos)
      << database.restoration().details[0];
}

// Shows: R-D-A2, R-D-K2
TEST_F(Restore, AFileThatDoesNotFitIsWipedAndSaysWhy) {
  struct Case {
    const char* why;
    std::function<void(SaDatabaseOptions&, SaMemoryHeader&)> change;
  };
  const Case cases[] = {
      {"switched off", [](auto& o, auto&) { o.restore = false; }},
      {"another boot", [](auto&, auto& h) { h.boot_id[3] ^= 1; }},
      {"another build", [](auto&, auto& h) { h.layout_hash ^= 1; }},
      {"capacity_sets was 8, is 9", [](auto& o, auto&) { o.capacity_sets = 9; }},
      {"replay window was 128, is 64", [](auto& o, auto&) { o.window_packets = 64; }},
      {"size was", [](auto&, auto& h) { h.bytes += 4096; }},
      {"before the header", [](auto&, auto& h) { h.magic = 0; }},
  };
  const SaSetRecord record = make_record(1);
  const Bytes key(record.cipher_key, record.cipher_key + record.cipher_key_bytes);
  for (const Case& wrong : cases) {
    SCOPED_TRACE(wrong.why);
    die_with_sets(1);
    ASSERT_TRUE(contains(content(), key));
    SaDatabaseOptions changed = options();
    SaMemoryHeader header;
    const int file = open(path_.c_str(), O_RDWR);
    ASSERT_EQ(pread(file, &header, sizeof header, 0), ssize_t{sizeof header});
    wrong.change(changed, header);
    ASSERT_EQ(pwrite(file, &header, sizeof header, 0), ssize_t{sizeof header});
    const SaDatabase database(changed);
    EXPECT_FALSE(database.memory().is_adopted());
    EXPECT_NE(database.memory().wiped_because().find(wrong.why), std::string::npos)
        << database.memory().wiped_because();
    EXPECT_EQ(database.live_sets(), 0u);
    EXPECT_EQ(find_inbound(database, record.spi_ps, address("192.0.2.1")), kNoSa);
    EXPECT_FALSE(contains(content(), key));
    EXPECT_GT(database.epoch(), header.epoch);
    close(file);
  }
}

// Shows: R-D-K2
TEST_F(Restore, AFileThatOthersCouldTouchIsNotBelieved) {
  die_with_sets(1);
  ASSERT_EQ(chmod(path_.c_str(), 0620), 0);
  {
    const SaDatabase database(options());
    EXPECT_EQ(database.live_sets(), 0u);
    EXPECT_NE(database.memory().wiped_because().find("others"), std::string::npos);
  }
  die_with_sets(1);
  if (chown(path_.c_str(), 65'534, 65'534) != 0) GTEST_SKIP() << "only root gives files away";
  const std::string error = error_of([&] { SaDatabase database(options()); });
  EXPECT_NE(error.find("belongs to user 65534"), std::string::npos) << error;
  EXPECT_EQ(access(path_.c_str(), F_OK), 0) << "it is not ours to remove";
}

// Shows: R-D-K2
TEST_F(Restore, ACutFileIsWiped) {
  die_with_sets(1);
  ASSERT_EQ(truncate(path_.c_str(), 4096), 0);
  const SaDatabase database(options());
  EXPECT_EQ(database.live_sets(), 0u);
  EXPECT_FALSE(database.memory().is_adopted());
}

/// The next attempt finds them; a clean end still leaves nothing.
// Shows: R-C-03, R-D-K2
TEST_F(Restore, AStartThatFailsLeavesTheSetsToTheNext) {
  die_with_sets(2);
  const std::string error = error_of([&] {
    const SaDatabase database(options());
    throw std::runtime_error("no such port");
  });
  EXPECT_EQ(error, "no such port");
  {
    const SaDatabase database(options());
    EXPECT_EQ(database.live_sets(), 2u);
    EXPECT_EQ(database.hot(1).progress.sequence, 2 * SaDatabase::kSequenceJump);
  }
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

/// Sanitizers make everything slower; what they are for is not time.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kIsSanitized = true;
#elif defined(__has_feature)
constexpr bool kIsSanitized = __has_feature(address_sanitizer);
#else
constexpr bool kIsSanitized = false;
#endif

/// "Well below a second" for the capacity that is configured by default.
// Shows: R-C-03, R-C-06
TEST_F(Restore, AHundredThousandSetsAreBackWithinASecond) {
  constexpr uint32_t kSets = 100'000;
  const auto cpu_ms = [] {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
  };
  live_and_die([&] {
    SaDatabase database(options(kSets));
    for (uint32_t number = 0; number < kSets; ++number) install(database, make_record(number));
    die();
  });
  const double before_ms = cpu_ms();
  const SaDatabase database(options(kSets));
  const double restored_ms = cpu_ms() - before_ms;
  std::printf("restoring %u sets took %.0f ms of CPU time\n", kSets, restored_ms);
  EXPECT_EQ(database.restoration().restored, kSets);
  if (!kIsSanitized) {
    EXPECT_LT(restored_ms, 1000.0);
  }
}

}  // namespace
}  // namespace gmesp::ipsec
