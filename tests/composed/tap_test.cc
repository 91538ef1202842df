// SPDX-License-Identifier: Apache-2.0
// What the tap does to what it sees: lost packets, unseen paths, copies, tags; and when a byte counts as delivered.
#include "base.h"

namespace mptap::test {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(Tap, UnseenPathIsAHoleThatTheDataAckPasses) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('U', 10));
  c.data(0, kToServer, 14, run('B', 10));
  c.ack(0, kToClient);
  std::erase_if(c.wire, [](const Sent& s) { return s.subflow == 1; });
  go_on(c, 24);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*10 T*6");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 10u);
  EXPECT_EQ(o.record().stream[0].missing_tap_bytes, 0u);
  EXPECT_EQ(o.record().visibility, 0.667);
  EXPECT_ANOMALY(o, "hole_unseen_path");
  EXPECT_FALSE(o.has("hole_tap_loss"));
  expect_agreement(c);
}

TEST(Tap, LossIsAHoleInTheSubflowsOwnNumbers) {
  Conversation c = established(1);
  c.data(0, kToServer, 4, run('U', 10), {.fate = Fate::kTapLost});
  c.data(0, kToServer, 14, run('B', 10));
  c.ack(0, kToClient);
  go_on(c, 24);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*10 T*6");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 10u);
  EXPECT_EQ(o.record().stream[0].missing_tap_bytes, 10u);
  EXPECT_ANOMALY(o, "hole_tap_loss");
  EXPECT_FALSE(o.has("hole_unseen_path"));
  expect_agreement(c);
}

TEST(Tap, LossInTheMiddleOfAMappingWhoseFirstSegmentWasSeen) {
  Conversation c = established();
  for (uint32_t i = 0; i < 4; ++i) {
    c.data(0, kToServer, 4 + 10 * i, run(static_cast<char>('A' + i), 10),
           {.map = i == 0, .map_ssn = 5, .map_offset = 4, .map_length = 40, .fate = i == 2 ? Fate::kTapLost : Fate::kNormal});
  }
  c.ack(0, kToClient);
  go_on(c, 44);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*10 B*10 D*10 T*6");
  EXPECT_EQ(o.record().stream[0].missing_tap_bytes, 10u);
  expect_agreement(c);
}

TEST(Tap, LossOfTheSegmentThatBoreTheMapping) {
  Conversation c = established(1);
  for (uint32_t i = 0; i < 4; ++i) {
    c.data(0, kToServer, 4 + 10 * i, run(static_cast<char>('A' + i), 10),
           {.map = i == 0, .map_ssn = 5, .map_offset = 4, .map_length = 40, .fate = i == 0 ? Fate::kTapLost : Fate::kNormal});
  }
  c.ack(0, kToClient);
  go_on(c, 44);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 40u);
  EXPECT_FALSE(o.record().fallback);
}

TEST(Tap, BytesAboveAHoleThatNobodyAcknowledgedArePending) {
  Conversation c = established(1);
  c.data(0, kToServer, 14, run('P', 10));
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4");
  EXPECT_EQ(o.record().stream[0].pending_bytes, 10u);
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
  EXPECT_EQ(o.record().visibility, 1.0);
  EXPECT_FALSE(o.record().stream[0].assumed);
  expect_agreement(c);
}

// The host's TCP holds them back: a hole in the subflow's own numbers that nobody acknowledged.
TEST(Tap, BytesAboveAHoleOfTheirSubflowThatNobodyAcknowledgedArePending) {
  for (const bool checksum : {false, true}) {
    ConversationConfig config;
    config.client_wants_checksum = checksum;
    Conversation c = established(config, 1);
    c.data(0, kToServer, 0, run('a', 4), {.ssn = 5, .fate = Fate::kLost});
    c.data(0, kToServer, 4, run('P', 10), {.ssn = 9});
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), "a*4");
    EXPECT_EQ(o.record().stream[0].pending_bytes, 10u);
    EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
    expect_agreement(c);
  }
}

// Three bytes of a mapping of four came, then another mapping above the hole: neither was verified or handed up.
TEST(Tap, PartsOfAnUnverifiedMappingBelowAnotherOneArePending) {
  ConversationConfig config;
  config.client_wants_checksum = true;
  Conversation c = established(config);
  const DataSpec mapping{.map_ssn = 5, .map_offset = 4, .map_length = 4, .map_bytes = run('P', 4)};
  c.data(0, kToServer, 4, run('P', 3), mapping);
  c.data(0, kToServer, 4, run('P', 2), {.ssn = 9});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4");
  EXPECT_EQ(o.record().stream[0].pending_bytes, 3u);
  EXPECT_EQ(o.record().stream[0].duplicate_bytes, 2u);
  expect_agreement(c);
}

