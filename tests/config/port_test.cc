// Ports on real DPDK drivers that need neither root nor hugepages nor a network: ring, null, pcap.
#include "dataplane/port.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "dataplane/buffers.h"
#include "dataplane/eal.h"

namespace gmesp::dataplane {
namespace {

/// DPDK starts once per process, on ordinary pages.
class PortTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const ConfigResult result =
        parse_config("[instance]\nname = \"gmesp-port-test-" + std::to_string(getpid()) +
                         "\"\n[memory]\npages = \"small\"\npacket_buffers = 81920\n",
                     "test.toml");
    ASSERT_TRUE(result.errors.empty());
    eal_ = std::make_unique<Eal>(plan_eal(result.config, inspect_machine()));
    const Config& config = result.config;
    // All that the configuration asks for, in the memory that was computed for it.
    buffers_ = std::make_unique<Buffers>(config.memory.packet_buffers, 1500, kLargeBuffers,
                                         config.fragments.datagram_bytes_max);
  }
  static void TearDownTestSuite() {
    buffers_.reset();
    eal_.reset();
  }

  static PortRequest request(const std::string& device) {
    PortRequest request;
    request.key = "pair[0].access";
    request.name = "access0";
    request.device = device;
    request.queue_descriptors = 256;
    return request;
  }

  static std::string error_of(const PortRequest& wanted) {
    try {
      Port port(wanted, buffers_->frames());
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }

  static std::unique_ptr<Eal> eal_;
  static std::unique_ptr<Buffers> buffers_;
};

std::unique_ptr<Eal> PortTest::eal_;
std::unique_ptr<Buffers> PortTest::buffers_;

TEST_F(PortTest, BuffersOnOrdinaryPagesBeginAnywhereInAPage) {
  constexpr uint32_t kSetBytes = 64, kSets = 64;  // of a first cache with pages of 4 KiB in a way
  std::array<rte_mbuf*, 256> packets;
  ASSERT_EQ(rte_pktmbuf_alloc_bulk(buffers_->frames(), packets.data(), packets.size()), 0);
  std::set<uintptr_t> sets;
  for (const rte_mbuf* packet : packets)
    sets.insert(reinterpret_cast<uintptr_t>(packet) / kSetBytes % kSets);
  rte_pktmbuf_free_bulk(packets.data(), packets.size());
  EXPECT_GE(sets.size(), kSets / 2);
  EXPECT_EQ(buffers_->in_use(), 0u);
}

// Shows: R-C-07
TEST_F(PortTest, ARingGivesBackWhatItIsSentAndItsRowSaysSo) {
  Port port(request("net_ring0"), buffers_->frames());
  rte_mbuf* sent = rte_pktmbuf_alloc(buffers_->frames());
  ASSERT_NE(sent, nullptr);
  ASSERT_NE(rte_pktmbuf_append(sent, 100), nullptr);
  ASSERT_EQ(rte_eth_tx_burst(port.id(), 0, &sent, 1), 1);
  rte_mbuf* received = nullptr;
  ASSERT_EQ(rte_eth_rx_burst(port.id(), 0, &received, 1), 1);
  EXPECT_EQ(received, sent);
  rte_pktmbuf_free(received);

  const shm::PortRow row = port.row();
  EXPECT_STREQ(row.name, "access0");
  EXPECT_STREQ(row.device, "net_ring0");
  EXPECT_STREQ(row.driver, "net_ring");
  EXPECT_EQ(row.link_up, 1);
  EXPECT_EQ(row.role, 0);
  EXPECT_EQ(row.mtu, 1500);
  EXPECT_EQ(row.queues, 1);
  EXPECT_EQ(row.rx_packets, 1u);
  EXPECT_EQ(row.tx_packets, 1u);
}

TEST_F(PortTest, ClosingGivesTheDeviceAndEveryBufferBack) {
  for (int round = 0; round < 3; ++round) {
    Port port(request("net_ring0"), buffers_->frames());
    rte_mbuf* sent = rte_pktmbuf_alloc(buffers_->frames());
    ASSERT_EQ(rte_eth_tx_burst(port.id(), 0, &sent, 1), 1);
    rte_mbuf* received = nullptr;
    ASSERT_EQ(rte_eth_rx_burst(port.id(), 0, &received, 1), 1);
    rte_pktmbuf_free(received);
  }
  EXPECT_EQ(buffers_->in_use(), 0u);
}

TEST_F(PortTest, ADeviceWithOneQueueGrantsOne) {
  const std::string path = testing::TempDir() + "gmesp-port-" + std::to_string(getpid());
  PortRequest wanted = request("net_pcap0,tx_pcap=" + path);
  wanted.queues = 4;
  wanted.role = PortRole::kHost;
  Port port(wanted, buffers_->frames());
  EXPECT_EQ(port.rx_queues(), 1);
  EXPECT_EQ(port.tx_queues(), 1);
  EXPECT_EQ(port.row().role, 1);
  unlink(path.c_str());
}

TEST_F(PortTest, ADeviceWithManyQueuesGrantsOnePerWorker) {
  PortRequest wanted = request("net_null0");
  wanted.queues = 2;
  Port port(wanted, buffers_->frames());
  EXPECT_EQ(port.rx_queues(), 2);
  EXPECT_EQ(port.tx_queues(), 2);
}

TEST_F(PortTest, AnAbsentPciDeviceIsNamedWithItsSetting) {
  const std::string text = error_of(request("0000:ff:1f.7"));
  EXPECT_EQ(text.find("pair[0].access: 0000:ff:1f.7: no such device"), 0u) << text;
  EXPECT_NE(text.find("PCI network device"), std::string::npos) << text;
}

TEST_F(PortTest, AnUnknownDriverIsNamedWithItsSetting) {
  const std::string text = error_of(request("net_bogus0"));
  EXPECT_EQ(text.find("pair[0].access: net_bogus0: DPDK has no driver of that name"), 0u) << text;
}

TEST_F(PortTest, WhatTheDriverSaidIsPassedOn) {
  const std::string text = error_of(request("net_pcap0,rx_pcap=/nonexistent/in.pcap"));
  EXPECT_EQ(text.find("pair[0].access: net_pcap0"), 0u) << text;
  EXPECT_NE(text.find("No such file or directory"), std::string::npos) << text;
}

TEST_F(PortTest, AnAbsentInterfaceIsNamedWithThoseThatExist) {
  const std::string text = error_of(request("net_af_packet0,iface=gmesp-nowhere"));
  EXPECT_EQ(text.find("pair[0].access: net_af_packet0,iface=gmesp-nowhere: "), 0u) << text;
  EXPECT_NE(text.find("the kernel's interfaces are lo"), std::string::npos) << text;
}

TEST_F(PortTest, ADeviceThatFailedLeavesItsNameFree) {
  EXPECT_NE(error_of(request("net_pcap1,rx_pcap=/nonexistent/in.pcap")), "");
  const std::string path = testing::TempDir() + "gmesp-port-" + std::to_string(getpid());
  EXPECT_EQ(error_of(request("net_pcap1,tx_pcap=" + path)), "");
  unlink(path.c_str());
}

}  // namespace
}  // namespace gmesp::dataplane
