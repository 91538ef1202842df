// SPDX-License-Identifier: Apache-2.0
// Copies that differ, under each policy, at both levels: the table of overlaps, row by row.
#include "base.h"

namespace mptap::test {
namespace {

struct Piece {
  uint64_t start, end;
  char letter;
};

struct Row {
  const char* name;
  std::vector<Piece> held;  // in this order, ahead of the hole [4, 14)
  std::array<const char*, 4> delivered;  // linux, first, bsd, last; behind "a*4 A*10 "
  uint64_t conflicting;
};

const std::vector<Row> kTable{
    {"SameStartLonger", {{14, 24, 'B'}, {14, 34, 'C'}}, {"C*20", "B*10 C*10", "B*10 C*10", "C*20"}, 10},
    {"OverTheTail", {{14, 24, 'B'}, {19, 29, 'C'}}, {"B*10 C*5", "B*10 C*5", "B*10 C*5", "B*5 C*10"}, 5},
    {"OverTheHead", {{24, 34, 'B'}, {14, 29, 'C'}}, {"C*15 B*5", "C*10 B*10", "C*15 B*5", "C*15 B*5"}, 5},
    {"Inside", {{14, 34, 'B'}, {19, 24, 'C'}}, {"B*20", "B*20", "B*20", "B*5 C*5 B*10"}, 5},
    {"CoversTwo", {{19, 24, 'B'}, {29, 34, 'D'}, {14, 39, 'C'}}, {"C*25", "C*5 B*5 C*5 D*5 C*5", "C*25", "C*25"}, 10},
    {"SameRangeTwice", {{14, 24, 'B'}, {14, 24, 'C'}}, {"B*10", "B*10", "B*10", "C*10"}, 10},
    {"SameStartShorter", {{14, 24, 'B'}, {14, 20, 'C'}}, {"B*10", "B*10", "B*10", "C*6 B*4"}, 6},
    {"SameEndEarlier", {{19, 24, 'B'}, {14, 24, 'C'}}, {"C*10", "C*5 B*5", "C*10", "C*10"}, 5},
    {"ThreeInAChain",
     {{14, 24, 'B'}, {20, 30, 'C'}, {28, 40, 'D'}},
     {"B*10 C*6 D*10", "B*10 C*6 D*10", "B*10 C*6 D*10", "B*6 C*8 D*12"},
     6},
};

constexpr std::array<Policy, 4> kPolicies{Policy::kLinux, Policy::kFirst, Policy::kBsd, Policy::kLast};
constexpr std::array<const char*, 4> kNames{"linux", "first", "bsd", "last"};

class OverlapTable : public testing::TestWithParam<Row> {};

TEST_P(OverlapTable, AtTheDataLevel) {
  Conversation c = established(1);
  int turn = 0;
  for (const Piece& p : GetParam().held) c.data(turn++ % 2, kToServer, p.start, run(p.letter, p.end - p.start));
  c.data(0, kToServer, 4, run('A', 10));
  c.ack(0, kToClient);
  for (size_t i = 0; i < kPolicies.size(); ++i) {
    SCOPED_TRACE(kNames[i]);
    const Outcome o = drive(c, with_policy(kPolicies[i]));
    EXPECT_EQ(o.delivered(kToServer), std::string("a*4 A*10 ") + GetParam().delivered[i]);
    EXPECT_EQ(o.record().stream[0].conflicting_bytes, GetParam().conflicting);
    EXPECT_ANOMALY(o, "stream_conflict");
    expect_agreement(c, kPolicies[i]);
  }
}

TEST_P(OverlapTable, InsideOneSubflow) {
  Conversation c = established();
  uint64_t end = 0;
  for (const Piece& p : GetParam().held) end = std::max(end, p.end);
  // One mapping for all, on every segment: only TCP decides.
  DataSpec spec;
  spec.map_ssn = 5;
  spec.map_offset = 4;
  spec.map_length = static_cast<uint16_t>(end - 4);
  for (const Piece& p : GetParam().held) {
    spec.ssn = static_cast<uint32_t>(p.start + 1);
    c.data(0, kToServer, p.start, run(p.letter, p.end - p.start), spec);
  }
  spec.ssn = 5;
  c.data(0, kToServer, 4, run('A', 10), spec);
  c.ack(0, kToClient);
  for (size_t i = 0; i < kPolicies.size(); ++i) {
    SCOPED_TRACE(kNames[i]);
    const Outcome o = drive(c, with_policy(kPolicies[i]));
    EXPECT_EQ(o.delivered(kToServer), std::string("a*4 A*10 ") + GetParam().delivered[i]);
    EXPECT_EQ(o.record().stream[0].conflicting_bytes, GetParam().conflicting);
    EXPECT_ANOMALY(o, "subflow_conflict");
    expect_agreement(c, kPolicies[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, OverlapTable, testing::ValuesIn(kTable), [](const auto& row) { return row.param.name; });

TEST(Overlap, ReplayOfDeliveredBytesChangesNothing) {
  Conversation c = established(1);
  c.data(0, kToServer, 4, run('A', 10));
  c.data(1, kToServer, 4, run('C', 10));
  c.ack(0, kToClient);
  for (const Policy policy : kPolicies) {
    const Outcome o = drive(c, with_policy(policy));
    EXPECT_EQ(o.delivered(kToServer), "a*4 A*10");
    EXPECT_EQ(o.record().stream[0].duplicate_bytes, 10u);
    EXPECT_EQ(o.record().stream[0].conflicting_bytes, 10u);
    EXPECT_ANOMALY(o, "stream_conflict");
  }
}

TEST(Overlap, AHoleFilledTwiceTakesTheFirst) {
  Conversation c = established(1);
  c.data(0, kToServer, 14, run('B', 10));
  c.data(0, kToServer, 4, run('A', 10));
  c.data(1, kToServer, 4, run('C', 10));
  c.ack(0, kToClient);
  for (const Policy policy : kPolicies) {
    const Outcome o = drive(c, with_policy(policy));
    EXPECT_EQ(o.delivered(kToServer), "a*4 A*10 B*10");
    EXPECT_ANOMALY(o, "stream_conflict");
  }
}

TEST(Overlap, TheSameBytesTwiceAreNoConflict) {
  Conversation c = established(1);
  c.data(0, kToServer, 14, run('B', 10));
  c.data(1, kToServer, 14, run('B', 20));
  c.data(1, kToServer, 4, run('A', 10));
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*10 B*20");
  EXPECT_EQ(o.record().stream[0].duplicate_bytes, 10u);
  EXPECT_EQ(o.record().stream[0].conflicting_bytes, 0u);
  EXPECT_NO_ANOMALY(o);
}

// Every copy beyond the second one is compared as well, and a byte counts once.
TEST(Overlap, AByteConflictsOnce) {
  Conversation c = established(2);
  c.data(0, kToServer, 4, run('A', 10));
  c.data(1, kToServer, 4, run('B', 10));
  c.data(2, kToServer, 9, run('C', 5));
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.record().stream[0].duplicate_bytes, 15u);
  EXPECT_EQ(o.record().stream[0].conflicting_bytes, 10u);
  expect_agreement(c);
}

// Under a DSS checksum the host verifies a mapping as a whole, but hands it on segment by segment.
TEST(Overlap, AVerifiedMappingIsHandedOnInItsSegments) {
  ConversationConfig config;
  config.client_wants_checksum = true;
  Conversation c = established(config, 1);
  c.data(0, kToServer, 14, run('B', 10));
  DataSpec mapping{.map_ssn = 1, .map_offset = 14, .map_length = 20, .map_bytes = run('C', 20)};
  c.data(1, kToServer, 14, run('C', 10), mapping);
  c.data(1, kToServer, 24, run('C', 10), mapping);
  c.data(0, kToServer, 4, run('A', 10));
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  // In one piece C would have replaced B.
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*10 B*10 C*10");
  EXPECT_EQ(o.record().stream[0].conflicting_bytes, 10u);
  expect_agreement(c);
}

TEST(Overlap, BytesBeforeTheirMappingAreHandedOnInTheirSegments) {
  Conversation c = established(1);
  c.data(0, kToServer, 14, run('B', 10));
  c.data(1, kToServer, 14, run('C', 10), {.map = false, .data_ack = false});
  c.data(1, kToServer, 24, run('C', 10), {.map_ssn = 1, .map_offset = 14, .map_length = 20});
  c.data(0, kToServer, 4, run('A', 10));
  c.ack(0, kToClient);
  EXPECT_EQ(drive(c).delivered(kToServer), "a*4 A*10 B*10 C*10");
}

TEST(Overlap, ACopyOfBytesThatWaitForTheirChecksumIsCounted) {
  for (const char letter : {'B', 'X'}) {
    ConversationConfig config;
    config.client_wants_checksum = true;
    Conversation c = established(config);
    DataSpec mapping{.map_ssn = 5, .map_offset = 4, .map_length = 20, .map_bytes = run('B', 20)};
    c.data(0, kToServer, 4, run('B', 10), mapping);
    c.now_ns += 10'000'000;
    mapping.ssn = 7;
    c.data(0, kToServer, 6, run(letter, 5), mapping);
    mapping.ssn = 15;
    c.data(0, kToServer, 14, run('B', 10), mapping);
    c.ack(0, kToClient);
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), "a*4 B*20");
    EXPECT_EQ(o.record().stream[0].duplicate_bytes, 5u);
    EXPECT_EQ(o.record().stream[0].conflicting_bytes, letter == 'B' ? 0u : 5u);
    expect_agreement(c);
  }
}

TEST(Overlap, CopiesOfPendingBytesAreCountedAndCompared) {
  Conversation c = established(1);
  c.data(0, kToServer, 14, run('B', 10));
  c.data(1, kToServer, 20, run('C', 10));
  c.data(0, kToServer, 24, run('D', 2));
  for (const Policy policy : kPolicies) {
    const Outcome o = drive(c, with_policy(policy));
    EXPECT_EQ(o.delivered(kToServer), "a*4");
    EXPECT_EQ(o.record().stream[0].pending_bytes, 16u);
    EXPECT_EQ(o.record().stream[0].duplicate_bytes, 6u);
    EXPECT_EQ(o.record().stream[0].conflicting_bytes, 6u);
    EXPECT_ANOMALY(o, "stream_conflict");
    expect_agreement(c, policy);
  }
}

TEST(Overlap, BelowADataAckNothingChangesAnyMore) {
  // The tap missed [4, 14), the host did not: what it had acknowledged when C came is decided, whatever the policy.
  Conversation c = established(1);
  c.data(0, kToServer, 4, run('A', 10), {.fate = Fate::kTapLost});
  c.data(1, kToServer, 14, run('B', 10));
  c.ack(1, kToClient);
  c.now_ns += 2'000'000'000;
  c.ack(1, kToClient);
  c.data(0, kToServer, 14, run('C', 20));
  c.ack(0, kToClient);
  c.now_ns += 2'000'000'000;
  c.ack(0, kToClient);
  for (const Policy policy : kPolicies) {
    const Outcome o = drive(c, with_policy(policy));
    EXPECT_EQ(o.delivered(kToServer), "a*4 B*10 C*10");
    EXPECT_EQ(o.record().stream[0].missing_bytes, 10u);
  }
}

}  // namespace
}  // namespace mptap::test