TEST(Tap, PlainTcpAboveAHoleThatNobodyAcknowledgedIsPending) {
  Conversation c = established();
  c.plain_data(0, kToServer, run('p', 4));
  c.ack(0, kToClient, {.with_dss = false});
  c.plain_data(0, kToServer, run('q', 4), {}, Fate::kLost);
  c.plain_data(0, kToServer, run('r', 4), [&](Packet& p) { p.head.seq = c.seq_of_ssn(0, kToServer, 13); });
  const Outcome o = drive(c);
  EXPECT_TRUE(o.record().fallback);
  EXPECT_EQ(o.delivered(kToServer), "a*4 p*4");
  EXPECT_EQ(o.record().stream[0].pending_bytes, 4u);
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
}

// The ACK for it lies beyond all that was seen; a forged one would, too, but the host's next ACK would contradict that one.
TEST(Tap, LossOfASubflowsLastSegment) {
  for (const bool goes_on : {false, true}) {
    Conversation c = established(1);
    c.data(1, kToServer, 4, run('U', 10), {.fate = Fate::kTapLost});
    c.data(0, kToServer, 14, run('B', 10));
    c.ack(1, kToClient);  // with the only DATA_ACK
    if (goes_on) {
      c.now_ns += 2 * kSecond;
      c.ack(0, kToServer);
      c.now_ns += 2 * kSecond;
    }
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), "a*4 B*10");
    EXPECT_EQ(o.record().stream[0].missing_bytes, 10u);
    EXPECT_EQ(o.record().stream[0].missing_tap_bytes, 10u);
    EXPECT_EQ(o.record().stream[0].pending_bytes, 0u);
    EXPECT_FALSE(o.has("tcp_bad_ack"));
    EXPECT_ANOMALY(o, "hole_tap_loss");
    expect_agreement(c);
  }
}

TEST(Tap, LossOfTheLastSegmentWithTheDataFinOnTheAckOfIt) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('U', 10), {.fin = true, .fate = Fate::kTapLost});
  c.data_fin(0, kToClient);
  c.ack(0, kToServer);
  c.fin(0, kToServer);
  c.fin(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.record().stream[0].missing_tap_bytes, 10u);
  EXPECT_EQ(o.record().end, event::End::kDataFin);
}

TEST(Tap, AnswersToARequestWhoseLastSegmentWasLost) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('U', 10), {.fate = Fate::kTapLost});
  for (uint64_t i = 0; i < 3; ++i) c.data(0, kToClient, 10 * i, run('r', 10));
  c.ack(0, kToServer);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToClient), "r*30");
  EXPECT_EQ(o.record().stream[0].missing_tap_bytes, 10u);
}

TEST(Tap, AForgedAckAheadOpensNoHole) {
  Conversation c = established(1);
  c.data(0, kToServer, 14, run('B', 10));
  c.ack(1, kToClient, {.data_ack = 24, .change = [](Packet& p) { p.head.ack += 10; }});
  c.ack(1, kToClient);
  c.data(1, kToServer, 4, run('A', 10));
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*10 B*10");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
  EXPECT_ANOMALY(o, "tcp_bad_ack");
}

// Nothing contradicts the forged ACK before it takes effect: what comes then must not be taken for a copy.
TEST(Tap, AForgedAckOnASilentSubflowHidesNothing) {
  Conversation c = established();
  c.ack(0, kToClient, {.fate = Fate::kNormal, .change = [](Packet& p) { p.head.ack += 10; }});
  c.now_ns += 2 * kSecond;
  c.ack(0, kToServer);
  c.now_ns += 2 * kSecond;
  c.data(0, kToServer, 4, run('A', 20));
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*20");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
  EXPECT_EQ(o.record().stream[0].duplicate_bytes, 0u);
}

