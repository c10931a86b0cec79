// SA memory that is damaged, or made up: never a crash, never an SA that is not sound.
#include <cstring>
#include <random>
#include <set>

#include "dataplane/ipsec/sa_record.h"
#include "dataplane/ipsec/set_seal.h"
#include "dead_process.h"
#include "uplink.h"

namespace gmesp::ipsec {
namespace {

using shm::SaRole;
using shm::SaSetRecord;
using shm::Status;

class RestoreDamage : public DeadProcess {};

std::vector<shm::SetView> live(const SaDatabase& database) {
  std::vector<shm::SetView> views;
  shm::SetView view;
  for (uint64_t at = 0; database.next(at, view, at) == Status::kOk;) views.push_back(view);
  return views;
}

/// Each live set is allowed, is found by its own keys, and shares none.
void expect_sound(const SaDatabase& database) {
  const std::vector<shm::SetView> views = live(database);
  ASSERT_EQ(views.size(), database.live_sets());
  std::set<std::pair<uint32_t, std::string>> inbound;
  for (const shm::SetView& view : views) {
    const SaSetRecord& record = view.record;
    const auto set = static_cast<SetIndex>(view.set_id);
    const Address destination = outer_local_of(record);
    for (const auto& [spi, role] :
         {std::pair{record.spi_ps, SaRole::kInUcPs}, {record.spi_pc, SaRole::kInUsPc}}) {
      ASSERT_TRUE(inbound.emplace(spi, text(destination)).second);
      ASSERT_EQ(find_inbound(database, spi, destination), sa_of(set, role));
    }
    for (const SaRole role : {SaRole::kOutPsUc, SaRole::kOutPcUs})
      ASSERT_EQ(find_outbound(database, record, role), sa_of(set, role));
    SaSetRecord whole = record;
    whole.integrity_key_bytes =
        static_cast<uint8_t>(crypto::info(suite_of(record).integrity).key_bytes);
    whole.cipher_key_bytes = static_cast<uint8_t>(crypto::info(suite_of(record).cipher).key_bytes);
    std::string detail;
    ASSERT_EQ(check_record(whole, database.protected_ports(), kNowMs, detail), Status::kOk)
        << detail;
  }
}

/// A whole set a second time, in another slot and with a good seal: one of the two lives.
// Shows: R-7.1-25, R-D-S1
TEST_F(RestoreDamage, DuplicatesAreRefused) {
  die_with_sets(1);
  change([](SaMemory& memory) {
    std::memcpy(static_cast<void*>(&memory.hot(sa_of(5, SaRole::kInUcPs))), &memory.hot(0),
                sizeof(SaHot) * kSasPerSet);
    memory.keys(5) = memory.keys(0);
    std::memcpy(static_cast<void*>(&memory.set_state(5)), &memory.set_state(0), sizeof(SetState));
    memory.set_state(5).seal = seal_of(memory, 5);
  });
  const SaDatabase database(options());
  EXPECT_EQ(database.live_sets(), 1u);
  EXPECT_EQ(database.restoration().refused, 1u);
  expect_sound(database);
}

/// Where bytes of set 0 stand in the file: a header, then SetState and SetHot of all slots.
struct Range {
  size_t from;
  size_t bytes;
};
constexpr size_t kStatesAt = 128;
constexpr size_t kHotAt = kStatesAt + kCapacity * sizeof(SetState);
constexpr size_t kKeysAt = kHotAt + offsetof(SetHot, keys);

/// All that decides where packets go and how they are protected. Counters, padding and what is
/// learned again stand aside.
std::vector<Range> sealed_ranges() {
  std::vector<Range> ranges = {{kStatesAt, offsetof(SetState, path_mtu_expires_ms)},
                               {kStatesAt + offsetof(SetState, seal), sizeof(uint64_t)},
                               {kKeysAt, sizeof(crypto::SaKeys)}};
  for (size_t sa = 0; sa < kSasPerSet; ++sa) {
    const size_t at = kHotAt + sa * sizeof(SaHot);
    ranges.push_back({at, offsetof(SaIdentity, owner)});
    ranges.push_back({at + offsetof(SaIdentity, outer_is_inner), sizeof(bool)});
  }
  return ranges;
}

// Shows: R-D-A2, R-C-02
TEST_F(RestoreDamage, AnyFlippedBitOfWhatIsSealedCostsThatSetAlone) {
  die_with_sets(2, {.mode = shm::Mode::kUdpEncapsulatedTunnel, .is_ipv4 = false});
  const Bytes good = content();
  for (const Range& range : sealed_ranges())
    for (size_t bit = range.from * 8; bit < (range.from + range.bytes) * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      write_content(bad);
      const SaDatabase database(options());
      ASSERT_EQ(database.live_sets(), 1u) << "byte " << bit / 8 << ", bit " << bit % 8;
      ASSERT_EQ(database.restoration().lost(), 1u);
      ASSERT_EQ(live(database)[0].record.cookie, make_record(2).cookie);
    }
}

/// Counters decide nothing, except that no SA has had more packets than numbers.
// Shows: R-D-A2
TEST_F(RestoreDamage, MorePacketsThanNumbersIsDamage) {
  for (const SaRole role : kRoles) {
    die_with_sets(1);
    change([&](SaMemory& memory) { memory.hot(sa_of(0, role)).progress.packets = 1; });
    const SaDatabase database(options());
    EXPECT_EQ(database.live_sets(), 0u);
    EXPECT_EQ(database.restoration().damaged, 1u);
  }
}

/// Random damage anywhere behind the header: never a crash, never an SA that is not sound.
// Shows: R-C-02, R-D-S1
TEST_F(RestoreDamage, RandomDamageIsNeverBelieved) {
  die_with_sets(kCapacity);
  const Bytes good = content();
  std::mt19937_64 random(20'261'121);
  for (int round = 0; round < 2000; ++round) {
    Bytes bad = good;
    const uint64_t flips = 1 + random() % 64;
    for (uint64_t i = 0; i < flips; ++i)
      bad[kStatesAt + random() % (bad.size() - kStatesAt)] ^= static_cast<uint8_t>(random());
    write_content(bad);
    const SaDatabase database(options());
    ASSERT_NO_FATAL_FAILURE(expect_sound(database)) << "round " << round;
    for (const shm::SetView& view : live(database)) {
      const SaSetRecord record = make_record(static_cast<uint32_t>(view.record.cookie));
      ASSERT_EQ(view.record.spi_ps, record.spi_ps);
      ASSERT_EQ(view.record.port_us, record.port_us);
    }
  }
}

/// The same with the seal made good again, as one would who wants the damage believed: a word of a
/// set is damaged, or taken from another set.
// Shows: R-C-02, R-D-S1
TEST_F(RestoreDamage, DamageWithAGoodSealIsJudgedLikeARecordFromControl) {
  die_with_sets(kCapacity);
  const Bytes good = content();
  std::mt19937_64 random(20'261'122);
  uint32_t restored = 0;
  uint32_t lost = 0;
  for (int round = 0; round < 2000; ++round) {
    write_content(good);
    change([&](SaMemory& memory) {
      for (SetIndex set = 0; set < 3; ++set) {
        const size_t at = random() % 16 * sizeof(uint32_t);
        const uint64_t from = random() % kCapacity;
        const uint32_t noise = random() % 2 == 0 ? 0 : 1u << random() % 32;
        // The same change in all four SAs, or they would only contradict one another.
        for (const SaRole role : kRoles) {
          auto* to = reinterpret_cast<uint8_t*>(&memory.hot(sa_of(set, role)).identity) + at;
          uint32_t word;
          std::memcpy(&word,
                      reinterpret_cast<const uint8_t*>(
                          &memory.hot(sa_of(static_cast<SetIndex>(from), role)).identity) +
                          at,
                      sizeof word);
          word ^= noise;
          std::memcpy(to, &word, sizeof word);
        }
        SetState& state = memory.set_state(set);
        state.outer_ue = memory.hot(sa_of(set, kSaA)).identity.ue;
        state.outer_local = memory.hot(sa_of(set, kSaA)).identity.local;
        state.seal = seal_of(memory, set);
      }
    });
    const SaDatabase database(options());
    restored += database.restoration().restored;
    lost += database.restoration().lost();
    ASSERT_EQ(database.restoration().restored + database.restoration().lost(), kCapacity);
    ASSERT_NO_FATAL_FAILURE(expect_sound(database)) << "round " << round;
  }
  EXPECT_GT(restored, 5u * 2000) << "sets that nobody touched live";
  EXPECT_GT(lost, 1000u) << "the test must reach what is refused";
}

/// The header alone: adopted, wiped or refused as foreign, but never a crash.
// Shows: R-C-02
TEST_F(RestoreDamage, AnyFlippedBitOfTheHeaderIsSurvived) {
  die_with_sets(1);
  const Bytes good = content();
  for (size_t bit = 0; bit < sizeof(SaMemoryHeader) * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    write_content(bad);
    const std::string error = error_of([&] {
      SaDatabase database(options());
      ASSERT_EQ(database.live_sets(), database.memory().is_adopted() ? 1u : 0u);
      install(database, make_record(2));
    });
    ASSERT_EQ(error.empty(), bit >= 64) << "bit " << bit << ": " << error;
  }
}

}  // namespace
}  // namespace gmesp::ipsec
