// SPDX-License-Identifier: Apache-2.0
// SSN -> DSN: what the kernel does with mappings of every kind, row by row of the table of attacks and corners.
#include "base.h"

namespace mptap::test {
namespace {

// --- legal, seldom

TEST(Mapping, SpansManySegmentsOfWhichOnlyTheFirstBearsIt) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('M', 10), {.map_length = 40});
  c.data(0, kToServer, 14, run('N', 10), {.map = false, .data_ack = false});
  c.data(0, kToServer, 24, run('O', 20), {.map = false, .data_ack = false});
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 M*10 N*10 O*20");
  EXPECT_NO_ANOMALY(o);
  expect_agreement(c);
}

TEST(Mapping, RepeatsOnEachSegmentOfABurst) {
  Conversation c = established();
  for (uint32_t i = 0; i < 4; ++i) {
    c.data(0, kToServer, 4 + 10 * i, run(static_cast<char>('A' + i), 10), {.map_ssn = 5, .map_offset = 4, .map_length = 40});
  }
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*10 B*10 C*10 D*10");
  EXPECT_NO_ANOMALY(o);
  expect_agreement(c);
}

TEST(Mapping, ComesAfterItsDataOnTheSameSubflow) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('M', 10), {.map = false, .data_ack = false});
  c.data(1, kToServer, 14, run('N', 10), {.map_ssn = 1, .map_offset = 4, .map_length = 20});
  c.ack(1, kToClient);
  EXPECT_EQ(drive(c).delivered(kToServer), "a*4 M*10 N*10");
}

TEST(Mapping, TheSegmentOfTheMappingComesLastInTime) {
  Conversation c = established(1);
  c.data(1, kToServer, 14, run('N', 10), {.ssn = 11, .map = false});
  c.data(1, kToServer, 4, run('M', 10), {.ssn = 1, .map_length = 20});
  c.ack(1, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 M*10 N*10");
  EXPECT_NO_ANOMALY(o);
}

TEST(Mapping, OfOneRetransmissionGrowsAndShrinksByTheDataFin) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('M', 5));
  c.data(0, kToServer, 4, run('M', 5), {.ssn = 5, .fin = true});
  c.data(0, kToServer, 4, run('M', 5), {.ssn = 5});
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 M*5");
  EXPECT_EQ(o.record().stream[0].duplicate_bytes, 10u);
  EXPECT_NO_ANOMALY(o);
}

TEST(Mapping, NarrowNumbersWrapInMidConnection) {
  for (const int version : {0, 1}) {
    ConversationConfig config;
    config.version = version;
    config.client_key = version == 0 ? 0x100005cc79c : 0x20000004c3b;
    Conversation c(config);
    c.handshake();
    c.data(0, kToServer, 0, run('a', 100), {.dsn8 = false});
    c.join();
    // Ahead of the wrap's other side, then back: out-of-order data must not move what four bytes are expanded from.
    c.data(1, kToServer, 6000, run('C', 1000), {.dsn8 = false, .ack8 = false});
    c.data(0, kToServer, 100, run('A', 2000), {.dsn8 = false});
    c.data(1, kToServer, 4000, run('B', 2000), {.dsn8 = true});
    c.ack(1, kToClient, {.ack8 = false});
    c.data(0, kToServer, 2100, run('A', 1900), {.dsn8 = false});
    c.ack(0, kToClient, {.ack8 = false});
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), "a*100 A*3900 B*2000 C*1000");
    EXPECT_NO_ANOMALY(o);
    expect_agreement(c);
  }
}

TEST(Mapping, FirstDataInMpCapableRepeatsAndComesAgainAsDss) {
  Conversation c;
  c.handshake();
  for (uint32_t i = 0; i < 3; ++i) {
    c.data(0, kToServer, 8 * i, run(static_cast<char>('a' + i), 8),
           {.map_ssn = 1, .map_offset = 0, .map_length = 24, .in_capable = true});
  }
  c.now_ns += 1'000'000'000;
  c.data(0, kToServer, 16, run('c', 8), {.ssn = 17, .map_ssn = 1, .map_offset = 0, .map_length = 24});
  c.ack(0, kToClient);
  go_on(c, 24);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*8 b*8 c*8 T*6");
  EXPECT_EQ(o.record().stream[0].duplicate_bytes, 8u);
  EXPECT_NO_ANOMALY(o);
}

