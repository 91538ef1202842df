// SPDX-License-Identifier: Apache-2.0
// Ports of DPDK's virtual drivers that need no network: net_pcap, net_ring, net_null.
#include "port/port.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "port/eal.h"
#include "port/live_source.h"

namespace mptap::port {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class PortTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static auto eal = Eal::start({.memory_mb = 256});
    ASSERT_TRUE(eal) << eal.error();
  }
};

struct TemporaryPcap {
  std::string path = testing::TempDir() + "mptap_port_" + std::to_string(getpid()) + ".pcap";

  // Frames of these sizes; byte i of frame n is i + n. Stamped 1000 s and n µs.
  explicit TemporaryPcap(const std::vector<uint32_t>& sizes) {
    std::ofstream out(path, std::ios::binary);
    auto put = [&](uint32_t v) { out.write(reinterpret_cast<const char*>(&v), 4); };
    for (const uint32_t v : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 262144u, 1u}) put(v);
    for (uint32_t n = 0; n < sizes.size(); ++n) {
      for (const uint32_t v : {1000u, n, sizes[n], sizes[n]}) put(v);
      for (uint32_t i = 0; i < sizes[n]; ++i) out.put(static_cast<char>(i + n));
    }
  }
  ~TemporaryPcap() { unlink(path.c_str()); }
};

std::string error_of(const std::string& name) {
  const auto port = Port::open(name);
  return port ? "opened" : port.error();
}

TEST_F(PortTest, FileAsPortWithItsTimesAndJumboFramesMadeContiguous) {
  const TemporaryPcap file({60, 1514, 9014, 60});
  auto port = Port::open("net_pcap0,rx_pcap=" + file.path);
  ASSERT_TRUE(port) << port.error();
  EXPECT_TRUE(port->info().timestamps);
  EXPECT_TRUE(port->link().up);

  std::vector<Port> ports;
  ports.push_back(std::move(*port));
  LiveSource source(std::move(ports));
  std::vector<uint32_t> sizes;
  while (!source.drained()) {
    for (const packet::Frame& frame : source.poll()) {
      const auto n = static_cast<uint32_t>(sizes.size());
      sizes.push_back(frame.captured);
      EXPECT_EQ(frame.number, n + 1);
      EXPECT_EQ(frame.timestamp_ns, 1'000'000'000'000 + n * 1000);
      for (uint32_t i = 0; i < frame.captured; ++i) ASSERT_EQ(frame.data[i], static_cast<uint8_t>(i + n)) << "byte " << i;
    }
  }
  EXPECT_THAT(sizes, testing::ElementsAre(60, 1514, 9014, 60));
  EXPECT_EQ(source.ports()[0].stats().packets, 4u);
}

TEST_F(PortTest, RingLoopsBackAndGetsWallClockTime) {
  auto port = Port::open("net_ring0", {.tx_queues = 1});
  ASSERT_TRUE(port) << port.error();
  std::array<rte_mbuf*, 3> out{};
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = rte_pktmbuf_alloc(port->pool());
    std::memset(rte_pktmbuf_append(out[i], 100), static_cast<int>(i), 100);
    out[i]->ol_flags |= i == 1 ? RTE_MBUF_F_RX_L4_CKSUM_GOOD : RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN;
  }
  const unsigned free_before = rte_mempool_avail_count(port->pool());
  ASSERT_EQ(rte_eth_tx_burst(port->id(), 0, out.data(), 3), 3);

  RxBurst burst;
  ASSERT_EQ(burst.receive(*port, 0, 777, 5), 3);
  EXPECT_EQ(burst.frames()[2].data[0], 2);
  EXPECT_EQ(burst.frames()[2].timestamp_ns, 777u);
  EXPECT_EQ(burst.frames()[2].number, 7u);
  EXPECT_FALSE(burst.checksum_good(0));
  EXPECT_TRUE(burst.checksum_good(1));
  rte_pktmbuf_free(burst.take(0));
  burst.release();
  EXPECT_EQ(rte_mempool_avail_count(port->pool()), free_before + 3);
}

