#include "dataplane/port.h"

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "dataplane/device_string.h"
#include "dataplane/driver_log.h"
#include "dataplane/kernel_interface.h"

namespace gmesp::dataplane {
namespace {

/// What a driver adds to the MTU when it counts frames.
constexpr uint32_t kEthernetAndCrcBytes = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
constexpr std::string_view kTapDriver = "net_tap";
constexpr const char* kVirtualBus = "vdev";
constexpr uint64_t kRssWanted =
    RTE_ETH_RSS_ESP | RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP;

template <size_t N>
void copy_text(char (&to)[N], std::string_view from) {
  from.copy(to, N - 1);
}

/// Network devices on the PCI bus with the kernel driver that holds each.
std::string pci_network_devices() {
  constexpr std::string_view kNetworkClass = "0x02";
  std::vector<std::string> found;
  std::error_code error;  // no such folder: a machine without PCI
  for (const auto& entry : std::filesystem::directory_iterator("/sys/bus/pci/devices", error)) {
    std::string device_class;
    std::ifstream(entry.path() / "class") >> device_class;
    if (!device_class.starts_with(kNetworkClass)) continue;
    const auto driver = std::filesystem::read_symlink(entry.path() / "driver", error).filename();
    found.push_back(fmt::format("{} ({})", entry.path().filename().string(),
                                driver.empty() ? "no driver" : driver.string()));
  }
  return found.empty() ? "there is no PCI network device"
                       : fmt::format(
                             "PCI network devices and their drivers are {}; a device "
                             "needs vfio-pci (dpdk-devbind.py -b vfio-pci ADDRESS)",
                             fmt::join(found, ", "));
}

/// What usually is missing when a device on a kernel interface cannot be made.
std::string what_it_takes(std::string_view device) {
  const bool taps = device.starts_with("net_tap");
  const bool attaches = device.starts_with("net_af_packet");
  std::string text;
  if (attaches)
    text = fmt::format("; the kernel's interfaces are {}", fmt::join(interface_names(), ", "));
  if ((taps || attaches) && geteuid() != 0)
    text += fmt::format("; without root it takes {}", taps ? "CAP_NET_ADMIN" : "CAP_NET_RAW");
  return text;
}

}  // namespace

Port::Port(const PortRequest& request, rte_mempool* pool) : request_(request) {
  take_complaints();
  try {
    attach();
    configure(pool);
    prepare_interface();
    if (const int error = rte_eth_dev_start(id_); error != 0) fail("does not start", error);
    set_promiscuous();
  } catch (...) {
    close();
    throw;
  }
  spdlog::info("{}: {} ({}), {} queue(s){}, MTU {} bytes, link {}", name(), device(), driver_,
               rx_queues_, spreads_esp() ? " spread by ESP SPI" : "", mtu_bytes_,
               link_up() ? "up" : "down");
}

Port::~Port() {
  close();
}

void Port::close() noexcept {
  if (id_ != RTE_MAX_ETHPORTS) {
    rte_eth_dev_stop(id_);
    rte_eth_dev_close(id_);
  }
  if (!virtual_name_.empty()) rte_eal_hotplug_remove(kVirtualBus, virtual_name_.c_str());
}

void Port::fail(const std::string& what, int error) const {
  std::string text = fmt::format("{}: {}: {}", request_.key, device(), what);
  // Many drivers answer a plain -1, which is no errno; what they logged says more.
  if (error != -1) text += fmt::format(": {}", rte_strerror(std::abs(error)));
  throw std::runtime_error(text + take_complaints());
}

void Port::attach() {
  const std::string& device = request_.device;
  if (is_pci_address(device)) {
    if (rte_eth_dev_get_port_by_name(device.c_str(), &id_) != 0)
      fail("no such device for DPDK; " + pci_network_devices(), ENODEV);
  } else {
    VirtualDevice virtual_one;
    try {
      virtual_one =
          virtual_device(device, request_.queues, request_.mtu_bytes, request_.joined_bytes_max);
    } catch (const std::runtime_error& error) {
      fail(error.what(), EINVAL);
    }
    const int error =
        rte_eal_hotplug_add(kVirtualBus, virtual_one.name.c_str(), virtual_one.arguments.c_str());
    if (error == -EFAULT) fail("DPDK has no driver of that name here", -1);
    if (error != 0) fail("cannot be made" + what_it_takes(device), error);
    virtual_name_ = virtual_one.name;
    if (rte_eth_dev_get_port_by_name(virtual_name_.c_str(), &id_) != 0)
      fail("is not a network device", ENODEV);
  }
}

void Port::configure(rte_mempool* pool) {
  rte_eth_dev_info info;
  if (const int error = rte_eth_dev_info_get(id_, &info); error != 0)
    fail("tells nothing about itself", error);
  driver_ = info.driver_name;
  if (info.if_index != 0) interface_ = interface_name(info.if_index);

  // Some drivers want as many receive as transmit queues; nobody needs them different.
  rx_queues_ = tx_queues_ =
      std::max<uint16_t>(1, std::min({request_.queues, info.max_rx_queues, info.max_tx_queues}));
  if (rx_queues_ < request_.queues)
    spdlog::info("{}: {} has {} queue(s) for {} workers; the rest get packets by hand-off", name(),
                 device(), rx_queues_, request_.queues);

  rte_eth_conf settings{};
  settings.rxmode.mtu = std::min<uint32_t>(
      {request_.mtu_bytes, info.max_mtu, info.max_rx_pktlen - kEthernetAndCrcBytes});
  rss_functions_ = rx_queues_ > 1 ? info.flow_type_rss_offloads & kRssWanted : 0;
  if (rss_functions_ != 0) {
    settings.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    settings.rx_adv_conf.rss_conf.rss_hf = rss_functions_;
  }
  if (const int error = rte_eth_dev_configure(id_, rx_queues_, tx_queues_, &settings); error != 0)
    fail(fmt::format("does not take {} queue(s) and an MTU of {} bytes", rx_queues_,
                     settings.rxmode.mtu),
         error);
  set_up_queues(pool);
  set_mtu();
}

void Port::set_up_queues(rte_mempool* pool) {
  uint16_t rx_descriptors = request_.queue_descriptors;
  uint16_t tx_descriptors = request_.queue_descriptors;
  int error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx_descriptors, &tx_descriptors);
  const auto socket = static_cast<unsigned>(rte_eth_dev_socket_id(id_));
  for (uint16_t queue = 0; queue < rx_queues_ && error == 0; ++queue)
    error = rte_eth_rx_queue_setup(id_, queue, rx_descriptors, socket, nullptr, pool);
  for (uint16_t queue = 0; queue < tx_queues_ && error == 0; ++queue)
    error = rte_eth_tx_queue_setup(id_, queue, tx_descriptors, socket, nullptr);
  if (error != 0)
    fail(fmt::format("does not take queues of {} descriptors", request_.queue_descriptors), error);
}

