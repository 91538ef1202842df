// SPDX-License-Identifier: Apache-2.0
#include "worker/tally.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace mptap::worker {
namespace {

class TallyTest : public testing::Test {
 protected:
  uint64_t value(CounterId id) const { return counters_.value(id); }
  Counters counters_;
  Tally tally_{counters_};
};

TEST_F(TallyTest, AnMptcpRecord) {
  event::ConnectionRecord r;
  r.version = 0;
  r.end = event::End::kFastClose;
  r.subflows.resize(3);
  r.subflows[1].join = event::Join::kVerified;
  r.subflows[2].join = event::Join::kFailed;
  r.stream[0] = {
      .bytes = 100, .sha256 = {}, .missing_bytes = 30, .missing_tap_bytes = 10, .duplicate_bytes = 5, .conflicting_bytes = 2};
  tally_.count(r);
  EXPECT_EQ(value(kConnectionsEnded[Protocol::kMptcp0]), 1u);
  EXPECT_EQ(value(kEnds[event::End::kFastClose]), 1u);
  EXPECT_EQ(value(kJoins[event::Join::kInitial]), 1u);
  EXPECT_EQ(value(kJoins[event::Join::kVerified]), 1u);
  EXPECT_EQ(value(kJoins[event::Join::kFailed]), 1u);
  EXPECT_EQ(value(kStreams[Towards::kToServer]), 1u);
  EXPECT_EQ(value(kStreams[Towards::kToClient]), 0u);
  EXPECT_EQ(value(kStreamBytes[Towards::kToServer]), 100u);
  EXPECT_EQ(value(kHoleBytes[Hole::kTapLoss]), 10u);
  EXPECT_EQ(value(kHoleBytes[Hole::kUnseenPath]), 20u);
  EXPECT_EQ(value(kDuplicateBytes), 5u);
  EXPECT_EQ(value(kConflictingBytes), 2u);
}

TEST_F(TallyTest, FallbacksByReason) {
  event::ConnectionRecord r;
  tally_.count(r);
  r.mptcp = false;
  r.fallback_reason = "picked_up_midstream";  // plain TCP that may have been anything
  tally_.count(r);
  EXPECT_EQ(value(kConnectionsEnded[Protocol::kTcp]), 1u);
  r.fallback_reason = "no_capable_in_synack";
  tally_.count(r);
  r.mptcp = r.fallback = true;
  r.fallback_reason = "infinite_mapping";
  tally_.count(r);
  r.fallback_reason = "a reason of tomorrow";
  tally_.count(r);
  EXPECT_EQ(value(kFallbacks[static_cast<Fallback>(0)]), 1u);
  EXPECT_EQ(value(kFallbacks[static_cast<Fallback>(3)]), 1u);
  EXPECT_EQ(value(kFallbacks[Fallback::kOther]), 1u);
  uint64_t total = 0;
  for (size_t i = 0; i < kFallbackReasons.size(); ++i) total += value(kFallbacks[static_cast<Fallback>(i)]);
  EXPECT_EQ(total, 3u);
}

TEST_F(TallyTest, AlertsAnomaliesAndJoinsAsTheyCome) {
  event::Alert alert;
  tally_.count(alert);
  alert.cross_subflow = true;
  alert.action = "blocked";
  tally_.count(alert);
  event::Anomaly anomaly;
  anomaly.type = event::AnomalyType::kHoleTapLoss;
  tally_.count(anomaly);
  event::SubflowJoined joined;
  tally_.count(joined);
  joined.started = true;
  tally_.count(joined);
  EXPECT_EQ(value(kAlerts[AlertAction::kAllowed]), 1u);
  EXPECT_EQ(value(kAlerts[AlertAction::kBlocked]), 1u);
  EXPECT_EQ(value(kAlertsCross), 1u);
  EXPECT_EQ(value(kAnomaliesTold[event::AnomalyType::kHoleTapLoss]), 1u);
  EXPECT_EQ(value(kAnomaliesTold[event::AnomalyType::kFallback]), 0u);
  EXPECT_EQ(value(kSubflowsJoined), 1u);
  EXPECT_EQ(value(kMptcpStarted), 1u);
}

// A name that is declared twice, or with other help, would be two families of one name: Prometheus refuses the whole page.
TEST(CounterNames, AreThoseOfPrometheus) {
  std::set<std::string> seen;
  const char* last = "";
  for (const CounterInfo& info : CounterRegistry::all()) {
    const bool again = std::string_view(last) == info.name;  // the next value of its family
    EXPECT_TRUE(again || seen.insert(info.name).second) << info.name << " is declared twice";
    last = info.name;
    EXPECT_EQ(std::string_view(info.name).ends_with("_total"), info.metric == Metric::kCounter) << info.name;
    EXPECT_NE(std::string_view(info.help), "") << info.name;
  }
}

}  // namespace
}  // namespace mptap::worker
