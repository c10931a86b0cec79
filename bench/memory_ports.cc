#include "memory_ports.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "frame.h"

namespace gmesp::bench {
namespace {

using dataplane::PairQueues;
using ipsec::Side;

constexpr uint32_t kMemory_mb = 64;
constexpr uint32_t kCachedMbufs = 1024;  ///< that a pool may hold back for its threads

dataplane::EalPlan plan(bool uses_huge_pages) {
  dataplane::Config config;
  config.instance.name = fmt::format("gmesp-memory-{}", getpid());
  config.memory.megabytes = kMemory_mb;
  config.memory.pages =
      uses_huge_pages ? dataplane::Config::Pages::kAuto : dataplane::Config::Pages::kSmall;
  return plan_eal(config, dataplane::inspect_machine());
}

}  // namespace

MemoryPorts::MemoryPorts(bool uses_huge_pages)
    : eal_(std::make_unique<dataplane::Eal>(plan(uses_huge_pages))),
      buffers_(std::make_unique<dataplane::Buffers>(kPacketsMax + kCachedMbufs, kFrameBytesMax, 1,
                                                    kFrameBytesMax)),
      ports_{make_port(Side::kAccess), make_port(Side::kHost)} {}

MemoryPorts::~MemoryPorts() {
  for (const Port& port : ports_) {
    rte_eth_dev_stop(port.id);
    rte_eth_dev_close(port.id);
    rte_ring_free(port.received);
    rte_ring_free(port.sent);
  }
}

rte_ring* MemoryPorts::make_ring(const std::string& name) {
  rte_ring* ring =
      rte_ring_create(name.c_str(), 2 * kPacketsMax, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr)
    throw std::runtime_error(fmt::format("ring {}: {}", name, rte_strerror(rte_errno)));
  return ring;
}

MemoryPorts::Port MemoryPorts::make_port(Side side) {
  const std::string name = side == Side::kAccess ? "access" : "host";
  Port port = {make_ring(name + "_received"), make_ring(name + "_sent"), 0};
  const int id = rte_eth_from_rings(name.c_str(), &port.received, 1, &port.sent, 1, 0);
  port.id = static_cast<uint16_t>(id);
  const rte_eth_conf settings = {};
  if (id < 0 || rte_eth_dev_configure(port.id, 1, 1, &settings) != 0 ||
      rte_eth_rx_queue_setup(port.id, 0, kPacketsMax, 0, nullptr, buffers_->frames()) != 0 ||
      rte_eth_tx_queue_setup(port.id, 0, kPacketsMax, 0, nullptr) != 0 ||
      rte_eth_dev_start(port.id) != 0)
    throw std::runtime_error(fmt::format("port {}: {}", name, rte_strerror(rte_errno)));
  return port;
}

PairQueues MemoryPorts::queues() const {
  constexpr uint16_t kMtuBytes = 1500;
  return {.port = {ports_[0].id, ports_[1].id},
          .rx_queue = {0, 0},
          .tx_queue = {0, 0},
          .tx_lock = {nullptr, nullptr},
          .access_mtu_bytes = kMtuBytes,
          .host_mtu_bytes = kMtuBytes};
}

rte_mbuf* MemoryPorts::make() {
  rte_mbuf* packet = rte_pktmbuf_alloc(buffers_->frames());
  if (packet == nullptr) throw std::runtime_error("no packet buffer is left");
  return packet;
}

void MemoryPorts::put(Side side, rte_mbuf* packet) {
  if (rte_ring_enqueue(ports_[static_cast<size_t>(side)].received, packet) != 0)
    throw std::runtime_error("a port takes no more packets");
}

uint32_t MemoryPorts::take_sent() {
  constexpr uint32_t kBurst = 256;
  rte_mbuf* packets[kBurst];
  uint32_t all = 0;
  for (const Port& port : ports_)
    while (const uint32_t count = rte_ring_dequeue_burst(
               port.sent, reinterpret_cast<void**>(packets), kBurst, nullptr)) {
      rte_pktmbuf_free_bulk(packets, count);
      all += count;
    }
  return all;
}

}  // namespace gmesp::bench