/// Drivers that only carry bytes (ring, pcap, memif) know no MTU: what we asked for then holds. A
/// TAP is ours, but DPDK 22.11 takes no more than 1500 there; an interface that somebody else made
/// keeps the MTU that it has.
void Port::set_mtu() {
  mtu_bytes_ = request_.mtu_bytes;
  if (interface_.empty() || driver_ == kTapDriver) {
    const int error = rte_eth_dev_set_mtu(id_, mtu_bytes_);
    if (error != 0 && error != -ENOTSUP) rte_eth_dev_get_mtu(id_, &mtu_bytes_);
  }
  if (!interface_.empty())
    mtu_bytes_ =
        static_cast<uint16_t>(std::min<uint32_t>(mtu_bytes_, interface_mtu_bytes(interface_)));
  if (mtu_bytes_ != request_.mtu_bytes)
    spdlog::warn("{}: {} has an MTU of {} bytes, not the {} of the configuration", name(), device(),
                 mtu_bytes_, request_.mtu_bytes);
}

/// Kernels leave checksums unfinished and join packets on interfaces that offer to do the rest.
void Port::prepare_interface() {
  if (interface_.empty()) return;
  if (const auto failed = disable_offloads(interface_); !failed.empty())
    spdlog::warn(
        "{}: could not switch off {} on {}; frames with unfinished checksums or beyond "
        "the MTU may come from it",
        name(), fmt::join(failed, ", "), interface_);
  if (!set_up(interface_)) spdlog::warn("{}: could not set {} up", name(), interface_);
}

/// The host port takes every frame: they are addressed to the UEs' router, not to us. A TAP has
/// nothing else to give.
void Port::set_promiscuous() {
  if (driver_ == kTapDriver) return;
  const bool all = request_.promiscuous || request_.role == PortRole::kHost;
  // ARP and Neighbour Discovery come by broadcast and multicast.
  const int error = all ? rte_eth_promiscuous_enable(id_) : rte_eth_allmulticast_enable(id_);
  if (error != 0 && error != -ENOTSUP)
    spdlog::warn("{}: {} does not go into {} mode: {}", name(), device(),
                 all ? "promiscuous" : "all-multicast", rte_strerror(-error));
}

rte_ether_addr Port::mac() const {
  rte_ether_addr mac{};
  rte_eth_macaddr_get(id_, &mac);
  return mac;
}

bool Port::set_mac(const rte_ether_addr& mac) {
  rte_ether_addr copy = mac;
  return rte_eth_dev_default_mac_addr_set(id_, &copy) == 0;
}

/// Behind a kernel interface the kernel knows best; the AF_PACKET driver answers "up" always.
bool Port::link_up() const {
  if (!interface_.empty()) return is_up_and_running(interface_);
  rte_eth_link link{};
  return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

shm::PortRow Port::row() const {
  shm::PortRow row{};
  copy_text(row.name, name());
  copy_text(row.device, device().substr(0, device().find(',')));
  copy_text(row.driver, driver_);
  row.link_up = link_up();
  row.role = static_cast<uint8_t>(role());
  row.mtu = mtu_bytes_;
  row.queues = rx_queues_;
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id_, &link) == 0 && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
    row.speed_mbps = link.link_speed;
  rte_eth_stats stats{};
  if (rte_eth_stats_get(id_, &stats) == 0) {
    row.rx_packets = stats.ipackets;
    row.rx_bytes = stats.ibytes;
    row.rx_missed = stats.imissed + stats.rx_nombuf;
    row.rx_errors = stats.ierrors;
    row.tx_packets = stats.opackets;
    row.tx_bytes = stats.obytes;
    row.tx_errors = stats.oerrors;
  }
  return row;
}

void share_mac(const Port& access, Port& host) {
  take_complaints();
  if (host.driver() != kTapDriver || access.driver() == kTapDriver) return;
  if (!host.set_mac(access.mac()))
    spdlog::warn(
        "{}: {} does not take the MAC of {}{}; give it to the host's interface by hand, "
        "or say share_mac = false",
        host.name(), host.device(), access.name(), take_complaints());
}

}  // namespace gmesp::dataplane
