// Hundreds of thousands of damaged packets of all kinds: none crashes, none is lost from the books,
// none reaches the host from ESP that the reference does not authenticate, none crosses a protected
// port in clear.
//
// GMESP_MUTATIONS sets how many, GMESP_MUTATION_SEED which; a failure prints both.
#include <gtest/gtest.h>

#include <cstdlib>

#include "judge.h"
#include "mutator.h"
#include "traffic.h"

namespace gmesp::test {
namespace {

using ipsec::Side;

uint64_t setting(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

LabOptions options() {
  LabOptions options;
  // What is joined shall reach the host in one piece, to be judged.
  options.pipeline.host_mtu_bytes = 9000;
  options.pipeline.audit_events_per_second = 1;
  return options;
}

struct Trial {
  explicit Trial(uint64_t seed)
      : lab(options()), traffic(seed), judge(traffic.ues()), mutator(seed + 1), random(seed + 2) {
    for (const Registration& ue : traffic.ues()) lab.install(ue);
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random() % bound); }
  /// The next frames: half of them as they should be, the rest damaged or repeated.
  std::vector<Fed> batch();
  void run_batch(const std::vector<Fed>& fed);

  Lab lab;
  Traffic traffic;
  Judge judge;
  Mutator mutator;
  std::mt19937_64 random;
  Bytes last;
};

std::vector<Fed> Trial::batch() {
  std::vector<Fed> fed;
  for (uint32_t packets = 1 + below(6); packets != 0; --packets)
    for (Fed& one : traffic.next()) {
      if (below(8) == 0) fed.push_back(one);  // the genuine one too, before the damaged
      if (below(2) == 0) one.frame = mutator.mutate(one.frame, last);
      if (below(10) == 0) one.from = one.from == Side::kHost ? Side::kAccess : Side::kHost;
      last = one.frame;
      fed.push_back(std::move(one));
    }
  if (fed.size() > ipsec::Pipeline::kPacketsMax) fed.resize(ipsec::Pipeline::kPacketsMax);
  return fed;
}

void Trial::run_batch(const std::vector<Fed>& fed) {
  judge.remember(traffic.take_protected());
  std::vector<Bytes> access;
  std::vector<Bytes> host;
  for (const Fed& one : fed) (one.from == Side::kAccess ? access : host).push_back(one.frame);
  lab.now_ms += below(4);
  const std::vector<Sent> sent = lab.process(access, host);
  EXPECT_EQ(judge.verdict(fed, sent, lab), "");
  lab.pipeline().expire(lab.now_ms);
  ipsec::Notice notice;
  while (lab.pipeline().notices().pop(notice)) {
  }
}

// Shows: R-D-U1, R-7.1-18, R-7.1-19, R-2406-07, R-2406-08, R-6.3-03, R-D-A1
TEST(Mutation, NothingGetsThroughThatShouldNot) {
  const uint64_t count = setting("GMESP_MUTATIONS", 300'000);
  const uint64_t seed = setting("GMESP_MUTATION_SEED", 33203);
  Trial trial(seed);
  uint64_t fed = 0;
  while (fed < count && !HasFailure()) {
    const std::vector<Fed> batch = trial.batch();
    trial.run_batch(batch);
    fed += batch.size();
  }
  ASSERT_FALSE(HasFailure()) << "GMESP_MUTATION_SEED=" << seed << " GMESP_MUTATIONS=" << fed;

  trial.lab.now_ms += 10'000;
  for (int i = 0; i < 8; ++i) trial.lab.pipeline().expire(trial.lab.now_ms);
  EXPECT_EQ(trial.lab.waiting(), 0) << "packets lost from the books; drops: " << trial.lab.drops();
  // The damage must not have been such that nothing came through at all.
  for (const char* kind :
       {"ESP to protected port", "joined to protected port", "ESP to UE", "joined to UE",
        "clear to host", "clear to access", "other to host", "other to access"})
    EXPECT_GT(trial.judge.seen().contains(kind) ? trial.judge.seen().at(kind) : 0, count / 5000)
        << kind;
}

}  // namespace
}  // namespace gmesp::test
