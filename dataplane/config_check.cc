#include "dataplane/config_check.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <map>

#include "control/settings/socket_access.h"
#include "dataplane/config_schema.h"
#include "dataplane/device_string.h"

namespace gmesp::dataplane {
namespace {

/// What an IP packet may grow by on its way to the UE: IPv6, UDP, ESP header, IV, padding, trailer
/// and ICV come to 40 + 8 + 8 + 16 + 17 + 12 bytes (RFC 2406 2, RFC 3948 2.1).
constexpr uint16_t kEspRoomBytes = 100;
/// IPv6 needs this much (RFC 8200 5).
constexpr uint16_t kMtuBytesMin = 1280;

void expand_instance(std::string& text, const std::string& name) {
  constexpr std::string_view kPlaceholder = "{instance}";
  for (size_t at = text.find(kPlaceholder); at != text.npos;
       at = text.find(kPlaceholder, at + name.size()))
    text.replace(at, kPlaceholder.size(), name);
}

uint32_t rounded_up(uint64_t value, uint32_t unit) {
  return static_cast<uint32_t>((value + unit - 1) / unit * unit);
}

/// Every queue full, every worker's intake, burst, outbox and pool cache full, every hand-off ring
/// full.
uint32_t packet_buffers(const Config& config) {
  const uint64_t per_worker_and_pair = 1024 + config.limits.overload_packets;
  constexpr uint64_t kCachePerWorker = 512;
  const uint64_t workers = config.workers.count;
  uint64_t buffers = workers * (kCachePerWorker + per_worker_and_pair * config.pairs.size()) +
                     workers * (workers - 1) * kHandoffSlots;
  for (const Config::Pair& pair : config.pairs) {
    constexpr uint64_t kQueuesPerWorker = 4;  // receive and transmit, access and host
    buffers += workers * kQueuesPerWorker * pair.queue_descriptors;
  }
  return rounded_up(buffers, 1024);
}

uint32_t memory_megabytes(const Config& config) {
  constexpr uint64_t kOverheadBytes = 640;  // mbuf, pool header, head- and tailroom, cache spread
  constexpr uint64_t kFrameBytesMin = 2048;
  constexpr uint64_t kBaseMegabytes = 64;
  const uint64_t frame_bytes = std::max<uint64_t>(kFrameBytesMin, largest_mtu_bytes(config));
  const uint64_t bytes =
      config.memory.packet_buffers * (frame_bytes + kOverheadBytes) +
      kLargeBuffers * (uint64_t{config.fragments.datagram_bytes_max} + kOverheadBytes);
  return rounded_up(kBaseMegabytes + (bytes >> 20), 16);
}

void check_ports(const Config& config, settings::Reader& reader) {
  const auto& ranges = config.protected_ports.ranges;
  const auto refuse = [&](uint32_t port, const std::string& why) {
    for (const Config::PortRange& range : ranges)
      if (port >= range.first && port <= range.last)
        reader.add("protected_ports.ranges",
                   fmt::format("port {} in \"{}-{}\"", port, range.first, range.last),
                   "ports other than " + why);
  };
  constexpr std::array<uint16_t, 2> kSipPorts = {5060, 5061};
  for (const uint16_t port : kSipPorts)
    refuse(port, "5060 and 5061, which are never protected (TS 33.203 7.1)");
  for (const uint16_t port : config.protected_ports.unprotected)
    if (std::find(kSipPorts.begin(), kSipPorts.end(), port) == kSipPorts.end())
      refuse(port, "those of protected_ports.unprotected");
  const uint16_t encapsulation = config.nat.encapsulation_port;
  if (encapsulation != 0) refuse(encapsulation, "nat.encapsulation_port");
  const auto& clear = config.protected_ports.unprotected;
  if (encapsulation != 0 && std::find(clear.begin(), clear.end(), encapsulation) != clear.end())
    reader.add("nat.encapsulation_port", std::to_string(encapsulation),
               "a port that is not in protected_ports.unprotected");
  // port_pc and port_ps differ (TS 33.203 7.1).
  const bool has_two = ranges.size() > 1 || (!ranges.empty() && ranges[0].first != ranges[0].last);
  if (!has_two && !reader.has_error_under("protected_ports.ranges"))
    reader.add("protected_ports.ranges", "fewer than two ports",
               "two or more: a client and a server port");
}

/// DPDK's virtio-user in server mode waits inside the start of the port until its peer comes,
/// without end and deaf to signals.
bool waits_without_end(const std::string& device) {
  const bool is_virtio_user =
      device.starts_with("net_virtio_user") || device.starts_with("virtio_user");
  return is_virtio_user && device_argument(device, "server") == "1";
}

/// memif without copies: the peer gets all packet memory, of every port. And DPDK's driver (22.11)
/// closes the memory's descriptor once connected, so that whoever connects next may get no link.
bool lends_memory(const std::string& device) {
  const bool is_memif = device.starts_with("net_memif");
  // "yes" anywhere, as the driver reads it.
  return is_memif && device_argument(device, "zero-copy").find("yes") != std::string::npos;
}

void check_pairs(const Config& config, settings::Reader& reader) {
  std::map<std::string, std::string> users;
  const auto check = [&](const std::string& device, const std::string& key) {
    if (device.empty()) {
      if (!reader.has_error_under(key)) reader.add(key, "nothing", "a device; both are needed");
      return;
    }
    const auto [other, is_new] = users.emplace(device.substr(0, device.find(',')), key);
    if (!is_new)
      reader.add(key, settings::toml_quoted(device),
                 fmt::format("a device other than {}'s", other->second));
    if (waits_without_end(device))
      reader.add(key, settings::toml_quoted(device),
                 "virtio-user without server=1; let the other side (vhost-user) make the socket");
    if (lends_memory(device))
      reader.add(key, settings::toml_quoted(device),
                 "memif without zero-copy=yes; the peer would get all packet memory");
  };
  for (size_t i = 0; i < config.pairs.size(); ++i) {
    check(config.pairs[i].access, fmt::format("pair[{}].access", i));
    check(config.pairs[i].host, fmt::format("pair[{}].host", i));
  }
}

void check_workers(const Config& config, settings::Reader& reader) {
  const auto& cores = config.workers.cores;
  if (!cores.empty() && config.workers.count != cores.size())
    reader.add("workers.count",
               fmt::format("{} workers and {} cores", config.workers.count, cores.size()),
               "as many workers as cores, or only one of the two settings");
  auto sorted = cores;
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
    reader.add("workers.cores", fmt::format("core {} twice", *twice), "each core once");
}

void check_paths(const Config& config, settings::Reader& reader) {
  static_assert(settings::kSocketPathBytesMax == sizeof(sockaddr_un::sun_path) - 1);
  if (config.control.socket.size() > settings::kSocketPathBytesMax)
    reader.add("control.socket", fmt::format("{} bytes", config.control.socket.size()),
               fmt::format("at most {} bytes", settings::kSocketPathBytesMax));
  if (config.sa.memory_path == config.control.socket)
    reader.add("sa.memory_path", settings::toml_quoted(config.sa.memory_path),
               "a path other than control.socket");
}

void check_bounds(const Config& config, settings::Reader& reader) {
  const auto& fragments = config.fragments;
  if (fragments.datagram_bytes_max < largest_mtu_bytes(config))
    reader.add("fragments.datagram_bytes_max", std::to_string(fragments.datagram_bytes_max),
               fmt::format("at least the largest MTU, {}", largest_mtu_bytes(config)));
  if (fragments.per_source_max > fragments.datagrams_max)
    reader.add("fragments.per_source_max", std::to_string(fragments.per_source_max),
               fmt::format("at most fragments.datagrams_max, {}", fragments.datagrams_max));
  const auto all_withdrawn = [](const auto& withdrawn, const auto& names) {
    return std::all_of(std::begin(names), std::end(names), [&](const auto& name) {
      return std::find(withdrawn.begin(), withdrawn.end(), name.second) != withdrawn.end();
    });
  };
  if (all_withdrawn(config.crypto.withdrawn_integrity, kIntegrityNames))
    reader.add("crypto.withdrawn_integrity", "every algorithm", "at least one must remain");
  if (all_withdrawn(config.crypto.withdrawn_cipher, kCipherNames))
    reader.add("crypto.withdrawn_cipher", "every algorithm", "at least one must remain");
}

void check_screen(const Config& config, settings::Reader& reader) {
  const auto& ports = config.screen.ports;
  if (config.screen.enabled && ports.empty() && !reader.has_error_under("screen.ports"))
    reader.add("screen.ports", "none", "one port at least, or screen.enabled = false");
  for (const uint16_t port : ports) {
    if (config.nat.encapsulation_port != 0 && port == config.nat.encapsulation_port)
      reader.add("screen.ports", std::to_string(port), "ports other than nat.encapsulation_port");
    // A range that takes 5060 is told as such.
    if (reader.has_error_under("protected_ports.ranges")) continue;
    for (const Config::PortRange& range : config.protected_ports.ranges)
      if (port >= range.first && port <= range.last)
        reader.add("screen.ports", std::to_string(port),
                   fmt::format("ports outside protected_ports.ranges, \"{}-{}\"", range.first,
                               range.last));
  }
}

}  // namespace

uint16_t largest_mtu_bytes(const Config& config) {
  uint16_t largest = 0;
  for (const Config::Pair& pair : config.pairs)
    largest = std::max({largest, pair.access_mtu_bytes, pair.host_mtu_bytes});
  return largest;
}

void complete_config(Config& config) {
  expand_instance(config.control.socket, config.instance.name);
  expand_instance(config.sa.memory_path, config.instance.name);
  expand_instance(config.log.audit, config.instance.name);
  for (Config::Pair& pair : config.pairs)
    if (pair.host_mtu_bytes == 0)
      pair.host_mtu_bytes =
          static_cast<uint16_t>(std::max<int>(kMtuBytesMin, pair.access_mtu_bytes - kEspRoomBytes));
  if (config.workers.count == 0)
    config.workers.count =
        std::max<uint32_t>(1, static_cast<uint32_t>(config.workers.cores.size()));
  if (config.memory.packet_buffers == 0) config.memory.packet_buffers = packet_buffers(config);
  if (config.memory.megabytes == 0) config.memory.megabytes = memory_megabytes(config);
}

void check_config(const Config& config, settings::Reader& reader) {
  settings::check_socket_access(config.control.socket_mode, config.control.allowed_uids, reader);
  check_ports(config, reader);
  check_pairs(config, reader);
  check_workers(config, reader);
  check_paths(config, reader);
  check_bounds(config, reader);
  check_screen(config, reader);
}

}  // namespace gmesp::dataplane
