// Device strings: what is told apart, and what gmespd adds for AF_PACKET.
#include "dataplane/device_string.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace gmesp::dataplane {
namespace {

TEST(DeviceString, PciAddressesAndVirtualDevicesAreToldApart) {
  EXPECT_TRUE(is_pci_address("0000:3b:00.0"));
  for (const char* other : {"3b:00.0", "0000:3b:00:0", "0000:3B:00.0", "0000:3b:00.0 ", "net_tap0"})
    EXPECT_FALSE(is_pci_address(other)) << other;
  for (const char* device : {"net_tap0,iface=x", "net_null1", "virtio_user0,path=/dev/vhost-net"})
    EXPECT_TRUE(is_virtual_device(device)) << device;
  for (const char* other : {"", "eth0", "tap0", "net_tap0 ", "net tap", "crypto_null"})
    EXPECT_FALSE(is_virtual_device(other)) << other;
}

TEST(DeviceString, ArgumentsAreFoundByTheirWholeName) {
  const char* device = "net_af_packet0,xiface=a,iface=eth1,qpairs=2";
  EXPECT_EQ(device_argument(device, "iface"), "eth1");
  EXPECT_EQ(device_argument(device, "qpairs"), "2");
  EXPECT_EQ(device_argument(device, "framesz"), "");
  EXPECT_EQ(device_argument("iface=eth0", "iface"), "");
}

TEST(DeviceString, OthersPassUnchanged) {
  const VirtualDevice tap = virtual_device("net_tap0,iface=gmesp-host", 4, 9000);
  EXPECT_EQ(tap.name, "net_tap0");
  EXPECT_EQ(tap.arguments, "iface=gmesp-host");
  EXPECT_EQ(virtual_device("net_null0", 1, 1500).arguments, "");
}

TEST(DeviceString, AfPacketGetsAQueuePairPerWorker) {
  const std::string device = "net_af_packet0,iface=eth1";
  EXPECT_EQ(virtual_device(device, 1, 1500).arguments, "iface=eth1");
  EXPECT_EQ(virtual_device(device, 3, 1500).arguments, "iface=eth1,qpairs=3");
  EXPECT_EQ(virtual_device(device + ",qpairs=3", 3, 1500).arguments, "iface=eth1,qpairs=3");
  EXPECT_THROW(virtual_device(device + ",qpairs=4", 3, 1500), std::runtime_error);
}

TEST(DeviceString, AfPacketSlotsHoldAJumboFrameAndFillTheirBlocks) {
  const std::string arguments = virtual_device("net_af_packet0,iface=eth1", 1, 9000).arguments;
  const std::string device = "net_af_packet0," + arguments;
  const unsigned long slot_bytes = std::stoul(device_argument(device, "framesz"));
  const unsigned long block_bytes = std::stoul(device_argument(device, "blocksz"));
  const unsigned long slots = std::stoul(device_argument(device, "framecnt"));
  EXPECT_GE(slot_bytes, 9000u + 18 + 66);
  EXPECT_EQ(slot_bytes % 16, 0u);           // TPACKET_ALIGNMENT
  EXPECT_EQ(block_bytes % 4096, 0u);        // whole pages
  EXPECT_EQ(block_bytes % slot_bytes, 0u);  // contiguous, as the driver takes them to be
  EXPECT_EQ(slots % (block_bytes / slot_bytes), 0u);
}

TEST(DeviceString, AfPacketSlotsOfTheOperatorStay) {
  const std::string device = "net_af_packet0,iface=eth1,framesz=16384,blocksz=16384";
  EXPECT_EQ(virtual_device(device, 1, 9000).arguments, "iface=eth1,framesz=16384,blocksz=16384");
}

}  // namespace
}  // namespace gmesp::dataplane
