// The same events at the same times give the same verdicts, whatever the clock on the wall says.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sa_lab.h"

namespace {

/// All clocks of the process are ahead by so much.
time_t ahead_s = 0;
uint64_t clock_readings = 0;

}  // namespace

/// Takes the place of the C library's for the whole program, std::chrono included.
extern "C" int clock_gettime(clockid_t clock, timespec* now) noexcept {
  ++clock_readings;
  const auto result = static_cast<int>(syscall(SYS_clock_gettime, clock, now));
  now->tv_sec += ahead_s;
  return result;
}

extern "C" time_t time(time_t* now) noexcept {
  timespec clock;
  clock_gettime(CLOCK_REALTIME, &clock);
  if (now != nullptr) *now = clock.tv_sec;
  return clock.tv_sec;
}

namespace gmesp::sa {
namespace {

/// A life of some users, with all that goes wrong in it; what was said and done.
std::string play(uint64_t began_ms, uint64_t seed) {
  Policy policy;
  policy.many_registrations = true;
  policy.procedures_max = 8;
  SaLab lab(policy, seed);
  lab.now_ms = began_ms;
  std::vector<Ue> ues;
  for (uint8_t i = 0; i < 6; ++i) {
    ues.push_back(ue_at(i % 2 == 0 ? ipv4(1, i) : ipv6(i), "user" + std::to_string(i / 2)));
    ues.back().key = std::to_string(i);
    ues.back().spi_c += 0x1000u * i;
    ues.back().spi_s += 0x1000u * i;
    ues.back().modes = {"trans", "UDP-enc-tun"};
    if (i % 3 == 2) ues.back().via = ipv4(192, i);
  }
  for (uint32_t round = 0; round < 12; ++round)
    for (Ue& ue : ues) {
      const UeSet first = lab.register_in_clear(ue);
      ue.via = ue.address;
      const UeSet second = lab.register_on(first, ue);
      lab.request(first.from_client());
      lab.request(second.from_client());
      lab.route(ue);
      lab.begin_on(second, ue);
      if (round % 3 == 0) lab.ue_fails(ue, AuthenticationAnswer::kSynchronisationFailure);
      if (round % 3 == 1) lab.sm7(ue), lab.registrar_fails(ue, true);
      if (round % 4 == 3) lab.deregister(ue);
      lab.pass(17 * kSecond_ms);
    }
  lab.manager.withdraw(Integrity::kHmacSha1_96, true, lab.now_ms);
  lab.pass(2 * kHour_ms);
  EXPECT_TRUE(lab.sink.held.empty());
  return lab.sink.log;
}

// Shows: R-C-05
TEST(Replay, TheSameEventsGiveTheSameWordForWord) {
  const std::string once = play(1'000'000, 7);
  EXPECT_GT(once.size(), 10'000u);
  EXPECT_EQ(once, play(1'000'000, 7));
}

// Shows: R-C-05
TEST(Replay, TheWallClockDoesNotMatter) {
  const std::string once = play(1'000'000, 7);
  const uint64_t readings = clock_readings;
  ahead_s = 86'400;
  const std::string a_day_later = play(1'000'000, 7);
  ahead_s = -86'400;
  const std::string a_day_earlier = play(1'000'000, 7);
  ahead_s = 0;
  EXPECT_EQ(clock_readings, readings) << "nobody looks at a clock";
  EXPECT_EQ(once, a_day_later);
  EXPECT_EQ(once, a_day_earlier);
  time(nullptr);
  EXPECT_EQ(clock_readings, readings + 1) << "or it would be seen";
}

// Shows: R-C-05, R-7.1-12
TEST(Replay, OnlyTheSeedChoosesOtherSpis) {
  EXPECT_NE(play(1'000'000, 7), play(1'000'000, 8));
}

}  // namespace
}  // namespace gmesp::sa