// TCP has gone on without them, the stream still waits.
TEST(Tap, BytesThatComeAfterTheirSubflowWentOnAreDelivered) {
  Conversation c = established(1);
  c.data(1, kToServer, 14, run('B', 10));  // SSN 1
  c.data(0, kToServer, 4, run('A', 10));   // SSN 5
  const Sent late = c.wire.back();
  c.wire.pop_back();
  c.data(0, kToServer, 24, run('C', 10));
  c.ack(0, kToClient, {.with_dss = false});
  for (int i = 0; i < 4; ++i) {
    c.now_ns += kSecond / 4;
    c.ack(0, kToClient, {.with_dss = false});
  }
  c.wire.push_back(late);
  c.wire.back().ns = c.now_ns;
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*10 B*10 C*10");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
}

TEST(Tap, WithoutTheAcknowledgingDirectionTheyAreAssumed) {
  Conversation c = established();
  c.data(0, kToServer, 14, run('P', 10));
  std::erase_if(c.wire, [](const Sent& s) { return s.direction == kToClient; });
  const Outcome o = drive(c);
  ASSERT_EQ(o.records.size(), 1u);
  EXPECT_EQ(runs(o.stream(o.records[0], kToServer)), "a*4 P*10");
  EXPECT_EQ(o.records[0].stream[0].missing_bytes, 10u);
  EXPECT_TRUE(o.records[0].stream[0].assumed);
}

TEST(Tap, AnAckThatOvertakesItsDataMakesNoHole) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('B', 10));
  c.data(0, kToServer, 14, run('C', 10));
  c.ack(0, kToClient);
  // The data of subflow 1 comes by a slower port.
  std::stable_partition(c.wire.begin() + 9, c.wire.end(), [](const Sent& s) { return s.subflow == 0; });
  retime(c.wire);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*10 C*10");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
  EXPECT_NO_ANOMALY(o);
}

TEST(Tap, AHoleThatIsFilledTooLate) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('B', 10));
  c.data(0, kToServer, 14, run('C', 10));
  c.ack(0, kToClient);
  Sent late;
  for (size_t i = 9; i < c.wire.size(); ++i) {
    if (c.wire[i].subflow == 1) {
      late = c.wire[i];
      c.wire.erase(c.wire.begin() + static_cast<ptrdiff_t>(i));
      break;
    }
  }
  c.now_ns += 10 * kSecond;
  go_on(c, 24);
  late.ns = c.now_ns;
  c.wire.push_back(late);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 C*10 T*6");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 10u);
  EXPECT_ANOMALY(o, "late_fill");
}

TEST(Tap, EveryPacketTwice) {
  for (const bool v6 : {false, true}) {
    ConversationConfig config;
    config.v6 = v6;
    Conversation c = established(config, 1);
    c.data(1, kToServer, 4, run('B', 10));
    c.data(0, kToServer, 14, run('C', 10));
    c.ack(0, kToClient);
    c.close();
    const std::vector<Sent> once = c.wire;
    std::vector<Sent> twice;
    for (const Sent& s : once) {
      c.wire = {s};
      c.span_copy();
      twice.insert(twice.end(), c.wire.begin(), c.wire.end());
    }
    const Outcome o = drive(twice);
    EXPECT_EQ(o.delivered(kToServer), "a*4 B*10 C*10");
    // In IPv6 nothing tells a copied pure ACK from a host's own duplicate.
    if (!v6) {
      EXPECT_EQ(o.record().span_duplicates, once.size());
    }
    EXPECT_EQ(o.record().stream[0].duplicate_bytes, 0u);
    EXPECT_EQ(o.record().subflows[0].bytes[0], 14u);
    EXPECT_NO_ANOMALY(o);
    EXPECT_EQ(differences(o, judge(twice)), "");
  }
}

TEST(Tap, ARetransmissionIsNoCopy) {
  for (const bool v6 : {false, true}) {
    ConversationConfig config;
    config.v6 = v6;
    Conversation c = established(config);
    c.data(0, kToServer, 4, run('B', 10));
    c.now_ns += 300'000'000;
    c.data(0, kToServer, 4, run('B', 10), {.ssn = 5});
    c.ack(0, kToClient);
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), "a*4 B*10");
    EXPECT_EQ(o.record().span_duplicates, 0u);
    EXPECT_EQ(o.record().stream[0].duplicate_bytes, 10u);
    EXPECT_EQ(o.record().subflows[0].bytes[0], 24u);
  }
}

TEST(Tap, VlanAndQinQ) {
  for (const size_t tags : {1, 2}) {
    ConversationConfig config;
    config.vlan = {{0x88a8, 100}, {0x8100, 200}};
    config.vlan.resize(tags);
    Conversation c = established(config, 1);
    go_on(c, 4, 1);
    EXPECT_EQ(drive(c).delivered(kToServer), "a*4 T*6");
  }
}

