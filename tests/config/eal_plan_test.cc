// What gmespd asks of DPDK on which machine: memory mode, cores, devices, and what it says is lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "dataplane/eal.h"

namespace gmesp::dataplane {
namespace {

using Arguments = std::vector<std::string>;

Config read(std::string_view text) {
  const ConfigResult result = parse_config(text, "test.toml");
  for (const settings::Error& error : result.errors) ADD_FAILURE() << to_string(error);
  return result.config;
}

constexpr uint64_t kGigabyte = uint64_t{1} << 30;

bool has(const EalPlan& plan, std::string_view argument) {
  return std::find(plan.arguments.begin(), plan.arguments.end(), argument) != plan.arguments.end();
}

TEST(EalPlan, WithoutHugepagesRunsOnOrdinaryPagesAndSaysWhatIsLost) {
  const EalPlan plan = plan_eal(read("[memory]\nmegabytes = 128\n"), {{0, 1}, 0});
  EXPECT_EQ(plan.arguments, (Arguments{"--lcores=0@(0),1@1", "--main-lcore=0",
                                       "--file-prefix=gmespd", "--no-telemetry", "--no-huge",
                                       "--no-shconf", "-m", "128", "--no-pci", "--iova-mode=va"}));
  EXPECT_FALSE(plan.huge_pages);
  ASSERT_EQ(plan.lost.size(), 1u);
  EXPECT_NE(plan.lost[0].find("0 MB free, 128 MB needed"), std::string::npos);
  EXPECT_NE(plan.lost[0].find("scripts/setup"), std::string::npos);
}

TEST(EalPlan, TakesHugepagesWhenEnoughAreFree) {
  const EalPlan plan = plan_eal(read(""), {{0, 1}, kGigabyte});
  EXPECT_TRUE(plan.huge_pages);
  EXPECT_TRUE(has(plan, "--in-memory"));
  EXPECT_TRUE(has(plan, "--single-file-segments"));
  EXPECT_FALSE(has(plan, "--no-huge"));
  EXPECT_TRUE(plan.lost.empty());
}

TEST(EalPlan, TooFewHugepagesAreNone) {
  const Config config = read("[memory]\nmegabytes = 1025\n");
  EXPECT_FALSE(plan_eal(config, {{0}, kGigabyte}).huge_pages);
  EXPECT_TRUE(plan_eal(read("[memory]\nmegabytes = 1024\n"), {{0}, kGigabyte}).huge_pages);
}

TEST(EalPlan, SmallIsAChoiceAndNoLoss) {
  const EalPlan plan = plan_eal(read("[memory]\npages = \"small\"\n"), {{0}, kGigabyte});
  EXPECT_FALSE(plan.huge_pages);
  EXPECT_TRUE(plan.lost.empty());
}

TEST(EalPlan, HugeInsists) {
  const Config config = read("[memory]\npages = \"huge\"\nmegabytes = 2048\n");
  try {
    plan_eal(config, {{0}, kGigabyte});
    FAIL() << "1 GB is not 2 GB";
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("memory.pages"), std::string::npos) << text;
    EXPECT_NE(text.find("2048 MB"), std::string::npos) << text;
    EXPECT_NE(text.find("found 1024 MB"), std::string::npos) << text;
  }
}

TEST(EalPlan, WorkersTakeTheHighestCoresAndTheControlThreadTheRest) {
  const EalPlan plan = plan_eal(read("[workers]\ncount = 2\n"), {{0, 1, 2, 5, 7}, 0});
  EXPECT_EQ(plan.arguments[0], "--lcores=0@(0-2),1@7,2@5");
  EXPECT_EQ(plan.worker_cores, (std::vector<uint32_t>{7, 5}));
}

TEST(EalPlan, ChosenCoresAreKeptInTheirOrder) {
  const EalPlan plan = plan_eal(read("[workers]\ncores = [0, 2]\n"), {{0, 1, 2}, 0});
  EXPECT_EQ(plan.arguments[0], "--lcores=0@(1),1@0,2@2");
}

TEST(EalPlan, TheControlThreadRoamsIfWorkersHaveAllCores) {
  const EalPlan plan = plan_eal(read("[workers]\ncores = [0, 1]\n"), {{0, 1}, 0});
  EXPECT_EQ(plan.arguments[0], "--lcores=0@(0-1),1@0,2@1");
}

TEST(EalPlan, ACoreThatIsNotOursIsNamed) {
  try {
    plan_eal(read("[workers]\ncores = [9]\n"), {{0, 1}, 0});
    FAIL() << "there is no core 9";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "workers.cores: core 9 is not among those gmespd may use, (0-1)");
  }
}

TEST(EalPlan, MoreWorkersThanCoresShareThemAndThatIsSaid) {
  const EalPlan plan = plan_eal(read("[workers]\ncount = 3\n"), {{0, 1}, kGigabyte});
  EXPECT_EQ(plan.worker_cores, (std::vector<uint32_t>{1, 0, 1}));
  ASSERT_EQ(plan.lost.size(), 1u);
  EXPECT_NE(plan.lost[0].find("workers.count is 3 but there are 2 cores"), std::string::npos);
}

TEST(EalPlan, OnlyConfiguredPciDevicesAreTouched) {
  const Config config = read("[[pair]]\naccess = \"0000:3b:00.0\"\nhost = \"net_tap0,iface=h\"\n");
  const EalPlan plan = plan_eal(config, {{0}, kGigabyte});
  EXPECT_TRUE(has(plan, "--allow=0000:3b:00.0"));
  EXPECT_FALSE(has(plan, "--no-pci"));
  EXPECT_FALSE(has(plan, "--iova-mode=va"));
}

TEST(EalPlan, ThisMachineHasACore) {
  EXPECT_FALSE(inspect_machine().allowed_cores.empty());
}

}  // namespace
}  // namespace gmesp::dataplane
