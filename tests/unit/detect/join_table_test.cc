// SPDX-License-Identifier: Apache-2.0
#include "detect/join_table.h"

#include <gtest/gtest.h>

#include "detect/rate.h"

namespace mptap::detect {
namespace {

constexpr uint64_t kSecond = 1'000'000'000, kStart = 1'700'000'000 * kSecond;

packet::IpAddress host(uint32_t number) {
  const std::array<uint8_t, 4> bytes{10, static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8),
                                     static_cast<uint8_t>(number)};
  return packet::IpAddress::v4(bytes.data());
}

TEST(Rate, CountsWhatLiesWithinTheWindow) {
  Rate rate;
  for (uint32_t i = 1; i <= 10; ++i) EXPECT_EQ(rate.add(kStart + i * kSecond / 2, 10 * kSecond), i);
}

TEST(Rate, ForgetsWhatLiesBefore) {
  Rate rate;
  for (int i = 0; i < 100; ++i) rate.add(kStart, 10 * kSecond);
  // Half of the window before has gone by.
  EXPECT_EQ(rate.add(kStart + 15 * kSecond, 10 * kSecond), 51u);
  EXPECT_EQ(rate.add(kStart + 40 * kSecond, 10 * kSecond), 1u);
}

TEST(Rate, TimesOutOfOrderCount) {
  Rate rate;
  rate.add(kStart, 10 * kSecond);
  EXPECT_EQ(rate.add(kStart - kSecond, 10 * kSecond), 2u);
}

TEST(JoinTable, TellsOnceWithinAWindow) {
  JoinTable table(64);
  int crossed = 0;
  for (uint64_t i = 0; i < 50; ++i)
    crossed += table.count(JoinTable::Role::kSource, host(1), kStart + i * kSecond / 10, 10 * kSecond, 20).crossed;
  EXPECT_EQ(crossed, 1);
  for (uint64_t i = 0; i < 50; ++i)
    crossed += table.count(JoinTable::Role::kSource, host(1), kStart + 13 * kSecond + i, 10 * kSecond, 20).crossed;
  EXPECT_EQ(crossed, 2);
}

TEST(JoinTable, RolesAndHostsAreCountedApart) {
  JoinTable table(64);
  for (int i = 0; i < 5; ++i) table.count(JoinTable::Role::kSource, host(1), kStart, kSecond, 100);
  EXPECT_EQ(table.count(JoinTable::Role::kTarget, host(1), kStart, kSecond, 100).joins, 1u);
  EXPECT_EQ(table.count(JoinTable::Role::kSource, host(2), kStart, kSecond, 100).joins, 1u);
  EXPECT_EQ(table.count(JoinTable::Role::kSource, host(1), kStart, kSecond, 100).joins, 6u);
}

TEST(JoinTable, OffWithoutALimit) {
  JoinTable table(64);
  EXPECT_EQ(table.count(JoinTable::Role::kSource, host(1), kStart, kSecond, 0).joins, 0u);
}

TEST(JoinTable, FullTheSilentOneGivesWayAndTheBusyOneStays) {
  JoinTable table(64);
  for (uint32_t i = 0; i < 10000; ++i) {
    table.count(JoinTable::Role::kSource, host(1), kStart + i, 10 * kSecond, 1u << 30);
    table.count(JoinTable::Role::kSource, host(1000 + i), kStart + i, 10 * kSecond, 1u << 30);
  }
  EXPECT_GT(table.evicted(), 9000u);
  EXPECT_EQ(table.count(JoinTable::Role::kSource, host(1), kStart + 10000, 10 * kSecond, 1u << 30).joins, 10001u);
}

TEST(JoinTable, WhatIsOutOfItsWindowGivesWayUncounted) {
  JoinTable table(4);
  for (uint32_t i = 0; i < 100; ++i) table.count(JoinTable::Role::kSource, host(i), kStart + i * 100 * kSecond, kSecond, 1);
  EXPECT_EQ(table.evicted(), 0u);
}

}  // namespace
}  // namespace mptap::detect
