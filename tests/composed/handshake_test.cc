// SPDX-License-Identifier: Apache-2.0
// MP_CAPABLE in all its forms, and the handshakes that end in plain TCP.
#include "base.h"

namespace mptap::test {
namespace {

void drop_mptcp(Packet& p) {
  Bytes kept;
  for (size_t i = 0; i < p.options.size();) {
    const size_t size = p.options[i] == 1 ? 1 : p.options[i + 1];
    if (p.options[i] != 30)
      kept.insert(kept.end(), p.options.begin() + static_cast<ptrdiff_t>(i),
                  p.options.begin() + static_cast<ptrdiff_t>(i + size));
    i += size;
  }
  p.options = kept;
}

// The only record; it need not be one of MPTCP.
void expect_bytes(const Outcome& o, const std::string& to_server) {
  ASSERT_EQ(o.records.size(), 1u);
  EXPECT_EQ(runs(o.stream(o.records[0], kToServer)), to_server);
}

TEST(Handshake, BothVersionsBothFamilies) {
  for (const int version : {0, 1}) {
    for (const bool v6 : {false, true}) {
      ConversationConfig config;
      config.version = version;
      config.v6 = v6;
      config.timestamps = !v6;
      Conversation c = established(config, 1);
      go_on(c, 4, 1);
      c.close();
      const Outcome o = drive(c);
      EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
      EXPECT_EQ(o.record().version, version);
      EXPECT_FALSE(o.record().fallback);
      EXPECT_EQ(o.record().visibility, 1.0);
      EXPECT_NO_ANOMALY(o);
      expect_agreement(c);
    }
  }
}

TEST(Handshake, ChecksumIsDemandedByEitherSide) {
  for (const bool by_server : {false, true}) {
    for (const int version : {0, 1}) {
      ConversationConfig config;
      config.version = version;
      (by_server ? config.server_wants_checksum : config.client_wants_checksum) = true;
      Conversation c = established(config, 1);
      go_on(c, 4, 1);
      const Outcome o = drive(c);
      EXPECT_TRUE(o.record().checksum);
      EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
      EXPECT_NO_ANOMALY(o);
    }
  }
}

TEST(Handshake, RetransmittedSynAndSynAck) {
  Conversation c;
  c.syn();
  c.now_ns += 1'000'000'000;
  c.syn();
  c.syn_ack();
  c.now_ns += 1'000'000'000;
  c.syn_ack();
  c.third_ack();
  c.data(0, kToServer, 0, run('a', 4));
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4");
  EXPECT_EQ(o.record().subflows.size(), 1u);
  EXPECT_NO_ANOMALY(o);
}

TEST(Handshake, ThirdAckLostAndDataInMpCapable) {
  Conversation c;
  c.syn();
  c.syn_ack();
  c.third_ack({}, Fate::kLost);
  c.data(0, kToServer, 0, run('a', 8), {.in_capable = true});
  c.ack(0, kToClient);
  go_on(c, 8);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*8 T*6");
  EXPECT_FALSE(o.record().fallback);
}

TEST(Handshake, ThirdAckLostAndDssOnlyFallsBack) {
  Conversation c;
  c.syn();
  c.syn_ack();
  c.third_ack({}, Fate::kLost);
  c.data(0, kToServer, 0, run('a', 8));
  c.ack(0, kToClient, {.with_dss = false});
  c.plain_data(0, kToServer, run('T', 4));
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  expect_bytes(o, "a*8 T*4");
  EXPECT_ANOMALY(o, "handshake_without_key");
}

TEST(Handshake, TheTapLostTheThirdAck) {
  // The host has it: the server's DATA_ACKs show that MPTCP is in use.
  Conversation c;
  c.syn();
  c.syn_ack();
  c.third_ack({}, Fate::kTapLost);
  c.data(0, kToServer, 0, run('a', 8));
  c.ack(0, kToClient);
  c.data(0, kToClient, 0, run('s', 8));
  c.ack(0, kToServer);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*8");
  EXPECT_EQ(o.delivered(kToClient), "s*8");
  EXPECT_TRUE(o.record().mptcp);
  EXPECT_FALSE(o.record().fallback);
}

TEST(Handshake, FastOpenDataComesFirst) {
  Conversation c;
  c.syn({}, run('F', 20));
  c.syn_ack();
  c.third_ack();
  c.data(0, kToServer, 0, run('a', 4));
  c.ack(0, kToClient);
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "F*20 a*4 T*6");
  EXPECT_EQ(o.record().stream[0].bytes, 30u);
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
  EXPECT_EQ(o.record().subflows[0].bytes[0], 30u);
  expect_agreement(c);
}

TEST(Handshake, FastOpenDataThatTheServerDidNotTakeComesAgain) {
  Conversation c;
  c.syn({}, run('F', 20));
  c.syn_ack([](Packet& p) { p.head.ack -= 20; });
  std::vector<Sent> begin = c.wire;
  // From here on as if the SYN had borne nothing.
  Conversation rest;
  rest.handshake();
  rest.data(0, kToServer, 0, run('F', 20));
  rest.ack(0, kToClient);
  go_on(rest, 20);
  begin.insert(begin.end(), rest.wire.begin() + 2, rest.wire.end());
  const Outcome o = drive(begin);
  EXPECT_EQ(o.delivered(kToServer), "F*20 T*6");
}

TEST(Handshake, PlainSynAckIsTcp) {
  Conversation c;
  c.syn();
  c.syn_ack(drop_mptcp);
  c.plain_data(0, kToServer, run('p', 5));
  c.plain_data(0, kToClient, run('q', 5));
  c.ack(0, kToServer, {.with_dss = false});
  const Outcome o = drive(c);
  expect_bytes(o, "p*5");
  EXPECT_EQ(runs(o.stream(o.records[0], kToClient)), "q*5");
  EXPECT_FALSE(o.records[0].mptcp);
}

TEST(Handshake, SynWithoutTheOptionIsTcp) {
  Conversation c;
  c.syn(drop_mptcp);
  c.syn_ack(drop_mptcp);
  c.plain_data(0, kToServer, run('p', 5));
  c.plain_data(0, kToServer, run('q', 5));
  c.ack(0, kToClient, {.with_dss = false});
  const Outcome o = drive(c);
  expect_bytes(o, "p*5 q*5");
  EXPECT_FALSE(o.records[0].mptcp);
  EXPECT_NO_ANOMALY(o);
}

TEST(Handshake, MirroredByAMiddlebox) {
  for (const int version : {0, 1}) {
    ConversationConfig config;
    config.version = version;
    if (version == 0) config.server_key = config.client_key;
    Conversation c(config);
    c.syn();
    c.syn_ack([&](Packet& p) {
      if (version == 0) return;
      drop_mptcp(p);
      append(p.options, option::capable({1, 1, {}, {}, {}, {}}));
    });
    c.plain_data(0, kToServer, run('p', 5));
    c.ack(0, kToClient, {.with_dss = false});
    const Outcome o = drive(c);
    expect_bytes(o, "p*5");
    EXPECT_FALSE(o.records[0].mptcp);
    EXPECT_ANOMALY(o, "mirrored_options");
  }
}

TEST(Handshake, NegotiatedDownToVersion0) {
  // The client offers version 1, gets no answer to it, and tries version 0 on another SYN.
  ConversationConfig config;
  config.version = 0;
  Conversation c(config);
  Conversation first({.version = 1});
  first.syn();
  c.now_ns += 1'000'000'000;
  c.handshake();
  c.data(0, kToServer, 0, run('a', 4));
  c.ack(0, kToClient);
  std::vector<Sent> wire = first.wire;
  wire.insert(wire.end(), c.wire.begin(), c.wire.end());
  const Outcome o = drive(wire);
  EXPECT_EQ(o.delivered(kToServer), "a*4");
  EXPECT_EQ(o.record().version, 0);
}

// --- options stripped on the way

TEST(Stripped, FromTheSynAckBehindTheTap) {
  // The tap sees MP_CAPABLE in the SYN/ACK, the client does not: it goes on in plain TCP, and so does the server.
  Conversation c;
  c.syn();
  c.syn_ack();
  Packet p = c.packet(0, kToServer);
  c.send(0, kToServer, p);
  c.plain_data(0, kToServer, run('p', 5));
  c.plain_data(0, kToClient, run('q', 5));
  c.ack(0, kToServer, {.with_dss = false});
  const Outcome o = drive(c);
  expect_bytes(o, "p*5");
  EXPECT_EQ(runs(o.stream(o.records[0], kToClient)), "q*5");
  EXPECT_ANOMALY(o, "option_stripped");
}

TEST(Stripped, FromDataOfTheOnlySubflow) {
  Conversation c;
  c.handshake();
  c.plain_data(0, kToServer, run('p', 5));
  c.ack(0, kToClient, {.with_dss = false});
  c.plain_data(0, kToServer, run('q', 5));
  c.plain_data(0, kToClient, run('r', 5));
  c.ack(0, kToServer, {.with_dss = false});
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "p*5 q*5");
  EXPECT_EQ(o.delivered(kToClient), "r*5");
  EXPECT_TRUE(o.record().fallback);
  EXPECT_ANOMALY(o, "fallback");
}

