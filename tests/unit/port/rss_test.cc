// SPDX-License-Identifier: Apache-2.0
#include "port/rss.h"

#include <arpa/inet.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <rte_ethdev.h>
#include <rte_thash.h>

namespace mptap::port {
namespace {

using testing::AllOf;
using testing::HasSubstr;

packet::Endpoint endpoint(bool v6) {
  const auto bytes = *rc::gen::container<std::array<uint8_t, 16>>(rc::gen::arbitrary<uint8_t>());
  return {v6 ? packet::IpAddress::v6(bytes.data()) : packet::IpAddress::v4(bytes.data()), *rc::gen::arbitrary<uint16_t>()};
}

// DPDK's own Toeplitz, as a NIC computes it.
uint32_t reference(const packet::Endpoint& a, const packet::Endpoint& b) {
  const auto key = symmetric_key(40);
  std::vector<uint8_t> input;
  for (const auto* e : {&a, &b}) {
    if (e->address.is_v4()) {
      input.insert(input.end(), e->address.v4_bytes(), e->address.v4_bytes() + 4);
    } else {
      input.insert(input.end(), e->address.bytes.begin(), e->address.bytes.end());
    }
  }
  for (const auto* e : {&a, &b}) {
    input.push_back(static_cast<uint8_t>(e->port >> 8));
    input.push_back(static_cast<uint8_t>(e->port));
  }
  std::vector<uint32_t> words(input.size() / 4);
  for (size_t i = 0; i < words.size(); ++i) {
    uint32_t word;
    std::memcpy(&word, &input[4 * i], 4);
    words[i] = ntohl(word);
  }
  return rte_softrss(words.data(), static_cast<uint32_t>(words.size()), key.data());
}

RC_GTEST_PROP(SymmetricHash, IsToeplitzAndSymmetric, (bool v6)) {
  const auto a = endpoint(v6), b = endpoint(v6);
  RC_ASSERT(symmetric_hash(a, b) == reference(a, b));
  RC_ASSERT(symmetric_hash(b, a) == symmetric_hash(a, b));
}

TEST(SymmetricHash, SpreadsFlows) {
  std::array<int, 8> hits{};
  const auto server = packet::Endpoint{*packet::IpAddress::parse("10.0.0.1"), 443};
  for (uint16_t port = 32768; port < 32768 + 8000; ++port)
    ++hits[symmetric_hash({*packet::IpAddress::parse("192.168.7.9"), port}, server) % hits.size()];
  for (const int hit : hits) EXPECT_NEAR(hit, 1000, 200);
}

RssSetup nic(const std::string& port, uint16_t queues = 4, size_t table = 128) {
  return {.port = port,
          .queues = queues,
          .in_software = false,
          .key = symmetric_key(40),
          .fields = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP,
          .table = uniform_table(table, queues)};
}

std::string verdict(const RssSetup& a, const RssSetup& b) {
  const auto alike = check_alike({a, b});
  return alike ? "alike" : alike.error();
}

TEST(CheckAlike, EqualAndRepeatingTables) {
  EXPECT_EQ(verdict(nic("a"), nic("b")), "alike");
  EXPECT_EQ(verdict(nic("a", 4, 128), nic("b", 4, 512)), "alike");
  EXPECT_EQ(verdict(nic("a"), {.port = "soft", .queues = 4}), "alike");
  auto long_key = nic("b");
  long_key.key = symmetric_key(52);
  EXPECT_EQ(verdict(nic("a"), long_key), "alike");
}

TEST(CheckAlike, Differences) {
  EXPECT_THAT(verdict(nic("a", 4), nic("b", 8)), AllOf(HasSubstr("ports a and b"), HasSubstr("queues: 4 against 8")));
  // 128 % 3 != 0: the second half of 256 entries begins with another queue.
  EXPECT_THAT(verdict(nic("a", 3, 128), nic("b", 3, 256)), HasSubstr("redirection entry 128"));
  auto other_fields = nic("b");
  other_fields.fields = RTE_ETH_RSS_IPV4;
  EXPECT_THAT(verdict(nic("a"), other_fields), HasSubstr("hash fields ipv4-tcp ipv6-tcp against ipv4"));
  EXPECT_THAT(verdict({.port = "soft", .queues = 4}, other_fields), HasSubstr("hash fields"));
  auto other_key = nic("b");
  other_key.key[7] ^= 1;
  EXPECT_THAT(verdict(nic("a"), other_key), HasSubstr("port b: the device did not take the symmetric RSS key"));
}

}  // namespace
}  // namespace mptap::port
