// SPDX-License-Identifier: Apache-2.0
#include "packet/address.h"

#include <gtest/gtest.h>

namespace mptap::packet {
namespace {

TEST(Address, TextOfBothFamiliesGoesInAndComesOut) {
  for (const char* text : {"10.0.0.1", "255.255.255.255", "0.0.0.0", "fd00::1", "::", "2001:db8:1:2:3:4:5:6"}) {
    const auto a = IpAddress::parse(text);
    ASSERT_TRUE(a) << text;
    EXPECT_EQ(a->to_string(), text);
  }
}

TEST(Address, V4IsKeptMapped) {
  const auto a = IpAddress::parse("10.1.2.3");
  ASSERT_TRUE(a);
  EXPECT_TRUE(a->is_v4());
  EXPECT_EQ(a, IpAddress::parse("::ffff:10.1.2.3"));
  EXPECT_FALSE(IpAddress::parse("fd00::1")->is_v4());
}

TEST(Address, OtherTextIsRefused) {
  for (std::string_view text : {"", "10.0.0", "10.0.0.256", "10.0.0.1 ", "fd00:::1", "host", "10.0.0.1/8", "fd00::1%eth0",
                                "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("10.0.0.1\0", 9)));
}

TEST(Address, EndpointText) {
  EXPECT_EQ((Endpoint{*IpAddress::parse("10.0.0.1"), 80}.to_string()), "10.0.0.1:80");
  EXPECT_EQ((Endpoint{*IpAddress::parse("fd00::1"), 65535}.to_string()), "[fd00::1]:65535");
}

}  // namespace
}  // namespace mptap::packet
