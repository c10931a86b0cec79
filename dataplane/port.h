// One DPDK port: made from its device string, configured, started, asked, closed.
//
// Ownership: RAII; closing also removes a virtual device and the kernel interface that it made. The
// mempool must outlive the port. Threading: control thread, except that workers receive and send on
// id() meanwhile (which is DPDK's own contract). Errors: the constructor throws std::runtime_error
// naming the setting, the device and what the driver said.
#pragma once

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <cstdint>
#include <string>

#include "control/shm/layout.h"

namespace gmesp::dataplane {

enum class PortRole : uint8_t { kAccess = 0, kHost = 1 };

struct PortRequest {
  std::string key;     ///< the setting, for errors: "pair[0].access"
  std::string name;    ///< for operators: "access0"
  std::string device;  ///< PCI address or "driver,argument=value,..."
  PortRole role = PortRole::kAccess;
  uint16_t queues = 1;  ///< wanted: one per worker
  uint16_t queue_descriptors = 1024;
  uint16_t mtu_bytes = 1500;
  uint32_t joined_bytes_max = 0;  ///< joins_fragments(device): datagrams up to about this size
  bool promiscuous = true;
};

class Port {
 public:
  Port(const PortRequest& request, rte_mempool* pool);
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  uint16_t id() const { return id_; }
  /// Granted, 1..wanted: some drivers have one queue only.
  uint16_t rx_queues() const { return rx_queues_; }
  uint16_t tx_queues() const { return tx_queues_; }
  /// The driver spreads ESP over the queues by SPI.
  bool spreads_esp() const { return (rss_functions_ & RTE_ETH_RSS_ESP) != 0; }
  /// The MTU that is in force (a driver may not take the wanted one; that is logged).
  uint16_t mtu_bytes() const { return mtu_bytes_; }

  const std::string& name() const { return request_.name; }
  const std::string& device() const { return request_.device; }
  const std::string& driver() const { return driver_; }
  PortRole role() const { return request_.role; }
  /// The kernel's interface behind the port ("gmesp-host"), empty for devices that have none.
  const std::string& interface() const { return interface_; }

  rte_ether_addr mac() const;
  /// False if the driver cannot.
  bool set_mac(const rte_ether_addr& mac);

  /// As it is now; a few microseconds.
  bool link_up() const;
  shm::PortRow row() const;

 private:
  void attach();
  void configure(rte_mempool* pool);
  void set_up_queues(rte_mempool* pool);
  void set_mtu();
  void prepare_interface();
  void set_promiscuous();
  void close() noexcept;
  [[noreturn]] void fail(const std::string& what, int error) const;

  const PortRequest request_;
  std::string driver_;
  std::string interface_;
  std::string virtual_name_;  ///< empty: not made by us
  uint16_t id_ = RTE_MAX_ETHPORTS;
  uint16_t rx_queues_ = 0;
  uint16_t tx_queues_ = 0;
  uint16_t mtu_bytes_ = 0;
  uint64_t rss_functions_ = 0;
};

/// Makes the host port answer to the access port's MAC, so that frames pass unchanged between
/// network and host. Not done where the access port is itself a TAP, whose MAC belongs to the far
/// side. Logs what it could not do.
void share_mac(const Port& access, Port& host);

}  // namespace gmesp::dataplane
