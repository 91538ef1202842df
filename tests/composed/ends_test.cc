// SPDX-License-Identifier: Apache-2.0
// How connections end: DATA_FIN, FAST_CLOSE, resets, silence; and what does not end them.
#include "base.h"

namespace mptap::test {
namespace {

using event::End;

TEST(End, DataFinBothWays) {
  Conversation c = established(1);
  go_on(c, 4);
  c.close();
  const Outcome o = drive(c);
  EXPECT_EQ(o.record().end, End::kDataFin);
  EXPECT_EQ(o.record().state, event::State::kClosed);
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
  EXPECT_NO_ANOMALY(o);
  expect_agreement(c);
}

TEST(End, DataFinOnDataOneWayAndAllSubflowsClosed) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('A', 6), {.fin = true});
  c.ack(0, kToClient);
  c.fin(0, kToServer);
  c.fin(0, kToClient);
  c.ack(0, kToServer, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*6");
  EXPECT_EQ(o.record().end, End::kDataFin);
}

TEST(End, OneDataFinAloneLeavesItOpen) {
  Conversation c = established();
  c.data_fin(0, kToServer);
  c.ack(0, kToClient);
  EXPECT_EQ(drive(c).record().end, End::kOpen);
}

TEST(End, NarrowDataFin) {
  Conversation c = established();
  c.ack(0, kToServer, {.fin = true, .dsn8 = false});
  c.ack(0, kToClient, {.fin = true, .dsn8 = false});
  c.ack(0, kToServer);
  EXPECT_EQ(drive(c).record().end, End::kDataFin);
}

TEST(End, DataFinBeforeTheLastDataAndMoreAfterIt) {
  Conversation c = established(1);
  c.ack(1, kToServer, {.fin = true, .fin_offset = 10});
  c.data(0, kToServer, 4, run('A', 6));
  c.data(0, kToServer, 10, run('X', 6));
  c.ack(0, kToClient, {.data_ack = 11});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*6");
  EXPECT_EQ(o.record().stream[0].bytes, 10u);
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
  EXPECT_ANOMALY(o, "data_after_data_fin");
}

TEST(End, TheFirstOfTwoDataFinsCounts) {
  Conversation c = established();
  c.ack(0, kToServer, {.fin = true, .fin_offset = 10});
  c.ack(0, kToServer, {.fin = true, .fin_offset = 16});
  c.data(0, kToServer, 4, run('A', 6));
  c.data(0, kToServer, 10, run('X', 6));
  c.ack(0, kToClient, {.data_ack = 11});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*6");
  EXPECT_ANOMALY(o, "data_fin_changed");
}

TEST(End, FastClose) {
  Conversation c = established(1);
  go_on(c, 4);
  c.fast_close(0, kToServer);
  c.rst(0, kToClient);
  c.rst(1, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.record().end, End::kFastClose);
  EXPECT_EQ(o.record().state, event::State::kClosed);
  EXPECT_NO_ANOMALY(o);
}

TEST(End, FastCloseFromTheServerAheadInTheWindow) {
  Conversation c = established();
  c.fast_close(0, kToClient, [](Packet& p) { p.head.seq += 3000; });
  c.rst(0, kToServer);
  EXPECT_EQ(drive(c).record().end, End::kFastClose);
}

TEST(End, FastCloseOnARst) {
  Conversation c = established();
  c.fast_close(0, kToServer, [](Packet& p) { p.head.flags = packet::kRst | packet::kAck; });
  EXPECT_EQ(drive(c).record().end, End::kFastClose);
}

TEST(End, FastCloseWithTheWrongKeyIsIgnored) {
  Conversation c = established();
  c.fast_close(0, kToServer, [](Packet& p) { p.options.back() ^= 1; });
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_EQ(o.record().end, End::kOpen);
  EXPECT_ANOMALY(o, "fastclose_wrong_key");
}

TEST(End, FastCloseOutsideTheWindowIsIgnored) {
  Conversation c = established();
  c.fast_close(0, kToServer, [](Packet& p) { p.head.seq += 0x10000000; });
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_EQ(o.record().end, End::kOpen);
  EXPECT_ANOMALY(o, "fastclose_out_of_window");
}

TEST(End, ResetOfAllSubflows) {
  Conversation c = established(2);
  for (int i = 0; i < 3; ++i) c.rst(i, kToServer);
  const Outcome o = drive(c);
  EXPECT_EQ(o.record().end, End::kReset);
  EXPECT_EQ(o.record().state, event::State::kClosed);
}

TEST(End, ResetOfOneSubflowDoesNotEndTheConnection) {
  Conversation c = established(1);
  // Ahead of the edge: what came out of order before the reset stays.
  c.data(0, kToServer, 10, run('B', 6));
  c.rst(0, kToServer);
  c.rst(0, kToClient);
  c.data(1, kToServer, 4, run('A', 6));
  c.ack(1, kToClient);
  go_on(c, 16, 1);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 A*6 B*6 T*6");
  EXPECT_EQ(o.record().end, End::kOpen);
}

TEST(End, FinOfOneSubflowDoesNotEndTheConnection) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('B', 6));
  c.fin(1, kToServer);
  c.fin(1, kToClient);
  c.ack(1, kToServer, {.with_dss = false});
  go_on(c, 10);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*6 T*6");
  EXPECT_EQ(o.record().end, End::kOpen);
  EXPECT_NO_ANOMALY(o);
}

