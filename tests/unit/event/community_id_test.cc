// SPDX-License-Identifier: Apache-2.0
#include "event/community_id.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace mptap::event {
namespace {

packet::Endpoint at(const char* address, uint16_t port) {
  std::array<uint8_t, 16> raw{};
  if (inet_pton(AF_INET, address, raw.data()) == 1) return {packet::IpAddress::v4(raw.data()), port};
  EXPECT_EQ(inet_pton(AF_INET6, address, raw.data()), 1) << address;
  return {packet::IpAddress::v6(raw.data()), port};
}

// The published vectors of the Community ID specification.
TEST(CommunityId, ReferenceVectors) {
  const auto a = at("128.232.110.120", 34855), b = at("66.35.250.204", 80);
  EXPECT_EQ(community_id(a, b), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  EXPECT_EQ(community_id(b, a), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  EXPECT_EQ(community_id(a, b, 1), "1:3V71V58M3Ksw/yuFALMcW0LAHvc=");
  const auto c = at("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943), d = at("2607:f8b0:400c:c03::1a", 25);
  EXPECT_EQ(community_id(c, d), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
  EXPECT_EQ(community_id(d, c), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
}

// Computed with Python's hashlib from the specification's text.
TEST(CommunityId, OneAddressAndLargestSeed) {
  EXPECT_EQ(community_id(at("10.0.0.1", 11), at("10.0.0.1", 10)), "1:rn3uVMy07GRldneZs+okbZAwWcU=");
  EXPECT_EQ(community_id(at("10.0.0.1", 10), at("10.0.0.1", 10)), "1:ojj6PPfehtWJLTckPYNOBx7OIDs=");
  EXPECT_EQ(community_id(at("fe80::2", 7), at("fe80::1", 7), 65535), "1:vnh6TxdvWZbHqG15u0vW03ZADL4=");
}

}  // namespace
}  // namespace mptap::event
