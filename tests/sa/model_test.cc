// The SA manager against a model of TS 33.203 7: random events, losses, repetitions and reorderings
// over a few users, addresses and ports, compared after every event.
//
// GMESP_SA_EVENTS: events of the long run, GMESP_SA_SEED: its seed. A violation is reported with
// the shortest sequence of steps found that shows it.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cinttypes>
#include <cstdlib>

#include "model_world.h"

namespace gmesp::sa::model {
namespace {

/// How often each kind of step comes, in the order of Kind.
constexpr std::array<uint32_t, kKinds> kWeights = {90, 8, 4, 8, 8,  8, 3, 12, 3,
                                                   4,  8, 1, 2, 12, 4, 6, 1};
constexpr uint32_t kChoices = 1 << 20;
constexpr int kShortStepsMax = 300;

Step make_step(Dice& dice) {
  uint32_t total = 0;
  for (const uint32_t weight : kWeights) total += weight;
  uint32_t at = dice.below(total);
  uint32_t kind = 0;
  while (at >= kWeights[kind]) at -= kWeights[kind++];
  return {static_cast<Kind>(kind), dice.below(kChoices)};
}

/// What is wrong with a sequence; empty: nothing.
std::string run(World& world, const std::vector<Step>& steps) {
  try {
    for (const Step& step : steps) world.apply(step);
    world.drain();
  } catch (const Violation& violation) {
    return violation.what();
  }
  return "";
}

std::string run(uint64_t seed, const std::vector<Step>& steps) {
  World world(seed);
  return run(world, steps);
}

/// Leaves out what is not needed for the violation: first the end, then ever smaller pieces.
std::vector<Step> shrunk(uint64_t seed, const std::string& wrong, std::vector<Step> steps) {
  for (size_t piece = steps.size() / 2; piece > 0; piece /= 2)
    for (size_t at = steps.size(); at >= piece;) {
      at -= piece;
      if (at + piece > steps.size()) continue;
      std::vector<Step> fewer = steps;
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(at),
                  fewer.begin() + static_cast<ptrdiff_t>(at + piece));
      if (run(seed, fewer) == wrong) steps = std::move(fewer);
      if (at < piece) break;
    }
  return steps;
}

std::string report(uint64_t seed, const std::string& wrong, const std::vector<Step>& steps) {
  const std::vector<Step> fewest = shrunk(seed, wrong, steps);
  std::string text = run(seed, fewest) + "\nworld " + std::to_string(seed) + ", steps:";
  for (const Step& step : fewest)
    text += " {" + std::to_string(static_cast<int>(step.kind)) + "," + std::to_string(step.choice) +
            "}";
  return text;
}

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

// Shows: R-C-05, R-7.1-12, R-7.1-14, R-7.1-21, R-7.1-25, R-7.1-26, R-7.1-27, R-7.1-28, R-7.1-29
// Shows: R-7.4-02, R-7.4-03, R-7.4-04, R-7.4.2a-01, R-7.4.2a-02, R-7.4.2a-03, R-7.4.2a-05
// Shows: R-7.4.2a-06, R-7.4.2a-07, R-7.4.2a-08, R-7.4.2a-10, R-7.3-02, R-7.3-03, R-7.3-04, R-7.3-05
// Shows: R-6.1.1-01, R-6.1.1-02, R-6.1.5-01, R-6.1.5-02, R-D-P1, R-D-P2, R-D-F1, R-D-E1, R-D-E2
TEST(SaModel, LongRunAgreesWithTheModel) {
  const uint64_t events = from_environment("GMESP_SA_EVENTS", 200'000);
  const uint64_t seed = from_environment("GMESP_SA_SEED", 33203);
  constexpr uint64_t kStepsPerWorld = 2'000;
  uint64_t done = 0, registrations = 0;
  Dice seeds(seed);
  while (done < events) {
    const uint64_t world_seed = seeds.next();
    Dice dice(world_seed);
    std::vector<Step> steps(std::min(kStepsPerWorld, events - done));
    for (Step& step : steps) step = make_step(dice);
    World world(world_seed);
    const std::string wrong = run(world, steps);
    ASSERT_EQ(wrong, "") << "seed " << seed << " after " << done << " events\n"
                         << report(world_seed, wrong, steps);
    done += steps.size();
    registrations += world.registrations();
  }
  std::printf("seed %" PRIu64 ": %" PRIu64 " events, %" PRIu64 " registrations\n", seed, done,
              registrations);
  EXPECT_GT(registrations, done / 100) << "the run shows little if nobody gets registered";
}

// Shows: R-C-05, R-7.1-25, R-7.1-27, R-D-P2, R-6.1.1-02, R-7.4.2a-08
TEST(SaModel, AnyShortSequenceAgreesWithTheModel) {
  const auto step = rc::gen::map(
      rc::gen::pair(rc::gen::inRange<uint32_t>(0, 2 * kKinds), rc::gen::inRange(0u, kChoices)),
      [](const std::pair<uint32_t, uint32_t>& drawn) {
        const auto kind = drawn.first < kKinds ? static_cast<Kind>(drawn.first) : Kind::kProceed;
        return Step{kind, drawn.second};
      });
  EXPECT_TRUE(rc::check("any sequence agrees", [&] {
    const auto seed = *rc::gen::inRange<uint64_t>(0, 1000);
    const auto steps =
        *rc::gen::resize(kShortStepsMax, rc::gen::container<std::vector<Step>>(step));
    RC_ASSERT(run(seed, steps) == "");
  }));
}

// Shows: R-C-05
TEST(SaModel, SameEventsGiveSameVerdicts) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Dice dice(seed);
    std::vector<Step> steps(2'000);
    for (Step& step : steps) step = make_step(dice);
    World one(seed), other(seed);
    ASSERT_EQ(run(one, steps), "");
    ASSERT_EQ(run(other, steps), "");
    EXPECT_EQ(one.trace(), other.trace()) << "seed " << seed;
  }
}

}  // namespace

void showValue(const Step& step, std::ostream& out) {
  out << "{" << static_cast<int>(step.kind) << "," << step.choice << "}";
}

}  // namespace gmesp::sa::model
