#include "dataplane/eal.h"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "dataplane/device_string.h"
#include "dataplane/driver_log.h"

namespace gmesp::dataplane {
namespace {

constexpr uint64_t kMegabyte = 1 << 20;
constexpr const char* kHugePages = "/sys/kernel/mm/hugepages";

std::vector<std::string> pci_devices(const Config& config) {
  std::vector<std::string> devices;
  for (const Config::Pair& pair : config.pairs)
    for (const std::string& device : {pair.access, pair.host})
      if (is_pci_address(device)) devices.push_back(device);
  return devices;
}

uint64_t read_number(const std::filesystem::path& file) {
  uint64_t number = 0;
  std::ifstream(file) >> number;
  return number;
}

/// "(0-3,6)"
std::string core_set(const std::vector<uint32_t>& cores) {
  std::string text;
  for (size_t i = 0; i < cores.size();) {
    size_t last = i;
    while (last + 1 < cores.size() && cores[last + 1] == cores[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cores[i]);
    if (last != i) text += fmt::format("-{}", cores[last]);
    i = last + 1;
  }
  return '(' + text + ')';
}

/// Chosen ones, or from the highest down: interrupts and init scripts like the low ones.
std::vector<uint32_t> worker_cores(const Config& config, const Machine& machine, EalPlan& plan) {
  const auto& allowed = machine.allowed_cores;
  for (const uint32_t core : config.workers.cores)
    if (std::find(allowed.begin(), allowed.end(), core) == allowed.end())
      throw std::runtime_error(
          fmt::format("workers.cores: core {} is not among those gmespd may "
                      "use, {}",
                      core, core_set(allowed)));
  if (!config.workers.cores.empty()) return config.workers.cores;
  std::vector<uint32_t> cores;
  for (uint32_t i = 0; i < config.workers.count; ++i)
    cores.push_back(allowed[allowed.size() - 1 - i % allowed.size()]);
  if (config.workers.count > allowed.size())
    plan.lost.push_back(fmt::format(
        "workers.count is {} but there are {} cores: workers share cores, which costs throughput; "
        "lower it or give gmespd more cores",
        config.workers.count, allowed.size()));
  return cores;
}

/// Where the control thread and EAL's own may roam: a worker that polls would wait for them. All
/// cores, if the workers have them all.
std::vector<uint32_t> other_cores(const Machine& machine, const std::vector<uint32_t>& workers) {
  std::vector<uint32_t> others;
  for (const uint32_t core : machine.allowed_cores)
    if (std::find(workers.begin(), workers.end(), core) == workers.end()) others.push_back(core);
  return others.empty() ? machine.allowed_cores : others;
}

void choose_pages(const Config& config, const Machine& machine, EalPlan& plan) {
  const uint64_t free_megabytes = machine.free_huge_bytes / kMegabyte;
  const bool enough = free_megabytes >= config.memory.megabytes;
  if (config.memory.pages == Config::Pages::kHuge && !enough)
    throw std::runtime_error(fmt::format(
        "memory.pages: \"huge\" needs {} MB of free hugepages, found {} MB; reserve more with "
        "scripts/setup or sysctl vm.nr_hugepages, or say \"auto\"",
        config.memory.megabytes, free_megabytes));
  plan.huge_pages = enough && config.memory.pages != Config::Pages::kSmall;
  if (plan.huge_pages || config.memory.pages == Config::Pages::kSmall) return;
  plan.lost.push_back(fmt::format(
      "no hugepages ({} MB free, {} MB needed): a few percent of throughput, more with very many "
      "SA sets; scripts/setup or sysctl vm.nr_hugepages={} reserves them",
      free_megabytes, config.memory.megabytes, config.memory.megabytes / 2 + 1));
}

/// net_tap raises a real-time signal for every packet, which anybody may take. Not the control
/// thread, whose system calls it would interrupt: EAL's own threads, which exist by now.
void leave_driver_signals_to_eal() {
  sigset_t set;
  sigemptyset(&set);
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

Machine inspect_machine() {
  Machine machine;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (uint32_t core = 0; core < CPU_SETSIZE; ++core)
      if (CPU_ISSET(core, &set)) machine.allowed_cores.push_back(core);
  if (machine.allowed_cores.empty()) machine.allowed_cores.push_back(0);
  std::error_code error;  // no such folder: a kernel without hugepages
  for (const auto& entry : std::filesystem::directory_iterator(kHugePages, error)) {
    uint64_t kilobytes = 0;
    if (std::sscanf(entry.path().filename().c_str(), "hugepages-%lukB", &kilobytes) == 1)
      machine.free_huge_bytes += free_huge_bytes(kilobytes * 1024);
  }
  return machine;
}

uint64_t free_huge_bytes(uint64_t page_bytes) {
  const auto folder =
      std::filesystem::path(kHugePages) / fmt::format("hugepages-{}kB", page_bytes / 1024);
  const uint64_t free = read_number(folder / "free_hugepages");
  const uint64_t reserved = read_number(folder / "resv_hugepages");
  return (free - std::min(free, reserved)) * page_bytes;
}

EalPlan plan_eal(const Config& config, const Machine& machine) {
  EalPlan plan;
  plan.worker_cores = worker_cores(config, machine, plan);
  choose_pages(config, machine, plan);
  std::string lcores = "--lcores=0@" + core_set(other_cores(machine, plan.worker_cores));
  for (size_t i = 0; i < plan.worker_cores.size(); ++i)
    lcores += fmt::format(",{}@{}", i + 1, plan.worker_cores[i]);
  plan.arguments = {lcores, "--main-lcore=0", "--file-prefix=" + config.instance.name,
                    "--no-telemetry"};
  const auto add = [&](std::string argument) { plan.arguments.push_back(std::move(argument)); };
  if (plan.huge_pages) {
    add("--in-memory");
    add("--single-file-segments");
  } else {
    add("--no-huge");
    add("--no-shconf");  // nothing of ours is left in /run after a crash
    add("-m");
    add(std::to_string(config.memory.megabytes));
  }
  const std::vector<std::string> devices = pci_devices(config);
  for (const std::string& device : devices) add("--allow=" + device);
  if (devices.empty()) {
    add("--no-pci");
    add("--iova-mode=va");  // no device needs physical addresses, which take root to learn
  } else if (!plan.huge_pages) {
    plan.lost.push_back(
        "PCI devices without hugepages work only behind an IOMMU (vfio-pci); reserve hugepages");
  }
  return plan;
}

Eal::Eal(const EalPlan& plan) : driver_log_(std::make_unique<DriverLog>()) {
  std::vector<std::string> arguments = plan.arguments;
  arguments.insert(arguments.begin(), "gmespd");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  take_complaints();
  if (rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) < 0)
    throw std::runtime_error(
        fmt::format("DPDK does not start: {}{} (memory.pages, memory.megabytes and workers.cores "
                    "decide what it asks for)",
                    rte_strerror(rte_errno), take_complaints()));
  leave_driver_signals_to_eal();
  spdlog::info("packet buffers in {}", plan.huge_pages ? "hugepages" : "ordinary pages");
}

Eal::~Eal() {
  rte_eal_cleanup();
}

}  // namespace gmesp::dataplane
