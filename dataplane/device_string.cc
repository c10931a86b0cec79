#include "dataplane/device_string.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace gmesp::dataplane {
namespace {

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/// PACKET_MMAP: one packet queue pair per worker, and ring slots that hold a whole frame.
std::string af_packet_arguments(const std::string& device, uint16_t queues, uint16_t mtu_bytes,
                                uint32_t joined_bytes_max) {
  std::string added;
  const std::string pairs = device_argument(device, "qpairs");
  // The kernel spreads flows over all pairs; one that no worker polls would swallow its flows.
  if (!pairs.empty() && pairs != std::to_string(queues))
    throw std::runtime_error(fmt::format(
        "qpairs={} must be the number of workers, {}; leave it out, it is set", pairs, queues));
  if (pairs.empty() && queues > 1) added += fmt::format(",qpairs={}", queues);

  // A slot holds 66 bytes of the kernel's, then the frame without its outer VLAN tag. The driver
  // takes slots for contiguous, so they must fill their blocks, and blocks are whole pages.
  constexpr uint32_t kSlotHeaderBytes = 66;
  constexpr uint32_t kEthernetAndInnerTagBytes = 14 + 4;
  constexpr uint32_t kSlotBytesDefault = 2048;
  constexpr uint32_t kSlotAlignment = 16;
  constexpr uint32_t kPageBytes = 4096;
  constexpr uint32_t kSlotsPerBlock = kPageBytes / kSlotAlignment;
  constexpr uint32_t kSlots = 512;
  static_assert(kSlots % kSlotsPerBlock == 0);
  const uint32_t needed = mtu_bytes + kEthernetAndInnerTagBytes + kSlotHeaderBytes;
  const bool chosen = !device_argument(device, "framesz").empty() ||
                      !device_argument(device, "blocksz").empty() ||
                      !device_argument(device, "framecnt").empty();
  if (joined_bytes_max / kPageBytes * kPageBytes > needed && !chosen) {
    const uint32_t slot_bytes = joined_bytes_max / kPageBytes * kPageBytes;
    added += fmt::format(",framesz={0},blocksz={0},framecnt={1}", slot_bytes, kSlots);
  } else if (needed > kSlotBytesDefault && !chosen) {
    const uint32_t slot_bytes = (needed + kSlotAlignment - 1) / kSlotAlignment * kSlotAlignment;
    added += fmt::format(",framesz={},blocksz={},framecnt={}", slot_bytes,
                         slot_bytes * kSlotsPerBlock, kSlots);
  }
  return added;
}

}  // namespace

bool is_pci_address(std::string_view device) {
  constexpr std::string_view kShape = "xxxx:xx:xx.x";
  if (device.size() != kShape.size()) return false;
  for (size_t i = 0; i < device.size(); ++i)
    if (kShape[i] == 'x' ? !is_hex(device[i]) : device[i] != kShape[i]) return false;
  return true;
}

bool is_virtual_device(std::string_view device) {
  constexpr size_t kNameBytesMax = 63;
  const std::string_view name = device.substr(0, device.find(','));
  const bool has_prefix =
      name.starts_with("net_") || name.starts_with("virtio_user") || name.starts_with("eth_");
  return has_prefix && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

std::string device_argument(std::string_view device, std::string_view name) {
  for (size_t at = device.find(','); at != device.npos;) {
    const size_t end = device.find(',', at + 1);
    const std::string_view argument = device.substr(at + 1, end - at - 1);
    if (argument.starts_with(name) && argument.substr(name.size()).starts_with('='))
      return std::string(argument.substr(name.size() + 1));
    at = end;
  }
  return "";
}

bool joins_fragments(const std::string& device) {
  return device.starts_with("net_af_packet");
}

VirtualDevice virtual_device(const std::string& device, uint16_t queues, uint16_t mtu_bytes,
                             uint32_t joined_bytes_max) {
  const size_t comma = device.find(',');
  VirtualDevice result{device.substr(0, comma), ""};
  if (comma != device.npos) result.arguments = device.substr(comma + 1);
  if (joins_fragments(device))
    result.arguments += af_packet_arguments(device, queues, mtu_bytes, joined_bytes_max);
  return result;
}

}  // namespace gmesp::dataplane