// --- what no correct sender does

TEST(Mapping, OnlyInALaterPureAckOfAJoinedSubflow) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('U', 6), {.map = false, .fate = Fate::kHostLost});
  Packet p = c.packet(1, kToServer);
  p.options = option::dss({.ack = {}, .dsn = c.dsn_of(kToServer, 4), .ssn = 1, .length = 6, .checksum = {}});
  c.send(1, kToServer, p);
  c.rst(1, kToClient, [](Packet& r) { r.options = option::tcp_rst(false, 6); });
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "unmapped_data");
}

TEST(Mapping, JoinedSubflowLosesItsOptions) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('B', 6));
  c.ack(1, kToClient);
  c.plain_data(1, kToServer, run('U', 6), {}, Fate::kHostLost);
  c.rst(1, kToClient, [](Packet& r) { r.options = option::tcp_rst(false, 6); });
  go_on(c, 10);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*6 T*6");
  EXPECT_ANOMALY(o, "unmapped_data");
  EXPECT_FALSE(o.record().fallback);
}

TEST(Mapping, LiesAheadOfTheData) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('M', 10), {.map_ssn = 15, .map_offset = 14, .map_length = 10});
  c.plain_data(0, kToServer, run('W', 10));
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 M*10 W*10");
  EXPECT_ANOMALY(o, "mapping_ahead_of_data");
  EXPECT_ANOMALY(o, "fallback");
  EXPECT_TRUE(o.record().fallback);
  EXPECT_TRUE(o.record().mptcp);
}

TEST(Mapping, SameSsnUnderAnotherDsnInTheMiddleOfAMapping) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('R', 4), {.map_length = 10});
  c.data(0, kToServer, 8, run('T', 6), {.map_ssn = 5, .map_offset = 104, .map_length = 10});
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 R*4 T*6");
  EXPECT_ANOMALY(o, "remapped_ssn");
  EXPECT_ANOMALY(o, "fallback");
}

TEST(Mapping, RetransmissionUnderAnotherDsnIsIgnored) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('M', 10));
  c.ack(0, kToClient);
  c.now_ns += 1'000'000'000;
  c.data(0, kToServer, 4, run('M', 10), {.ssn = 5, .map_offset = 14});
  c.ack(0, kToClient);
  go_on(c, 14);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 M*10 T*6");
  EXPECT_ANOMALY(o, "remapped_ssn");
  EXPECT_FALSE(o.record().fallback);
}

TEST(Mapping, MpCapableWithDataInMidStream) {
  Conversation c;
  c.handshake();
  c.data(0, kToServer, 0, run('a', 4), {.in_capable = true});
  c.ack(0, kToClient);
  go_on(c, 4);
  c.data(0, kToServer, 10, run('B', 6), {.in_capable = true});
  c.plain_data(0, kToServer, run('W', 6));
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6 B*6 W*6");
  EXPECT_ANOMALY(o, "mp_capable_mid_stream");
  EXPECT_ANOMALY(o, "fallback");
}

TEST(Mapping, DssOfIllegalLength) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('L', 6), {.ack8 = false, .change = [](Packet& p) {
                                          p.options.insert(p.options.end(), 3, 0);
                                          p.options[1] = static_cast<uint8_t>(p.options[1] + 3);
                                        }});
  c.plain_data(0, kToServer, run('T', 4));
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 L*6 T*4");
  EXPECT_ANOMALY(o, "dss_bad_length");
  EXPECT_ANOMALY(o, "fallback");
}

TEST(Mapping, OfTwoDssOptionsTheLastCounts) {
  ConversationConfig config;
  config.timestamps = false;
  Conversation c = established(config);
  const Bytes second = option::dss({.ack = {}, .dsn = c.dsn_of(kToServer, 10), .ssn = 5, .length = 6, .checksum = {}});
  c.data(0, kToServer, 4, run('D', 6), {.data_ack = false, .change = [&](Packet& p) { append(p.options, second); }});
  c.data(0, kToServer, 4, run('A', 6));
  c.ack(0, kToClient, {.data_ack = 16});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*6 D*6");
  EXPECT_ANOMALY(o, "duplicate_dss");
}

