#include "traffic_ports.h"

#include <fmt/format.h>
#include <rte_memory.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <stdexcept>
#include <thread>

#include "dataplane/buffers.h"
#include "dataplane/eal.h"
#include "dataplane/port.h"
#include "frame.h"

namespace gmesp::bench {
namespace {

using dataplane::Port;
using dataplane::PortRole;

/// More than the rings of both ports hold, should they not copy.
constexpr uint32_t kMbufs = 32'768;
constexpr uint32_t kMemory_mb = 256;
constexpr double kLink_s = 10;

void bind_to(uint32_t core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0)
    throw std::runtime_error(fmt::format("--core {}: not a core that this process may use", core));
}

dataplane::EalPlan plan(const TrafficPortsOptions& options) {
  dataplane::Config config;
  config.instance.name = fmt::format("gmesp-traffic-{}", getpid());
  config.memory.megabytes = kMemory_mb;
  config.memory.pages =
      options.uses_huge_pages ? dataplane::Config::Pages::kAuto : dataplane::Config::Pages::kSmall;
  config.pairs[0].access = options.access;
  config.pairs[0].host = options.host;
  return plan_eal(config, dataplane::inspect_machine());
}

std::unique_ptr<Port> make_port(const char* option, const std::string& device, PortRole role,
                                rte_mempool* pool) {
  dataplane::PortRequest request;
  request.key = option;
  request.name = option + 2;  // without "--"
  request.device = device;
  request.role = role;
  return std::make_unique<Port>(request, pool);
}

/// Descriptors of EAL's memory. DPDK's memif hands them to the peer of a port with zero-copy=yes
/// and closes them, though they are EAL's: the next such port would have none.
class MemoryDescriptors {
 public:
  MemoryDescriptors() { rte_memseg_walk(&MemoryDescriptors::keep, &copies_); }
  ~MemoryDescriptors() {
    for (const auto& [descriptor, copy] : copies_) close(copy);
  }
  MemoryDescriptors(const MemoryDescriptors&) = delete;
  MemoryDescriptors& operator=(const MemoryDescriptors&) = delete;

  /// While nothing else opens files: the numbers are free.
  void open_again() const {
    for (const auto& [descriptor, copy] : copies_) dup2(copy, descriptor);
  }

 private:
  static int keep(const rte_memseg_list*, const rte_memseg* segment, void* copies) {
    const int descriptor = rte_memseg_get_fd_thread_unsafe(segment);
    auto& known = *static_cast<std::map<int, int>*>(copies);
    if (descriptor >= 0 && !known.contains(descriptor)) known.emplace(descriptor, dup(descriptor));
    return 0;
  }

  std::map<int, int> copies_;
};

void wait_for_link(const char* option, const Port& port, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (!port.link_up()) {
    if (Clock::now() > end)
      throw std::runtime_error(
          fmt::format("{} has no link after {} s; is the device under test running with this port?",
                      option, seconds));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

TrafficPorts::TrafficPorts(const TrafficPortsOptions& options) {
  bind_to(options.core);
  eal_ = std::make_unique<dataplane::Eal>(plan(options));
  buffers_ = std::make_unique<dataplane::Buffers>(kMbufs, kFrameBytesMax, 1, kFrameBytesMax);
  const MemoryDescriptors descriptors;
  access_ = make_port("--access", options.access, PortRole::kAccess, buffers_->frames());
  wait_for_link("--access", *access_, kLink_s);
  descriptors.open_again();
  host_ = make_port("--host", options.host, PortRole::kHost, buffers_->frames());
  wait_for_link("--host", *host_, kLink_s);
}

TrafficPorts::~TrafficPorts() = default;

uint16_t TrafficPorts::access() const {
  return access_->id();
}

uint16_t TrafficPorts::host() const {
  return host_->id();
}

rte_mempool* TrafficPorts::pool() const {
  return buffers_->frames();
}

}  // namespace gmesp::bench