TEST(End, Timeout) {
  Conversation c = established();
  DriveOptions options;
  options.silence_ns = options.config.idle_ns * 2;
  EXPECT_EQ(drive(c, options).record().end, End::kTimeout);
}

TEST(End, OpenWhenTheCaptureEnds) {
  const Outcome o = drive(established());
  EXPECT_EQ(o.record().end, End::kOpen);
  EXPECT_EQ(o.record().state, event::State::kEstablished);
}

TEST(End, AnOpenSubflowEndsForNowWithItsLastPacket) {
  Conversation c = established(2);
  go_on(c, 4);
  const uint64_t last = c.wire.back().ns;
  c.fin(1, kToServer);  // half closed
  c.rst(2, kToServer);
  const uint64_t reset = c.wire.back().ns;
  const Outcome o = drive(c);
  EXPECT_EQ(o.record().subflows.at(0).end_ns, last);
  EXPECT_EQ(o.record().subflows.at(1).end_ns, reset - c.config().step_ns);
  EXPECT_EQ(o.record().subflows.at(2).end_ns, reset);
}

TEST(End, ReasonOfAResetIsKept) {
  Conversation c = established(1);
  c.rst(1, kToClient, [](Packet& p) { p.options = option::tcp_rst(false, 4); });
  const Outcome o = drive(c);
  EXPECT_NE(o.record().subflows[1].reset_reason, "");
  EXPECT_EQ(o.record().subflows[0].reset_reason, "");
}

TEST(End, ThePortsAreUsedAgain) {
  Conversation first = established(1);
  first.close();
  ConversationConfig config;
  config.client_key = 77;
  config.server_key = 78;
  config.client_isn = 0x70000000;
  config.server_isn = 0x60000000;
  config.start_ns = first.now_ns + 60'000'000'000;
  Conversation second = established(config, 1);
  second.data(0, kToServer, 4, run('B', 5));
  second.close();
  std::vector<Sent> wire = first.wire;
  wire.insert(wire.end(), second.wire.begin(), second.wire.end());
  const Outcome o = drive(wire);
  ASSERT_EQ(o.records.size(), 2u);
  EXPECT_EQ(runs(o.stream(o.records[0], kToServer)), "a*4");
  EXPECT_EQ(runs(o.stream(o.records[1], kToServer)), "a*4 B*5");
  EXPECT_EQ(differences(o, judge(wire)), "");
}

}  // namespace
}  // namespace mptap::test
