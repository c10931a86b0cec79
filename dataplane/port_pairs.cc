#include "dataplane/port_pairs.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "dataplane/device_string.h"
#include "dataplane/kernel_interface.h"

namespace gmesp::dataplane {

std::unique_ptr<Port> PortPairs::open(const Config& config, size_t index, PortRole role,
                                      uint32_t workers, Buffers& buffers) const {
  const Config::Pair& pair = config.pairs[index];
  const bool access = role == PortRole::kAccess;
  const char* side = access ? "access" : "host";
  PortRequest request;
  request.key = fmt::format("pair[{}].{}", index, side);
  request.name = fmt::format("{}{}", side, index);
  request.device = access ? pair.access : pair.host;
  request.role = role;
  request.queues = static_cast<uint16_t>(workers);
  request.queue_descriptors = pair.queue_descriptors;
  // Towards the host a frame may be as large as the network's; what bounds the host's own sending
  // is its interface's MTU (limit_host_sending).
  request.mtu_bytes =
      access ? pair.access_mtu_bytes : std::max(pair.access_mtu_bytes, pair.host_mtu_bytes);
  request.promiscuous = pair.promiscuous;
  request.joined_bytes_max = config.fragments.datagram_bytes_max;
  return std::make_unique<Port>(
      request, joins_fragments(request.device) ? buffers.large() : buffers.frames());
}

namespace {

/// R-2401-02: a host that leaves room for the ESP overhead needs no "too big" to learn it.
void limit_host_sending(const Port& host, const Config::Pair& pair) {
  if (host.interface().empty()) return;
  if (!set_interface_mtu(host.interface(), pair.host_mtu_bytes))
    spdlog::warn(
        "{}: could not set the MTU of {} to {} bytes; the host learns it by too-big messages",
        host.name(), host.interface(), pair.host_mtu_bytes);
}

}  // namespace

PortPairs::PortPairs(const Config& config, uint32_t workers, Buffers& buffers) {
  for (size_t i = 0; i < config.pairs.size(); ++i) {
    const Config::Pair& pair = config.pairs[i];
    ports_.push_back(open(config, i, PortRole::kAccess, workers, buffers));
    ports_.push_back(open(config, i, PortRole::kHost, workers, buffers));
    if (pair.share_mac) share_mac(*ports_[2 * i], *ports_[2 * i + 1]);
    limit_host_sending(*ports_[2 * i + 1], pair);
  }
  for (const auto& port : ports_)
    transmit_locks_.push_back(port->tx_queues() < workers ? std::make_unique<std::atomic_flag>()
                                                          : nullptr);
}

std::vector<PairQueues> PortPairs::queues_of(uint32_t worker) const {
  std::vector<PairQueues> pairs;
  for (size_t i = 0; i < ports_.size(); i += 2) {
    PairQueues queues{};
    for (size_t side = 0; side < 2; ++side) {
      const Port& port = *ports_[i + side];
      queues.port[side] = port.id();
      queues.rx_queue[side] =
          worker < port.rx_queues() ? static_cast<uint16_t>(worker) : PairQueues::kNone;
      queues.tx_queue[side] = static_cast<uint16_t>(worker % port.tx_queues());
      queues.tx_lock[side] = transmit_locks_[i + side].get();
    }
    queues.access_mtu_bytes = ports_[i]->mtu_bytes();
    queues.host_mtu_bytes = ports_[i + 1]->mtu_bytes();
    pairs.push_back(queues);
  }
  return pairs;
}

}  // namespace gmesp::dataplane
