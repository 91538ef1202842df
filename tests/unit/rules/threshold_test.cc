// SPDX-License-Identifier: Apache-2.0
#include "rules/threshold.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "harness.h"

namespace mptap::rules {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

Rule rule_with(const std::string& threshold, uint32_t sid = 1) {
  const std::string option = threshold.empty() ? "" : "threshold:" + threshold + ";";
  return compile(fmt::format("alert tcp any any -> any any (content:\"x\"; {} sid:{};)", option, sid))->rules()[0];
}

packet::IpAddress ip(std::string_view text) {
  return *packet::IpAddress::parse(text);
}

// One letter per hit, at the seconds given: R reported, - not.
std::string report(const std::string& threshold, const std::vector<double>& seconds) {
  const Rule rule = rule_with(threshold);
  Thresholds thresholds;
  std::string out;
  for (const double s : seconds) {
    const auto time = static_cast<uint64_t>((1000 + s) * kSecond);
    out += thresholds.allow(rule, ip("10.0.0.1"), ip("10.0.0.2"), 1, time) ? 'R' : '-';
  }
  return out;
}

TEST(Threshold, NoneReportsAll) {
  EXPECT_EQ(report("", {0, 0, 0}), "RRR");
}

TEST(Threshold, LimitReportsTheFirstOfAWindow) {
  EXPECT_EQ(report("type limit, track by_src, count 2, seconds 10", {0, 1, 2, 9.9, 10, 11, 12, 25}), "RR--RR-R");
}

TEST(Threshold, ThresholdReportsEveryNth) {
  EXPECT_EQ(report("type threshold, track by_src, count 3, seconds 10", {0, 1, 2, 3, 4, 5, 6, 10, 11, 12}), "--R--R---R");
}

TEST(Threshold, BothReportsTheNthOnceAWindow) {
  EXPECT_EQ(report("type both, track by_src, count 2, seconds 10", {0, 1, 2, 3, 10, 11, 12}), "-R---R-");
}

TEST(Threshold, PacketsOutOfOrderStayInTheWindow) {
  EXPECT_EQ(report("type limit, track by_src, count 1, seconds 10", {5, 4, 14, 15}), "R--R");
}

TEST(Threshold, TracksWhatItIsToldTo) {
  const auto reported = [](const std::string& track, std::string_view src, std::string_view dst, uint64_t flow_id) {
    const Rule rule = rule_with("type limit, track " + track + ", count 1, seconds 10");
    Thresholds thresholds;
    thresholds.allow(rule, ip("10.0.0.1"), ip("10.0.0.2"), 1, kSecond);
    return thresholds.allow(rule, ip(src), ip(dst), flow_id, kSecond);
  };
  EXPECT_TRUE(reported("by_src", "10.0.0.9", "10.0.0.2", 1));
  EXPECT_FALSE(reported("by_src", "10.0.0.1", "10.0.0.9", 2));
  EXPECT_TRUE(reported("by_dst", "10.0.0.1", "10.0.0.9", 1));
  EXPECT_FALSE(reported("by_dst", "10.0.0.9", "10.0.0.2", 2));
  EXPECT_TRUE(reported("by_flow", "10.0.0.1", "10.0.0.2", 2));
  EXPECT_FALSE(reported("by_flow", "10.0.0.9", "10.0.0.9", 1));
  EXPECT_FALSE(reported("by_rule", "10.0.0.9", "10.0.0.9", 2));
}

TEST(Threshold, RulesAreCountedApart) {
  const Rule one = rule_with("type limit, track by_src, count 1, seconds 10", 1);
  const Rule two = rule_with("type limit, track by_src, count 1, seconds 10", 2);
  Thresholds thresholds;
  EXPECT_TRUE(thresholds.allow(one, ip("10.0.0.1"), ip("10.0.0.2"), 1, kSecond));
  EXPECT_TRUE(thresholds.allow(two, ip("10.0.0.1"), ip("10.0.0.2"), 1, kSecond));
  EXPECT_FALSE(thresholds.allow(one, ip("10.0.0.1"), ip("10.0.0.2"), 1, kSecond));
  EXPECT_EQ(thresholds.stats().suppressed, 1u);
}

TEST(Threshold, AFullTableForgetsTheOldestWindow) {
  const Rule rule = rule_with("type limit, track by_flow, count 1, seconds 1000");
  Thresholds thresholds(8);
  const auto hit = [&](uint64_t flow_id, uint64_t second) {
    return thresholds.allow(rule, ip("10.0.0.1"), ip("10.0.0.2"), flow_id, second * kSecond);
  };
  for (uint64_t i = 1; i <= 8; ++i) EXPECT_TRUE(hit(i, i));
  EXPECT_EQ(thresholds.stats().evicted, 0u);
  EXPECT_TRUE(hit(9, 9));
  EXPECT_EQ(thresholds.stats().evicted, 1u);
  EXPECT_FALSE(hit(2, 10));
  EXPECT_TRUE(hit(1, 11)) << "the oldest was forgotten";
}

}  // namespace
}  // namespace mptap::rules
