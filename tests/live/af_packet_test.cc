// SPDX-License-Identifier: Apache-2.0
// A port on a live veth: the process moves into a network namespace of its own, which goes when it ends.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "port/eal.h"
#include "port/live_source.h"

namespace mptap::port {
namespace {

using testing::HasSubstr;

class AfPacketTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    able_ = geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
    if (!able_) return;
    ASSERT_EQ(std::system("ip link add left mtu 9000 type veth peer name right mtu 9000 && "
                          "sysctl -qw net.ipv6.conf.left.disable_ipv6=1 net.ipv6.conf.right.disable_ipv6=1 && "
                          "ip link set left up && ip link set right up"),
              0);
    static auto eal = Eal::start({.memory_mb = 256});
    ASSERT_TRUE(eal) << eal.error();
  }
  void SetUp() override {
    if (!able_) GTEST_SKIP() << "a network namespace needs root";
  }

  // Puts frames of these sizes on the wire at the other end; frame n is filled with n + 1 after its header.
  static void send(const std::vector<size_t>& sizes) {
    const int fd = socket(AF_PACKET, SOCK_RAW, 0);
    ASSERT_GE(fd, 0);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(if_nametoindex("right"));
    to.sll_halen = 6;
    for (size_t n = 0; n < sizes.size(); ++n) {
      std::vector<uint8_t> frame(sizes[n], static_cast<uint8_t>(n + 1));
      // To a host that is neither end: only a promiscuous port takes it.
      const uint8_t header[14] = {2, 0, 0, 0, 0, 99, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
      std::memcpy(frame.data(), header, sizeof header);
      EXPECT_EQ(sendto(fd, frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to), frame.size());
    }
    close(fd);
  }

  static std::vector<std::vector<uint8_t>> receive(LiveSource& source, size_t count) {
    std::vector<std::vector<uint8_t>> got;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (got.size() < count && std::chrono::steady_clock::now() < deadline) {
      for (const packet::Frame& frame : source.poll()) {
        EXPECT_EQ(frame.number, got.size() + 1);
        EXPECT_NEAR(static_cast<double>(frame.timestamp_ns) / 1e9, static_cast<double>(time(nullptr)), 2);
        got.emplace_back(frame.data, frame.data + frame.captured);
      }
    }
    return got;
  }

  static LiveSource source_of(Port port) {
    std::vector<Port> ports;
    ports.push_back(std::move(port));
    return LiveSource(std::move(ports));
  }

  static inline bool able_ = false;
};

TEST_F(AfPacketTest, ReceivesWhatTheWireCarries) {
  auto port = Port::open("left");
  ASSERT_TRUE(port) << port.error();
  EXPECT_TRUE(port->link().up);
  EXPECT_EQ(port->info().driver, "net_af_packet");
  LiveSource source = source_of(std::move(*port));
  send({60, 1000, 1514, 70});
  const auto got = receive(source, 4);
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[2].size(), 1514u);
  EXPECT_EQ(got[2].back(), 3);
  EXPECT_EQ(source.ports()[0].stats().packets, 4u);
}

TEST_F(AfPacketTest, JumboFramesWithLargerSlots) {
  auto port = Port::open("net_af_packet1,iface=left,framesz=16384,blocksz=65536,framecnt=256");
  ASSERT_TRUE(port) << port.error();
  LiveSource source = source_of(std::move(*port));
  send({9014, 60});
  const auto got = receive(source, 2);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].size(), 9014u);
  EXPECT_EQ(got[0].back(), 1);
}

TEST_F(AfPacketTest, SeveralSocketsAreAllPolled) {
  auto port = Port::open("net_af_packet2,iface=left,qpairs=2");
  ASSERT_TRUE(port) << port.error();
  EXPECT_EQ(port->queues(), 2);
  LiveSource source = source_of(std::move(*port));
  send(std::vector<size_t>(50, 100));
  EXPECT_EQ(receive(source, 50).size(), 50u);
}

TEST_F(AfPacketTest, LinkGoesDown) {
  auto port = Port::open("left");
  ASSERT_TRUE(port) << port.error();
  ASSERT_EQ(std::system("ip link set right down"), 0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  while (port->link().up && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(port->link().up);
  ASSERT_EQ(std::system("ip link set right up"), 0);
}

}  // namespace
}  // namespace mptap::port