TEST(Mapping, InfiniteOnTheOnlySubflowMakesTheRestTcp) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('I', 10), {.map_length = 0});
  c.plain_data(0, kToServer, run('J', 10));
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 I*10 J*10");
  EXPECT_ANOMALY(o, "infinite_mapping");
  EXPECT_ANOMALY(o, "fallback");
  EXPECT_TRUE(o.record().fallback);
  EXPECT_NE(o.record().fallback_reason, "");
}

TEST(Mapping, InfiniteOnOneOfTwoEndsThatSubflow) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('I', 10), {.map_length = 0, .fate = Fate::kHostLost});
  c.rst(1, kToClient, [](Packet& r) { r.options = option::tcp_rst(false, 1); });
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "infinite_mapping");
  EXPECT_FALSE(o.record().fallback);
}

TEST(Mapping, DsnFarAheadOfTheWindow) {
  Conversation c = established(1);
  c.data(1, kToServer, 1 << 30, run('X', 6), {.fate = Fate::kHostLost});
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "dsn_out_of_window");
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
  EXPECT_EQ(o.record().stream[0].pending_bytes, 0u);
}

TEST(Mapping, DsnBeforeTheFirst) {
  for (const bool wide : {true, false}) {
    Conversation c = established(1);
    c.data(1, kToServer, uint64_t{0} - 100, run('X', 6), {.dsn8 = wide, .fate = Fate::kHostLost});
    go_on(c, 4);
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
    EXPECT_ANOMALY(o, "dsn_out_of_window");
  }
}

// --- DSS checksums

TEST(DssChecksum, RightOnesAreNoNews) {
  ConversationConfig config;
  config.server_wants_checksum = true;
  Conversation c = established(config, 1);
  c.data(1, kToServer, 4, run('M', 7), {.map_length = 20, .map_bytes = [] {
                                          Bytes all = run('M', 7);
                                          append(all, run('N', 13));
                                          return all;
                                        }()});
  c.data(1, kToServer, 11, run('N', 13), {.map = false});
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 M*7 N*13");
  EXPECT_TRUE(o.record().checksum);
  EXPECT_NO_ANOMALY(o);
}

TEST(DssChecksum, WrongOnTheOnlySubflowIsDeliveredAllTheSame) {
  ConversationConfig config;
  config.client_wants_checksum = true;
  Conversation c = established(config);
  c.data(0, kToServer, 4, run('K', 6), {.checksum_error = 1});
  Packet p = c.packet(0, kToClient);
  p.options = option::fail(c.dsn_of(kToServer, 4));
  c.send(0, kToClient, p);
  c.data(0, kToServer, 10, run('T', 4));
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 K*6 T*4");
  EXPECT_ANOMALY(o, "dss_checksum_bad");
  EXPECT_ANOMALY(o, "mp_fail");
}

TEST(DssChecksum, WrongOnAJoinedSubflowIsDiscarded) {
  ConversationConfig config;
  config.client_wants_checksum = true;
  Conversation c = established(config, 1);
  c.data(1, kToServer, 4, run('K', 6), {.checksum_error = 1, .fate = Fate::kHostLost});
  c.rst(1, kToClient, [&](Packet& r) {
    r.options = option::fail(c.dsn_of(kToServer, 4));
    append(r.options, option::tcp_rst(false, 6));
  });
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "dss_checksum_bad");
}

TEST(DssChecksum, PresentButNotNegotiated) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('K', 6), {.checksum = true});
  c.plain_data(0, kToServer, run('T', 4));
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 K*6 T*4");
  EXPECT_ANOMALY(o, "dss_checksum_unexpected");
  EXPECT_ANOMALY(o, "fallback");
}

TEST(DssChecksum, NegotiatedButAbsent) {
  ConversationConfig config;
  config.client_wants_checksum = true;
  Conversation c = established(config);
  c.data(0, kToServer, 4, run('K', 6), {.checksum = false});
  c.plain_data(0, kToServer, run('T', 4));
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 K*6 T*4");
  EXPECT_ANOMALY(o, "dss_checksum_missing");
  EXPECT_ANOMALY(o, "fallback");
}

TEST(DssChecksum, MpFailAloneHasNoEffect) {
  Conversation c = established();
  Packet p = c.packet(0, kToClient);
  p.options = option::fail(c.dsn_of(kToServer, 4));
  c.send(0, kToClient, p);
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "mp_fail");
  EXPECT_FALSE(o.record().fallback);
}

}  // namespace
}  // namespace mptap::test