// --- the search goes over the seam of subflows, and says so

constexpr const char* kRule = "alert tcp any any -> any any (msg:\"found\"; content:\"evil stuff\"; sid:1;)";

DriveOptions with_rule() {
  DriveOptions options;
  options.rules = kRule;
  return options;
}

TEST(Search, AcrossSubflows) {
  Conversation c = established(1);
  c.data(0, kToServer, 4, text("evil "));
  c.data(1, kToServer, 9, text("stuff"));
  c.ack(0, kToClient);
  const Outcome o = drive(c, with_rule());
  ASSERT_EQ(o.alerts.size(), 1u);
  EXPECT_TRUE(o.alerts[0].cross_subflow);
  EXPECT_EQ(o.alerts[0].stream_offset, 4u);
  EXPECT_EQ(o.alerts[0].subflows, (std::vector<uint32_t>{0, 1}));
  EXPECT_FALSE(o.alerts[0].to_client);
}

TEST(Search, WhereOneSubflowHasItAll) {
  Conversation c = established(1);
  c.data(0, kToServer, 4, text("evil "));
  c.data(0, kToServer, 9, text("stuff"), {.fate = Fate::kHostLost});
  c.data(1, kToServer, 9, text("stuff"));
  c.ack(1, kToClient);
  const Outcome o = drive(c, with_rule());
  ASSERT_EQ(o.alerts.size(), 1u);
  EXPECT_FALSE(o.alerts[0].cross_subflow);
}

TEST(Search, NotAcrossAHole) {
  Conversation c = established(1);
  c.data(0, kToServer, 4, text("evil "));
  c.data(1, kToServer, 9, text("good "), {.fate = Fate::kTapLost});
  c.data(0, kToServer, 14, text("stuff"));
  c.ack(0, kToClient);
  const Outcome o = drive(c, with_rule());
  EXPECT_EQ(o.alerts.size(), 0u);
  EXPECT_EQ(o.record().stream[0].missing_bytes, 5u);
}

TEST(Search, BothReadingsOfAnOverlap) {
  // Linux takes one of the copies, other hosts the other: both are looked at, one is called a candidate.
  Conversation c = established(1);
  c.data(0, kToServer, 9, text("stuff"));
  c.data(1, kToServer, 9, text("STUFF and so on"));
  c.data(0, kToServer, 4, text("evil "));
  c.ack(0, kToClient);
  const Outcome o = drive(c, with_rule());
  EXPECT_EQ(to_text(o.stream(o.record(), kToServer)), "aaaaevil STUFF and so on");
  ASSERT_EQ(o.alerts.size(), 1u);
  EXPECT_TRUE(o.alerts[0].candidate);
  DriveOptions without = with_rule();
  without.config.candidates = false;
  EXPECT_EQ(drive(c, without).alerts.size(), 0u);
}

TEST(Search, BothMappingsOfASegment) {
  ConversationConfig config;
  config.timestamps = false;
  Conversation c = established(config, 1);
  c.data(0, kToServer, 4, text("evil "));
  const uint32_t ssn = c.next_ssn(0, kToServer);
  const Bytes second = option::dss({.ack = {}, .dsn = c.dsn_of(kToServer, 14), .ssn = ssn, .length = 5, .checksum = {}});
  c.data(0, kToServer, 9, text("stuff"), {.data_ack = false, .change = [&](Packet& p) { append(p.options, second); }});
  c.data(1, kToServer, 9, text("tales"));
  c.ack(0, kToClient, {.data_ack = 19});
  const Outcome o = drive(c, with_rule());
  EXPECT_EQ(to_text(o.stream(o.record(), kToServer)), "aaaaevil talesstuff");
  ASSERT_EQ(o.alerts.size(), 1u);
  EXPECT_TRUE(o.alerts[0].candidate);
}

TEST(Search, InsideALateFill) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, text("so: evil stuff"));
  const Sent late = c.wire.back();
  c.wire.pop_back();
  c.data(0, kToServer, 18, text("tail"));
  c.ack(0, kToClient);
  c.now_ns += 10 * kSecond;
  go_on(c, 22);
  c.wire.push_back(late);
  c.wire.back().ns = c.now_ns;
  EXPECT_EQ(drive(c, with_rule()).alerts.size(), 1u);
}

}  // namespace
}  // namespace mptap::test
