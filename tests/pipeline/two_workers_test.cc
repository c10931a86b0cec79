// Two workers on the same SAs at the same time: each number is accepted once and used once, and no
// packet is lost but under a counter (R-D-A1).
//
// GMESP_TWO_WORKERS_PACKETS sets how many packets each case feeds.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "crew.h"
#include "dissection.h"
#include "scale.h"

namespace gmesp::test {
namespace {

using ipsec::DropReason;
using ipsec::Side;
using ipsec::Statistic;
using shm::SaRole;

constexpr size_t kBatch = 32;
constexpr uint32_t kPerRound = 8192;

/// What both workers are fed in one round, and from where each goes on.
struct Round {
  std::vector<Bytes> frames[2];
  size_t at[2] = {0, 0};
  Crew::Batch next(uint8_t worker, Side from) {
    Crew::Batch batch;
    std::vector<Bytes>& mine = frames[worker];
    const size_t until = std::min(mine.size(), at[worker] + kBatch);
    auto& into = from == Side::kAccess ? batch.from_network : batch.from_host;
    for (; at[worker] < until; ++at[worker]) into.push_back(std::move(mine[at[worker]]));
    return batch;
  }
};

struct Case {
  const char* name;
  uint32_t ues;
  bool is_tunnel;
};

class TwoWorkersTest : public testing::TestWithParam<Case> {
 protected:
  TwoWorkersTest() : packets_(scaled("GMESP_TWO_WORKERS_PACKETS", 250'000)), crew_(options(), 2) {
    for (uint32_t number = 1; number <= GetParam().ues; ++number) {
      const auto mode =
          GetParam().is_tunnel ? shm::Mode::kUdpEncapsulatedTunnel : shm::Mode::kTransport;
      ues_.push_back(make_registration(number, mode));
      ues_.back().installed_peer_port = GetParam().is_tunnel ? ues_.back().nat_port : uint16_t{0};
      uint64_t set_id = 0;
      std::string detail;
      EXPECT_EQ(crew_.database().install(ues_.back().record(), 1, set_id, detail), shm::Status::kOk)
          << detail;
    }
  }
  static LabOptions options() {
    LabOptions options;
    options.database.window_packets = 4096;
    options.pipeline.audit_events_per_second = 1;
    return options;
  }
  std::vector<Sent> take_sent() {
    std::vector<Sent> all;
    for (uint8_t worker = 0; worker < 2; ++worker) {
      std::vector<Sent>& sent = crew_.member(worker).sent;
      all.insert(all.end(), std::make_move_iterator(sent.begin()),
                 std::make_move_iterator(sent.end()));
      sent.clear();
    }
    return all;
  }
  void expect_books_in_order(uint64_t delivered) {
    EXPECT_EQ(crew_.member(0).buffers + crew_.member(1).buffers, 0);
    EXPECT_EQ(delivered + crew_.dropped(), crew_.member(0).fed + crew_.member(1).fed);
  }

  const uint64_t packets_;
  Crew crew_;
  std::vector<Registration> ues_;
};

INSTANTIATE_TEST_SUITE_P(Sas, TwoWorkersTest,
                         testing::Values(Case{"One", 1, false}, Case{"Many", 64, false},
                                         Case{"ManyTunnels", 64, true}),
                         [](const auto& info) { return info.param.name; });

/// Uplink packets with a mark in each payload, `sequence` numbers per SA from `from` on.
std::vector<Bytes> uplink(const std::vector<Registration>& ues, uint32_t from, uint32_t count) {
  std::vector<Bytes> frames;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t mark = from + i;
    const Registration& ue = ues[mark % ues.size()];
    const auto sequence = static_cast<uint32_t>(1 + mark / ues.size());
    Bytes payload;
    append32(payload, mark);
    frames.push_back(ue.uplink(SaRole::kInUcPs, sequence, payload));
  }
  return frames;
}

// Shows: R-D-A1, R-6.3-03
TEST_P(TwoWorkersTest, CopiesOnBothAreAcceptedOnce) {
  std::vector<uint8_t> accepted(packets_ + kPerRound);
  uint64_t delivered = 0;
  uint64_t unique = 0;
  std::mt19937 random(1);
  for (uint32_t from = 0; unique * 2 < packets_; from += kPerRound) {
    Round round;
    round.frames[0] = uplink(ues_, from, kPerRound);
    round.frames[1] = round.frames[0];
    for (size_t at = 0; at + kBatch <= kPerRound; at += kBatch)  // disorder of another queue
      std::shuffle(round.frames[1].begin() + static_cast<ptrdiff_t>(at),
                   round.frames[1].begin() + static_cast<ptrdiff_t>(at + kBatch), random);
    unique += kPerRound;
    crew_.run([&](uint8_t worker) { return round.next(worker, Side::kAccess); });
    for (const Sent& sent : take_sent()) {
      ASSERT_EQ(sent.to, Side::kHost);
      const uint32_t mark = get32(dissect(sent.frame)->payload, 0);
      ASSERT_EQ(++accepted[mark], 1) << "packet " << mark << " was accepted twice";
      ++delivered;
    }
  }
  expect_books_in_order(delivered);
  // A packet is missing only if a ring was full when one of its copies came.
  EXPECT_LE(unique - delivered, crew_.count(DropReason::kHandoffFull));
  EXPECT_GT(crew_.count(Statistic::kHandedOff), 0u) << "both workers had a part in it";
}

// Shows: R-D-A1, R-2406-06
TEST_P(TwoWorkersTest, OutboundNumbersAreUsedOnce) {
  std::map<uint32_t, std::vector<bool>> used;  // by SPI
  uint64_t sent_count = 0;
  for (uint64_t fed = 0; fed < packets_; fed += 2 * kPerRound) {
    Round round;
    for (auto& frames : round.frames)
      for (uint32_t i = 0; i < kPerRound; ++i)
        frames.push_back(
            frame_from_host(ues_[i % ues_.size()].clear(SaRole::kOutPcUs, pattern(10))));
    crew_.run([&](uint8_t worker) { return round.next(worker, Side::kHost); });
    for (const Sent& sent : take_sent()) {
      ASSERT_EQ(sent.to, Side::kAccess);
      const Bytes packet = packet_in(sent.frame);
      const Bytes esp = esp_bytes(packet);
      const uint32_t spi = get32(esp, 0);
      const uint32_t sequence = get32(esp, 4);
      std::vector<bool>& numbers = used[spi];
      if (numbers.size() <= sequence) numbers.resize(sequence * 2 + 2);
      ASSERT_FALSE(numbers[sequence]) << "number " << sequence << " was used twice";
      numbers[sequence] = true;
      const Registration& ue = ues_[(spi - ues_[0].spi_us) / 4];
      if (++sent_count % 16 == 0) {
        ASSERT_TRUE(open(ue.sa(SaRole::kOutPcUs), packet).is_authentic);
      }
    }
  }
  expect_books_in_order(sent_count);
  EXPECT_EQ(crew_.dropped(), crew_.count(DropReason::kHandoffFull));
  for (const auto& [spi, numbers] : used) {
    const auto count = std::count(numbers.begin(), numbers.end(), true);
    EXPECT_FALSE(numbers[0]);
    EXPECT_TRUE(numbers[1] && numbers[static_cast<size_t>(count)]) << "1 to n without a gap";
  }
}

/// Forged packets on one worker, the genuine ones on the other: the SA belongs to where they come.
// Shows: R-D-A1, R-2406-04
TEST_P(TwoWorkersTest, ForgeriesDoNotTakeOverAnSa) {
  const uint64_t rounds = std::max<uint64_t>(1, packets_ / (8 * kPerRound));
  uint64_t delivered = 0;
  for (uint64_t from = 0; from < rounds * kPerRound; from += kPerRound) {
    Round round;
    round.frames[0] = uplink(ues_, static_cast<uint32_t>(from), kPerRound);
    round.frames[1] = round.frames[0];
    for (Bytes& frame : round.frames[1]) frame.back() ^= 1;
    crew_.run([&](uint8_t worker) { return round.next(worker, Side::kAccess); });
    delivered += take_sent().size();
  }
  expect_books_in_order(delivered);
  EXPECT_EQ(delivered + crew_.count(DropReason::kHandoffFull) + crew_.count(DropReason::kIcvWrong) +
                crew_.count(DropReason::kReplaySeen) + crew_.count(DropReason::kReplayOld),
            2 * rounds * kPerRound);
  EXPECT_GE(delivered + crew_.count(DropReason::kHandoffFull), rounds * kPerRound)
      << "no genuine packet is lost but in a full ring";
}

/// The first packets of SA-a and SA-c of many tunnels at once, each on a worker of its own and from
/// another port: one of them teaches port_Uenc, and all four SAs of the set know the same.
// Shows: R-M-08, R-D-A1
TEST(TwoWorkers, PortIsLearnedOnceThoughBothInboundSasStartAtOnce) {
  constexpr uint32_t kSets = 200;
  LabOptions options;
  Crew crew(options, 2);
  std::vector<Registration> ues;
  std::vector<uint64_t> ids;
  Round round;
  for (uint32_t number = 1; number <= kSets; ++number) {
    Registration ue = make_registration(number, shm::Mode::kUdpEncapsulatedTunnel);
    std::string detail;
    ids.emplace_back();
    ASSERT_EQ(crew.database().install(ue.record(), 1, ids.back(), detail), shm::Status::kOk);
    round.frames[0].push_back(ue.uplink(SaRole::kInUcPs, 1, pattern(9)));
    ue.nat_port ^= 0x4000;
    round.frames[1].push_back(ue.uplink(SaRole::kInUsPc, 1, pattern(9)));
  }
  crew.run([&](uint8_t worker) { return round.next(worker, Side::kAccess); });
  EXPECT_EQ(crew.count(Statistic::kEspInPackets), 2u * kSets);
  std::map<uint32_t, uint64_t> learned;  // by set
  for (uint8_t worker = 0; worker < 2; ++worker) {
    ipsec::Notice notice;
    while (crew.member(worker).pipeline().notices().pop(notice)) {
      if (notice.kind != shm::EventKind::kPeerPortLearned) continue;
      EXPECT_TRUE(learned.emplace(ipsec::set_of(notice.sa), notice.value).second) << "told twice";
    }
  }
  EXPECT_EQ(learned.size(), kSets);
  for (const uint64_t id : ids) {
    const auto set = static_cast<ipsec::SetIndex>(id);
    for (uint32_t role = 0; role < ipsec::kSasPerSet; ++role)
      EXPECT_EQ(crew.database().hot(set * ipsec::kSasPerSet + role).identity.outer_ue_port.load(),
                learned[set]);
  }
}

}  // namespace
}  // namespace gmesp::test
