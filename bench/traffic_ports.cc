#include "traffic_ports.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
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

}  // namespace

TrafficPorts::TrafficPorts(const TrafficPortsOptions& options) {
  bind_to(options.core);
  eal_ = std::make_unique<dataplane::Eal>(plan(options));
  buffers_ = std::make_unique<dataplane::Buffers>(kMbufs, kFrameBytesMax, 1, kFrameBytesMax);
  access_ = make_port("--access", options.access, PortRole::kAccess, buffers_->frames());
  host_ = make_port("--host", options.host, PortRole::kHost, buffers_->frames());
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

void TrafficPorts::wait_for_link(double seconds) const {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (!access_->link_up() || !host_->link_up()) {
    if (Clock::now() > end)
      throw std::runtime_error(
          fmt::format("--access has {} link and --host has {} link after {} s; is the device under "
                      "test running with these ports?",
                      access_->link_up() ? "a" : "no", host_->link_up() ? "a" : "no", seconds));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace gmesp::bench
