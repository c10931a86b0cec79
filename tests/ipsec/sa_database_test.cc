// Life of SA sets in the database: found, changed, viewed, expired, removed; against a map, and
// with workers beside the control thread.
#include "dataplane/ipsec/sa_database.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "set_record.h"

namespace gmesp::ipsec {
namespace {

using shm::SaRole;
using shm::SaSetRecord;
using shm::Status;

const RecordShape kTunnel = {.mode = shm::Mode::kUdpEncapsulatedTunnel};

SaIndex sa_in(uint64_t set_id, SaRole role) {
  return sa_of(static_cast<SetIndex>(set_id), role);
}

/// The table of TS 33.203 7.1, field by field.
// Shows: R-6.3-01, R-7.1-05, R-6.2-01
TEST(SaDatabase, ASetIsExactlyTheFourSas) {
  for (const RecordShape& shape : all_shapes()) {
    SCOPED_TRACE(text(shape));
    SaDatabase database(database_options(4));
    install(database, make_record(2, shape));
    const SaSetRecord record = make_record(1, shape);
    const uint64_t set_id = install(database, record);
    const struct {
      SaRole role;
      uint32_t spi;
      uint16_t ue_port, local_port;
    } rows[] = {
        {SaRole::kInUcPs, record.spi_ps, record.port_uc, record.port_ps},
        {SaRole::kOutPsUc, record.spi_uc, record.port_uc, record.port_ps},
        {SaRole::kInUsPc, record.spi_pc, record.port_us, record.port_pc},
        {SaRole::kOutPcUs, record.spi_us, record.port_us, record.port_pc},
    };
    const Address local = Address::from_ipv6(record.local_address);
    for (const auto& row : rows) {
      const SaIndex sa = is_inbound(row.role) ? find_inbound(database, row.spi, local)
                                              : find_outbound(database, record, row.role);
      ASSERT_EQ(sa, sa_in(set_id, row.role));
      const SaIdentity& identity = database.hot(sa).identity;
      EXPECT_EQ(identity.spi, row.spi);
      EXPECT_EQ(identity.ue_port, row.ue_port);
      EXPECT_EQ(identity.local_port, row.local_port);
      EXPECT_EQ(identity.ue, Address::from_ipv6(record.ue_address));
      EXPECT_EQ(identity.local, local);
      EXPECT_EQ(identity.suite, shape.suite);
      EXPECT_EQ(identity.mode, shape.mode);
      EXPECT_EQ(identity.owner, kNoOwner);
      EXPECT_EQ(database.hot(sa).progress.sequence, 0u);
      EXPECT_EQ(&database.keys(sa), &database.keys(set_of(sa) * kSasPerSet));
    }
    // Neither direction's SPI is found in the other.
    EXPECT_EQ(find_inbound(database, record.spi_uc, local), kNoSa);
    EXPECT_EQ(find_inbound(database, record.spi_us, local), kNoSa);
    EXPECT_EQ(find_inbound(database, record.spi_ps, Address::from_ipv6(record.ue_address)), kNoSa);
  }
}

/// In tunnel mode inbound SAs are found by the outer destination (M.7.1).
// Shows: R-M-06, R-7.1-07
TEST(SaDatabase, TunnelsAreFoundByTheirOuterDestination) {
  SaDatabase database(database_options(4));
  SaSetRecord record = make_record(1, kTunnel);
  put(address("198.51.100.1"), record.outer_local_address);
  put(address("203.0.113.9"), record.outer_ue_address);
  const uint64_t set_id = install(database, record);
  EXPECT_EQ(find_inbound(database, record.spi_ps, address("198.51.100.1")),
            sa_in(set_id, SaRole::kInUcPs));
  EXPECT_EQ(find_inbound(database, record.spi_ps, address("192.0.2.1")), kNoSa);
  EXPECT_EQ(find_outbound(database, record, SaRole::kOutPcUs), sa_in(set_id, SaRole::kOutPcUs));
  EXPECT_EQ(database.outer_ue(sa_in(set_id, SaRole::kOutPcUs)), address("203.0.113.9"));
}

/// Two UEs behind one NAT with equal SPIs are told apart by their ports.
// Shows: R-D-S1, R-M-11
TEST(SaDatabase, EqualUeSpisAtOneAddressAreTwoSas) {
  SaDatabase database(database_options(1000));
  std::set<SaIndex> found;
  for (uint32_t number = 1; number <= 1000; ++number) {
    SaSetRecord record = make_record(number, kTunnel);
    record.spi_uc = 0x1111'1111;
    record.spi_us = 0x2222'2222;
    put(address("203.0.113.9"), record.ue_address);
    put(address("203.0.113.9"), record.outer_ue_address);
    record.outer_ue_port = static_cast<uint16_t>(20'000 + number);
    const uint64_t set_id = install(database, record);
    found.insert(find_outbound(database, record, SaRole::kOutPcUs));
    EXPECT_EQ(
        set_of(database.find_outbound_by_peer_port(address("203.0.113.9"), record.outer_ue_port)),
        static_cast<SetIndex>(set_id));
  }
  EXPECT_EQ(found.size(), 1000u);
  EXPECT_FALSE(found.contains(kNoSa));
  EXPECT_EQ(database.find_outbound_by_spi(0x2222'2222, address("203.0.113.9")), kNoSa)
      << "ambiguous";
}

// Shows: R-2401-03
TEST(SaDatabase, TooBigMessagesFindTheirSa) {
  SaDatabase database(database_options(4));
  const SaSetRecord transport = make_record(1);
  const SaSetRecord tunnel = make_record(2, kTunnel);
  const uint64_t transport_id = install(database, transport);
  const uint64_t tunnel_id = install(database, tunnel);
  const Address ue1 = Address::from_ipv6(transport.ue_address);
  const Address ue2 = Address::from_ipv6(tunnel.ue_address);
  EXPECT_EQ(database.find_outbound_by_spi(transport.spi_uc, ue1),
            sa_in(transport_id, SaRole::kOutPsUc));
  EXPECT_EQ(database.find_outbound_by_spi(transport.spi_us, ue1),
            sa_in(transport_id, SaRole::kOutPcUs));
  EXPECT_EQ(database.find_outbound_by_spi(transport.spi_us, ue2), kNoSa);
  EXPECT_EQ(database.find_outbound_by_spi(transport.spi_ps, ue1), kNoSa) << "an inbound SPI";
  EXPECT_EQ(database.find_outbound_by_spi(tunnel.spi_us, ue2), sa_in(tunnel_id, SaRole::kOutPcUs));

  EXPECT_EQ(database.find_outbound_by_peer_port(ue2, 4500), kNoSa);
  EXPECT_EQ(database.set_peer_port(tunnel_id, 4500), Status::kOk);
  EXPECT_EQ(set_of(database.find_outbound_by_peer_port(ue2, 4500)),
            static_cast<SetIndex>(tunnel_id));
  EXPECT_EQ(database.set_peer_port(tunnel_id, 4501), Status::kOk);
  EXPECT_EQ(database.find_outbound_by_peer_port(ue2, 4500), kNoSa);
  for (SaIndex sa = 0; sa < kSasPerSet; ++sa)
    database.hot(static_cast<SetIndex>(tunnel_id) * kSasPerSet + sa).identity.outer_ue_port = 4502;
  database.note_peer_port(tunnel_id);
  EXPECT_NE(database.find_outbound_by_peer_port(ue2, 4502), kNoSa) << "a worker learned it";

  remove(database, transport_id);
  remove(database, tunnel_id);
  EXPECT_EQ(database.find_outbound_by_spi(transport.spi_uc, ue1), kNoSa);
  EXPECT_EQ(database.find_outbound_by_peer_port(ue2, 4502), kNoSa);
}

// Shows: R-M-07, R-M-08
TEST(SaDatabase, PeerPortIsOfTunnelsOnly) {
  SaDatabase database(database_options(2));
  const uint64_t transport = install(database, make_record(1));
  const uint64_t tunnel = install(database, make_record(2, kTunnel));
  EXPECT_EQ(database.set_peer_port(transport, 4500), Status::kBadMode);
  EXPECT_EQ(database.set_peer_port(tunnel, 0), Status::kBadArgument);
  EXPECT_EQ(database.set_peer_port(tunnel + 1, 4500), Status::kNotFound);
  EXPECT_EQ(database.set_peer_port(tunnel, 61'234), Status::kOk);
  for (const SaRole role : {SaRole::kInUcPs, SaRole::kOutPsUc, SaRole::kInUsPc, SaRole::kOutPcUs})
    EXPECT_EQ(database.hot(sa_in(tunnel, role)).identity.outer_ue_port, 61'234u);
  shm::SetView view;
  EXPECT_EQ(database.view(tunnel, view), Status::kOk);
  EXPECT_EQ(view.record.outer_ue_port, 61'234u);
}

// Shows: R-7.4.2a-08, R-7.1-09
TEST(SaDatabase, LifetimesOnlyGrow) {
  SaDatabase database(database_options(1));
  SaSetRecord record = make_record(1);
  record.not_after_ms = kNowMs + 1000;
  const uint64_t set_id = install(database, record);
  EXPECT_EQ(database.set_not_after(set_id, kNowMs + 999), Status::kLifetimeShrinks);
  EXPECT_EQ(database.set_not_after(set_id, kNowMs + 1000), Status::kOk);
  EXPECT_EQ(database.set_not_after(set_id, kNowMs + 5000), Status::kOk);
  EXPECT_EQ(database.set_not_after(set_id ^ uint64_t{1} << 32, kNowMs + 5000), Status::kNotFound);
  for (SaIndex sa = 0; sa < kSasPerSet; ++sa)
    EXPECT_EQ(database.hot(sa).identity.not_after_ms, kNowMs + 5000);
}

// Shows: R-7.4.2a-06
TEST(SaDatabase, ScanFindsWhatHasExpiredWithinItsBudget) {
  SaDatabase database(database_options(10));
  std::set<uint64_t> due;
  for (uint32_t number = 1; number <= 10; ++number) {
    SaSetRecord record = make_record(number);
    if (number % 2 == 0) record.not_after_ms = kNowMs + number;
    const uint64_t set_id = install(database, record);
    if (number % 2 == 0) due.insert(set_id);
  }
  std::set<uint64_t> found;
  const auto expired = [&](uint64_t set_id) {
    found.insert(set_id);
    remove(database, set_id);
  };
  database.scan_expired(kNowMs + 1, 10, expired);
  EXPECT_TRUE(found.empty());
  database.scan_expired(kNowMs + 10, 5, expired);
  EXPECT_LT(found.size(), due.size());
  database.scan_expired(kNowMs + 10, 5, expired);
  EXPECT_EQ(found, due);
  EXPECT_EQ(database.live_sets(), 5u);
}

// Shows: R-2401-03
TEST(SaDatabase, PathMtuFallsHoldsAndAges) {
  SaDatabase database(database_options(1));
  const uint64_t set_id = install(database, make_record(1));
  const auto path_mtu = [&](SaRole role) {
    return database.hot(sa_in(set_id, role)).identity.path_mtu.load();
  };
  database.set_path_mtu(set_id, 1400, 5000);
  EXPECT_EQ(path_mtu(SaRole::kOutPsUc), 1400u);
  EXPECT_EQ(path_mtu(SaRole::kOutPcUs), 1400u);
  EXPECT_EQ(path_mtu(SaRole::kInUcPs), 0u);
  database.set_path_mtu(set_id, 1450, 9000);
  EXPECT_EQ(path_mtu(SaRole::kOutPcUs), 1400u) << "never raised by a message";
  database.set_path_mtu(set_id, 1300, 6000);
  EXPECT_EQ(path_mtu(SaRole::kOutPcUs), 1300u);
  database.clear_path_mtu(set_id, 5999);
  EXPECT_EQ(path_mtu(SaRole::kOutPcUs), 1300u);
  database.clear_path_mtu(set_id, 6000);
  EXPECT_EQ(path_mtu(SaRole::kOutPsUc), 0u);
  EXPECT_EQ(path_mtu(SaRole::kOutPcUs), 0u);
  database.set_path_mtu(set_id + 1, 600, 6000);
}

// Shows: R-D-K2, R-C-03
TEST(SaDatabase, ViewShowsEverythingButKeys) {
  for (const RecordShape& shape : all_shapes()) {
    SaDatabase database(database_options(2));
    SaSetRecord record = make_record(1, shape);
    const uint64_t set_id = install(database, record);
    SaProgress& progress = database.hot(sa_in(set_id, SaRole::kInUsPc)).progress;
    progress.packets = 5;
    progress.bytes = 600;
    progress.sequence = 7;
    progress.icv_failures = 8;
    progress.replays = 9;
    progress.other_drops = 10;
    progress.last_use_s = 1234;
    shm::SetView view;
    ASSERT_EQ(database.view(set_id, view), Status::kOk);
    EXPECT_EQ(view.set_id, set_id);
    EXPECT_EQ(view.installed_ms, kNowMs);
    EXPECT_EQ(view.last_inbound_ms, 1'234'000u);
    std::fill(std::begin(record.integrity_key), std::end(record.integrity_key), uint8_t{0});
    std::fill(std::begin(record.cipher_key), std::end(record.cipher_key), uint8_t{0});
    record.integrity_key_bytes = record.cipher_key_bytes = 0;
    put(Address::from_ipv6(record.ue_address), record.outer_ue_address);
    put(Address::from_ipv6(record.local_address), record.outer_local_address);
    EXPECT_EQ(std::memcmp(&view.record, &record, sizeof record), 0) << text(shape);
    const shm::SaCounters& counters = view.sa[static_cast<size_t>(SaRole::kInUsPc)];
    EXPECT_EQ(counters.packets, 5u);
    EXPECT_EQ(counters.bytes, 600u);
    EXPECT_EQ(counters.sequence, 7u);
    EXPECT_EQ(counters.icv_failures, 8u);
    EXPECT_EQ(counters.replays, 9u);
    EXPECT_EQ(counters.other_drops, 10u);
  }
}

// Shows: R-C-03, R-7.4-04
TEST(SaDatabase, IdsAreNeverUsedTwice) {
  SaDatabase database(database_options(1));
  std::set<uint64_t> ids;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t set_id = install(database, make_record(1));
    EXPECT_NE(set_id, 0u);
    EXPECT_TRUE(ids.insert(set_id).second);
    uint64_t cookie = 0;
    EXPECT_EQ(database.live_set_id(0, cookie), set_id);
    EXPECT_EQ(cookie, make_record(1).cookie);
    remove(database, set_id);
    EXPECT_EQ(database.live_set_id(0, cookie), 0u);
  }
  shm::SetView view;
  for (const uint64_t set_id : ids) {
    EXPECT_EQ(database.view(set_id, view), Status::kNotFound);
    EXPECT_EQ(database.unpublish(set_id), Status::kNotFound);
  }
}

// Shows: R-C-03
TEST(SaDatabase, IdsOfAnotherProcessNameNothing) {
  SaDatabase a(database_options(1));
  SaDatabase b(database_options(1));
  const uint64_t id = install(a, make_record(1));
  install(b, make_record(1));
  EXPECT_EQ(b.unpublish(id), Status::kNotFound);
}

// Shows: R-7.4-04, R-D-K2, R-D-A2
TEST(SaDatabase, RemovalWipesInTwoSteps) {
  SaDatabaseOptions options = database_options(1);
  options.window_packets = 1024;
  SaDatabase database(options);
  const SaSetRecord record = make_record(1);
  const uint64_t set_id = install(database, record);
  const SaIndex sa = sa_in(set_id, SaRole::kInUcPs);
  const crypto::SaKeys zero{};
  EXPECT_NE(std::memcmp(&database.keys(sa), &zero, sizeof zero), 0);
  database.window(sa)[3] = 1;
  database.hot(sa).progress.sequence = 99;

  database.reclaim(static_cast<SetIndex>(set_id));
  EXPECT_EQ(database.live_sets(), 1u) << "a live set is not reclaimed";
  EXPECT_EQ(database.unpublish(set_id), Status::kOk);
  EXPECT_EQ(database.unpublish(set_id), Status::kNotFound);
  EXPECT_EQ(find_inbound(database, record.spi_ps, address("192.0.2.1")), kNoSa);
  EXPECT_EQ(find_outbound(database, record, SaRole::kOutPcUs), kNoSa);
  EXPECT_EQ(database.hot(sa).identity.not_after_ms, 0u) << "dead for who found it before";
  EXPECT_NE(std::memcmp(&database.keys(sa), &zero, sizeof zero), 0)
      << "a reader may still be at work";

  database.reclaim(static_cast<SetIndex>(set_id));
  EXPECT_EQ(std::memcmp(&database.keys(sa), &zero, sizeof zero), 0);
  EXPECT_EQ(database.hot(sa).progress.sequence, 0u);
  for (uint32_t i = 0; i < window_words(1024); ++i) EXPECT_EQ(database.window(sa)[i], 0u);
}

// Shows: R-D-P2
TEST(SaDatabase, OptionsHaveBounds) {
  for (const uint32_t capacity : {0u, 2'000'001u})
    EXPECT_THROW(SaDatabase{database_options(capacity)}, std::runtime_error);
  for (const uint32_t window : {0u, 16u, 33u, 100u, 4128u}) {
    SaDatabaseOptions options = database_options(1);
    options.window_packets = window;
    EXPECT_THROW(SaDatabase{options}, std::runtime_error);
  }
}

/// Installs and removes at random; a map knows what must be found.
// Shows: R-C-01, R-7.1-25, R-D-P2
TEST(SaDatabase, AgreesWithAMapOverManyOperations) {
  constexpr uint32_t kCapacity = 500;
  constexpr uint32_t kUes = 1000;
  SaDatabase database(database_options(kCapacity));
  std::map<uint32_t, uint64_t> model;
  std::mt19937 random(5);
  const RecordShape null_cipher = {
      .suite = {crypto::Integrity::kHmacMd5_96, crypto::Cipher::kNull}};
  for (uint32_t i = 0; i < 200'000; ++i) {
    const uint32_t ue = random() % kUes;
    const SaSetRecord record = make_record(ue, null_cipher);
    const auto live = model.find(ue);
    if (live != model.end()) {
      uint64_t other = 0;
      std::string detail;
      if (i % 4 == 0) {
        ASSERT_EQ(database.install(record, kNowMs, other, detail), Status::kSpiInUse);
      }
      ASSERT_EQ(find_outbound(database, record, SaRole::kOutPcUs),
                sa_in(live->second, SaRole::kOutPcUs));
      remove(database, live->second);
      model.erase(live);
      ASSERT_EQ(find_inbound(database, record.spi_ps, address("192.0.2.1")), kNoSa);
    } else {
      uint64_t set_id = 0;
      std::string detail;
      const Status status = database.install(record, kNowMs, set_id, detail);
      ASSERT_EQ(status, model.size() < kCapacity ? Status::kOk : Status::kTableFull) << detail;
      if (status != Status::kOk) continue;
      model[ue] = set_id;
      ASSERT_EQ(find_inbound(database, record.spi_pc, address("192.0.2.1")),
                sa_in(set_id, SaRole::kInUsPc));
    }
    ASSERT_EQ(database.live_sets(), model.size());
  }
  std::set<uint64_t> walked;
  shm::SetView view;
  for (uint64_t at = 0; database.next(at, view, at) == Status::kOk;) walked.insert(view.set_id);
  std::set<uint64_t> expected;
  for (const auto& [ue, set_id] : model) expected.insert(set_id);
  EXPECT_EQ(walked, expected);
}

/// A worker looks up and reads SAs while the control thread installs and removes others; grace
/// periods are kept as gmespd keeps them.
// Shows: R-C-01, R-7.4-04
TEST(SaDatabase, WorkersReadWhileControlWrites) {
  SaDatabase database(database_options(64));
  const SaSetRecord standing = make_record(1);
  const uint64_t standing_id = install(database, standing);
  std::atomic<uint64_t> quiescent{0};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  std::thread worker([&] {
    const Address local = address("192.0.2.1");
    while (!stop) {
      if (find_inbound(database, standing.spi_ps, local) != sa_in(standing_id, SaRole::kInUcPs))
        ++wrong;
      for (uint32_t number = 2; number < 34; ++number) {
        const SaSetRecord record = make_record(number);
        const SaIndex sa = find_inbound(database, record.spi_ps, local);
        if (sa == kNoSa) continue;
        const SaIdentity& identity = database.hot(sa).identity;
        if (identity.spi != record.spi_ps || identity.ue_port != record.port_uc) ++wrong;
        if (identity.not_after_ms.load() != 0 && database.keys(sa).hmac_inner[0] == 0) ++wrong;
      }
      ++quiescent;
    }
  });
  for (uint32_t round = 0; round < 100; ++round) {
    std::vector<uint64_t> ids;
    for (uint32_t number = 2; number < 34; ++number)
      ids.push_back(install(database, make_record(number)));
    for (const uint64_t set_id : ids) EXPECT_EQ(database.unpublish(set_id), Status::kOk);
    const uint64_t seen = quiescent;
    while (quiescent < seen + 2) std::this_thread::yield();
    for (const uint64_t set_id : ids) database.reclaim(static_cast<SetIndex>(set_id));
  }
  stop = true;
  worker.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace gmesp::ipsec