TEST_F(PortTest, ExhaustedPoolIsCountedAndTheRestIsIntact) {
  constexpr size_t kFrames = 6000;
  const TemporaryPcap file(std::vector<uint32_t>(kFrames, 60));
  auto port = Port::open("net_pcap8,rx_pcap=" + file.path, {.rx_descriptors = 64, .extra_mbufs = 512});
  ASSERT_TRUE(port) << port.error();
  RxBurst burst;
  // Somebody holds on to all that comes.
  std::vector<rte_mbuf*> held;
  while (const uint16_t count = burst.receive(*port, 0, 1)) {
    for (uint16_t i = 0; i < count; ++i) held.push_back(burst.take(i));
  }
  EXPECT_LT(held.size(), kFrames / 2);
  EXPECT_GT(port->stats().no_buffer, 0u);
  for (rte_mbuf* m : held) rte_pktmbuf_free(m);
  uint64_t more = 0;
  while (const uint16_t count = burst.receive(*port, 0, 1)) {
    more += count;
    for (const packet::Frame& f : burst.frames())
      for (uint32_t i = 0; i < f.captured; ++i) ASSERT_EQ(f.data[i], static_cast<uint8_t>(f.data[0] + i));
  }
  EXPECT_EQ(held.size() + more + port->stats().no_buffer, kFrames);
}

TEST_F(PortTest, GivenQueuesAreAllPolled) {
  const TemporaryPcap file({60, 60});
  auto port = Port::open("net_pcap7,rx_pcap=" + file.path + ",rx_pcap=" + file.path, {.queues = 1});
  ASSERT_TRUE(port) << port.error();
  EXPECT_EQ(port->queues(), 2);
  EXPECT_TRUE(port->info().rss.in_software);
}

TEST_F(PortTest, ClosedPortCanBeOpenedAgain) {
  for (int i = 0; i < 3; ++i) {
    auto port = Port::open("net_null0");
    ASSERT_TRUE(port) << port.error();
    EXPECT_THAT(Port::existing(), testing::ElementsAre("net_null0"));
  }
  EXPECT_THAT(Port::existing(), testing::IsEmpty());
}

TEST_F(PortTest, ErrorsSayWhatWouldBeRight) {
  EXPECT_THAT(error_of("nowhere0"),
              AllOf(HasSubstr("port nowhere0: there is no such port"), HasSubstr("network interfaces: "), HasSubstr("lo")));
  EXPECT_THAT(error_of("0000:ff:00.0"), HasSubstr("bind it to vfio-pci"));
  EXPECT_THAT(error_of("net_nonsense0"), HasSubstr("DPDK has no driver \"net_nonsense\""));
  EXPECT_THAT(error_of("net_null0,blockcnt=4"), HasSubstr("unknown parameter \"blockcnt\""));
  const auto first = Port::open("net_null1");
  ASSERT_TRUE(first);
  EXPECT_THAT(error_of("net_null1"), HasSubstr("in use already"));
  const auto greedy = Port::open("net_null2", {.extra_mbufs = 4'000'000});
  ASSERT_FALSE(greedy);
  EXPECT_THAT(greedy.error(), AllOf(HasSubstr("no memory for"), HasSubstr("give DPDK more memory")));
}

TEST_F(PortTest, WallClockFollowsTheSystem) {
  constexpr uint64_t kTolerance = 5'000'000;
  const auto system_ns = [] {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  };
  WallClock clock;
  uint64_t last = 0;
  for (int i = 0; i < 1300; ++i) {
    const uint64_t before = system_ns(), now = clock.now_ns(), after = system_ns();
    EXPECT_GE(now + kTolerance, before);
    EXPECT_LE(now, after + kTolerance);
    EXPECT_GE(now, last);
    last = now;
    usleep(1000);
  }
}

}  // namespace
}  // namespace mptap::port
