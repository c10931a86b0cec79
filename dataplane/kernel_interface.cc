#include "dataplane/kernel_interface.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace gmesp::dataplane {
namespace {

class Request {
 public:
  explicit Request(const std::string& interface)
      : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    interface.copy(request_.ifr_name, IFNAMSIZ - 1);
  }
  ~Request() { close(socket_); }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  bool ask(unsigned long command) { return ioctl(socket_, command, &request_) == 0; }
  bool ethtool(void* data) {
    request_.ifr_data = static_cast<char*>(data);
    return ask(SIOCETHTOOL);
  }
  short& flags() { return request_.ifr_flags; }
  int& mtu_bytes() { return request_.ifr_mtu; }

 private:
  const int socket_;
  ifreq request_{};
};

struct Offload {
  const char* name;
  uint32_t get;
  uint32_t set;
};

/// Segmentation before the checksums that it needs.
constexpr Offload kOffloads[] = {
    {"tcp-segmentation-offload", ETHTOOL_GTSO, ETHTOOL_STSO},
    {"generic-segmentation-offload", ETHTOOL_GGSO, ETHTOOL_SGSO},
    {"generic-receive-offload", ETHTOOL_GGRO, ETHTOOL_SGRO},
    {"tx-checksumming", ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM},
    {"rx-checksumming", ETHTOOL_GRXCSUM, ETHTOOL_SRXCSUM},
};

bool disable(Request& request, const Offload& offload) {
  ethtool_value value{};
  value.cmd = offload.set;
  if (request.ethtool(&value)) return true;
  // A driver without the switch refuses it even if the feature is off.
  value.cmd = offload.get;
  return (request.ethtool(&value) && value.data == 0) || errno == EOPNOTSUPP;
}

bool disable_large_receive(Request& request) {
  ethtool_value value{};
  value.cmd = ETHTOOL_GFLAGS;
  if (!request.ethtool(&value)) return errno == EOPNOTSUPP;
  if ((value.data & ETH_FLAG_LRO) == 0) return true;
  value.cmd = ETHTOOL_SFLAGS;
  value.data &= ~static_cast<uint32_t>(ETH_FLAG_LRO);
  return request.ethtool(&value);
}

}  // namespace

std::vector<std::string> disable_offloads(const std::string& interface) {
  Request request(interface);
  std::vector<std::string> failed;
  for (const Offload& offload : kOffloads)
    if (!disable(request, offload)) failed.emplace_back(offload.name);
  if (!disable_large_receive(request)) failed.emplace_back("large-receive-offload");
  return failed;
}

bool set_up(const std::string& interface) {
  Request request(interface);
  if (!request.ask(SIOCGIFFLAGS)) return false;
  if ((request.flags() & IFF_UP) != 0) return true;
  request.flags() = static_cast<short>(request.flags() | IFF_UP);
  return request.ask(SIOCSIFFLAGS);
}

bool is_up_and_running(const std::string& interface) {
  Request request(interface);
  constexpr short kBoth = IFF_UP | IFF_RUNNING;
  return request.ask(SIOCGIFFLAGS) && (request.flags() & kBoth) == kBoth;
}

bool set_interface_mtu(const std::string& interface, uint32_t mtu_bytes) {
  Request request(interface);
  request.mtu_bytes() = static_cast<int>(mtu_bytes);
  return request.ask(SIOCSIFMTU);
}

uint32_t interface_mtu_bytes(const std::string& interface) {
  Request request(interface);
  return request.ask(SIOCGIFMTU) ? static_cast<uint32_t>(request.mtu_bytes()) : 0;
}

std::string interface_name(unsigned index) {
  char name[IF_NAMESIZE] = "";
  return if_indextoname(index, name) != nullptr ? name : "";
}

std::vector<std::string> interface_names() {
  std::vector<std::string> names;
  struct if_nameindex* list = if_nameindex();
  if (list == nullptr) return names;
  for (const struct if_nameindex* entry = list; entry->if_index != 0; ++entry)
    names.emplace_back(entry->if_name);
  if_freenameindex(list);
  return names;
}

}  // namespace gmesp::dataplane
