// SPDX-License-Identifier: Apache-2.0
#include "port/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mptap::port {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const std::string& text) {
  const auto device = parse_device(text);
  return device ? "accepted" : device.error();
}

TEST(Device, PciAddresses) {
  for (const char* text : {"0000:03:00.1", "03:00.1"}) {
    const auto device = parse_device(text);
    ASSERT_TRUE(device) << device.error();
    EXPECT_EQ(device->kind, Device::Kind::kPci);
    EXPECT_EQ(device->name, "0000:03:00.1");
  }
}

TEST(Device, VirtualDevice) {
  const auto device = parse_device("net_af_packet3,iface=lo,qpairs=2");
  ASSERT_TRUE(device) << device.error();
  EXPECT_EQ(device->kind, Device::Kind::kVirtual);
  EXPECT_EQ(device->name, "net_af_packet3");
  EXPECT_EQ(device->driver, "net_af_packet");
  EXPECT_EQ(device->argument("qpairs"), "2");
  EXPECT_EQ(device->argument("qpair"), "");
}

TEST(Device, KernelInterfaceMeansAfPacket) {
  const auto device = parse_device("lo");
  ASSERT_TRUE(device) << device.error();
  EXPECT_EQ(device->name, "net_af_packet_lo");
  EXPECT_EQ(device->driver, "net_af_packet");
  EXPECT_EQ(device->argument("iface"), "lo");
}

TEST(Device, AfPacketGetsRingsOf16MiBUnlessFramesAreCounted) {
  EXPECT_EQ(driver_arguments(*parse_device("lo")), "iface=lo,framecnt=8192");
  EXPECT_EQ(driver_arguments(*parse_device("net_af_packet0,iface=lo,blocksz=65536,framesz=16384")),
            "iface=lo,blocksz=65536,framesz=16384,framecnt=1024");
  EXPECT_EQ(driver_arguments(*parse_device("net_af_packet0,iface=lo,framecnt=256")), "iface=lo,framecnt=256");
  EXPECT_EQ(driver_arguments(*parse_device("net_tap0")), "");
}

TEST(Device, DriversNotInTheTablePass) {
  const auto device = parse_device("net_softnic0,firmware=x");
  ASSERT_TRUE(device) << device.error();
  EXPECT_EQ(device->driver, "net_softnic");
}

TEST(Device, ErrorsSayWhatWouldBeRight) {
  EXPECT_EQ(error_of("net_af_packet0,iface=lo,blockcnt=4"),
            "net_af_packet0: unknown parameter \"blockcnt\"; net_af_packet knows iface, qpairs, blocksz, framesz, framecnt, "
            "qdisc_bypass");
  EXPECT_THAT(error_of("net_af_packet0,iface=nowhere0"),
              AllOf(HasSubstr("there is no network interface \"nowhere0\""), HasSubstr("lo")));
  EXPECT_EQ(error_of("net_af_packet0"), "net_af_packet0: net_af_packet needs iface, as in net_af_packet0,iface=…");
  EXPECT_EQ(error_of("net_af_packet0,iface="), "net_af_packet0: parameter \"iface\" needs a value: iface=…");
  EXPECT_EQ(error_of("net_pcap0,rx_pcap=/nowhere/x.pcap"),
            "net_pcap0: cannot read \"/nowhere/x.pcap\": No such file or directory");
  EXPECT_THAT(error_of("af_packet0,iface=lo"), HasSubstr("\"af_packet0\" is no driver of DPDK"));
  EXPECT_THAT(error_of(""), HasSubstr("empty"));
}

}  // namespace
}  // namespace mptap::port
