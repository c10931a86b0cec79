// DPDK, two ports and buffers for a traffic program: the access side and the host side of a device
// under test, seen from the other end.
//
// Ownership: all of DPDK in this process; one at a time. Threading: the thread that makes it is
// bound to `core` and is the one that sends and receives. Errors: std::runtime_error naming the
// option.
#pragma once

#include <rte_mempool.h>

#include <cstdint>
#include <memory>
#include <string>

namespace gmesp::dataplane {
class Buffers;
class Eal;
class Port;
}  // namespace gmesp::dataplane

namespace gmesp::bench {

struct TrafficPortsOptions {
  std::string access;  ///< DPDK device strings
  std::string host;
  uint32_t core = 0;
  bool uses_huge_pages = true;  ///< if there are enough
};

class TrafficPorts {
 public:
  /// Returns when both have a link, that is, when somebody is at the other end. Waits ten seconds
  /// for each.
  explicit TrafficPorts(const TrafficPortsOptions& options);
  ~TrafficPorts();

  uint16_t access() const;
  uint16_t host() const;
  rte_mempool* pool() const;

 private:
  std::unique_ptr<dataplane::Eal> eal_;
  std::unique_ptr<dataplane::Buffers> buffers_;
  std::unique_ptr<dataplane::Port> access_;
  std::unique_ptr<dataplane::Port> host_;
};

}  // namespace gmesp::bench
