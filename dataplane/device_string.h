// The device strings of the configuration: PCI addresses and DPDK's "driver,argument=value,...".
//
// Threading: any. Errors: virtual_device() throws std::runtime_error naming the argument.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gmesp::dataplane {

/// "0000:3b:00.0"
bool is_pci_address(std::string_view device);
/// "net_tap0,iface=x" and the like: a name that DPDK's virtual drivers can match.
bool is_virtual_device(std::string_view device);

/// The value of "name=value", or "".
std::string device_argument(std::string_view device, std::string_view name);

/// What rte_eal_hotplug_add() takes.
struct VirtualDevice {
  std::string name;       ///< "net_af_packet0"
  std::string arguments;  ///< "iface=eth1,qpairs=2"
};
/// Adds what an AF_PACKET device needs for this many queues and frames this large, or for datagrams
/// of about `joined_bytes_max` if that is more.
VirtualDevice virtual_device(const std::string& device, uint16_t queues, uint16_t mtu_bytes,
                             uint32_t joined_bytes_max = 0);
/// DPDK 22.11's AF_PACKET driver has the kernel join IPv4 fragments before it gives them to us
/// (PACKET_FANOUT_FLAG_DEFRAG): such a port receives whole datagrams and needs buffers for them.
bool joins_fragments(const std::string& device);

}  // namespace gmesp::dataplane