TEST(Stripped, FromAJoin) {
  Conversation c = established();
  JoinSpec spec;
  spec.change_syn_ack = drop_mptcp;
  const int stripped = c.join_syn(spec);
  c.join_syn_ack(stripped);
  c.rst(stripped, kToServer);
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_ANOMALY(o, "option_stripped");
}

TEST(Fallback, InMidConnectionPlainBytesFollow) {
  Conversation c = established();
  go_on(c, 4);
  c.plain_data(0, kToServer, run('P', 10));
  c.ack(0, kToClient, {.with_dss = false});
  c.plain_data(0, kToClient, run('Q', 10));
  c.plain_data(0, kToServer, run('R', 10));
  c.ack(0, kToClient, {.with_dss = false});
  c.fin(0, kToServer);
  c.fin(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6 P*10 R*10");
  EXPECT_EQ(o.delivered(kToClient), "Q*10");
  EXPECT_TRUE(o.record().mptcp);
  EXPECT_TRUE(o.record().fallback);
  EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
}

TEST(PlainTcp, IsFollowedWithItsRetransmissions) {
  Conversation c;
  c.syn(drop_mptcp);
  c.syn_ack(drop_mptcp);
  c.plain_data(0, kToServer, run('p', 5));
  c.now_ns += 1'000'000'000;
  c.plain_data(0, kToServer, run('p', 5), [&](Packet& p) { p.head.seq = c.seq_of_ssn(0, kToServer, 1); });
  c.plain_data(0, kToServer, run('r', 5), [&](Packet& p) { p.head.seq = c.seq_of_ssn(0, kToServer, 11); });
  c.plain_data(0, kToServer, run('q', 5), [&](Packet& p) { p.head.seq = c.seq_of_ssn(0, kToServer, 6); });
  c.ack(0, kToClient, {.with_dss = false});
  c.fin(0, kToServer);
  c.fin(0, kToClient);
  const Outcome o = drive(c);
  expect_bytes(o, "p*5 q*5 r*5");
  EXPECT_EQ(o.records[0].stream[0].duplicate_bytes, 5u);
  expect_agreement(c);
}

TEST(PlainTcp, CanBeLeftAlone) {
  Conversation c;
  c.syn(drop_mptcp);
  c.syn_ack(drop_mptcp);
  c.plain_data(0, kToServer, run('p', 5));
  DriveOptions options;
  options.config.inspect_tcp = false;
  const Outcome o = drive(c, options);
  EXPECT_EQ(o.records.size(), 0u);
  EXPECT_EQ(o.counters.ignored_plain_tcp, 3u);
}

}  // namespace
}  // namespace mptap::test
