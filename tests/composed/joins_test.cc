// SPDX-License-Identifier: Apache-2.0
// Which subflows belong to a connection: tokens, HMACs, refusals, late captures, addresses.
#include "base.h"

namespace mptap::test {
namespace {

using event::Join;

TEST(Join, VerifiedWhoeverOpensIt) {
  for (const int version : {0, 1}) {
    for (const bool v6 : {false, true}) {
      ConversationConfig config;
      config.version = version;
      config.v6 = v6;
      Conversation c = established(config);
      const int by_client = c.join({.address_id = 7, .backup = true});
      const int by_server = c.join({.by_server = true, .address_id = 9});
      c.data(by_client, kToServer, 4, run('B', 5));
      c.data(by_server, kToServer, 9, run('C', 5));
      c.data(by_server, kToClient, 0, run('s', 5));
      c.ack(0, kToClient);
      c.ack(0, kToServer);
      const Outcome o = drive(c);
      EXPECT_EQ(o.delivered(kToServer), "a*4 B*5 C*5");
      EXPECT_EQ(o.delivered(kToClient), "s*5");
      const auto& r = o.record();
      EXPECT_EQ(r.version, version);
      EXPECT_EQ(r.token_client, c.numbers(kToServer).token);
      EXPECT_EQ(r.token_server, c.numbers(kToClient).token);
      ASSERT_EQ(r.subflows.size(), 3u);
      EXPECT_EQ(r.subflows[0].join, Join::kInitial);
      EXPECT_EQ(r.subflows[1].join, Join::kVerified);
      EXPECT_EQ(r.subflows[2].join, Join::kVerified);
      EXPECT_EQ(r.subflows[1].address_id, 7);
      EXPECT_EQ(r.subflows[2].address_id, 9);
      EXPECT_TRUE(r.subflows[1].backup);
      EXPECT_FALSE(r.subflows[2].backup);
      EXPECT_TRUE(r.subflows[2].opened_by_server);
      // The client's side of a subflow is its source, whoever opened it.
      EXPECT_EQ(r.subflows[2].dst.port, 40002);
      EXPECT_EQ(r.subflows[2].src.port, 5001);
      EXPECT_EQ((r.subflows[2].bytes), (std::array<uint64_t, 2>{5, 5}));
      EXPECT_NO_ANOMALY(o);
      expect_agreement(c);
    }
  }
}

TEST(Join, WrongHmacInTheThirdAckNeverMerges) {
  for (const int version : {0, 1}) {
    ConversationConfig config;
    config.version = version;
    Conversation c = established(config);
    const int bad = c.join_syn({.break_ack_mac = true});
    c.join_syn_ack(bad);
    c.join_ack(bad);
    c.data(bad, kToServer, 4, run('E', 6), {.fate = Fate::kHostLost});
    c.rst(bad, kToClient, [](Packet& p) { p.options = option::tcp_rst(false, 1); });
    go_on(c, 4);
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
    EXPECT_EQ(o.record().subflows.at(1).join, Join::kFailed);
    EXPECT_EQ(o.record().subflows.at(1).bytes[0], 6u);
    EXPECT_ANOMALY(o, "join_bad_hmac");
  }
}

TEST(Join, WrongHmacInTheSynAckNeverMerges) {
  Conversation c = established();
  const int bad = c.join_syn({.break_syn_ack_mac = true});
  c.join_syn_ack(bad);
  c.join_ack(bad);
  c.data(bad, kToServer, 4, run('E', 6), {.fate = Fate::kHostLost});
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_EQ(o.record().subflows.at(1).join, Join::kFailed);
  EXPECT_ANOMALY(o, "join_bad_hmac");
}

TEST(Join, RefusedByTheHost) {
  Conversation c = established();
  const int refused = c.join_syn();
  c.rst(refused, kToClient, [](Packet& p) { p.head.seq = 0; });
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
  EXPECT_EQ(o.record().subflows.at(1).join, Join::kFailed);
  EXPECT_ANOMALY(o, "join_refused");
}

TEST(Join, UnknownTokenStaysApart) {
  Conversation c = established();
  const int unknown = c.join_syn({.token = 0x12345678});
  c.rst(unknown, kToClient, [](Packet& p) {
    p.head.seq = 0;
    p.options = option::tcp_rst(false, 1);
  });
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_ANOMALY(o, "join_unknown_token");
  bool found = false;
  for (const auto& r : o.records) {
    if (r.token_server != c.numbers(kToClient).token) continue;
    found = true;
    EXPECT_EQ(runs(o.stream(r, kToServer)), "a*4 T*6");
    EXPECT_EQ(r.subflows.size(), 1u);
  }
  EXPECT_TRUE(found);
}

TEST(Join, DataRightBehindTheThirdAck) {
  Conversation c = established();
  const int early = c.join_syn();
  c.join_syn_ack(early);
  c.join_ack(early);
  c.data(early, kToServer, 4, run('B', 6));
  c.ack(early, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*6");
  EXPECT_EQ(o.record().subflows.at(1).join, Join::kVerified);
  EXPECT_ANOMALY(o, "join_data_early");
}

TEST(Join, BeforeAnyData) {
  Conversation c;
  c.handshake();
  const int second = c.join();
  c.data(second, kToServer, 0, run('B', 6));
  c.ack(second, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "B*6");
  EXPECT_EQ(o.record().subflows.at(1).join, Join::kVerified);
}

TEST(Join, UnverifiedWhereTheTapSawOneDirectionOnly) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('B', 6));
  c.ack(0, kToClient);
  std::erase_if(c.wire, [](const Sent& s) { return s.subflow == 1 && s.direction == kToClient; });
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*6");
  EXPECT_EQ(o.record().subflows.at(1).join, Join::kUnverified);
  expect_agreement(c);
}

TEST(Join, OverBurstsOfEverySize) {
  Conversation c = established(3);
  for (int i = 1; i < 4; ++i) c.data(i, kToServer, static_cast<uint64_t>(4 * i), run(static_cast<char>('A' + i), 4));
  c.ack(0, kToClient);
  for (const size_t burst : {1, 2, 7, 64}) {
    DriveOptions options;
    options.burst = burst;
    EXPECT_EQ(drive(c, options).delivered(kToServer), "a*4 B*4 C*4 D*4");
  }
}

// --- late captures

TEST(LateCapture, JoinsOfOneTokenAreOneConnection) {
  for (const int version : {0, 1}) {
    ConversationConfig config;
    config.version = version;
    Conversation c = established(config, 2);
    c.data(1, kToServer, 4, run('B', 6));
    c.data(2, kToServer, 10, run('C', 6));
    c.data(2, kToClient, 0, run('s', 6));
    c.ack(1, kToClient);
    c.ack(1, kToServer);
    std::erase_if(c.wire, [](const Sent& s) { return s.subflow == 0; });
    const Outcome o = drive(c);
    ASSERT_EQ(o.records.size(), 1u);
    const auto& r = o.records[0];
    EXPECT_TRUE(r.mptcp);
    ASSERT_EQ(r.subflows.size(), 2u);
    for (const auto& s : r.subflows) EXPECT_EQ(s.join, Join::kUnverified);
    EXPECT_EQ(r.token_server, c.numbers(kToClient).token);
    EXPECT_EQ(r.token_client, std::nullopt);
    EXPECT_EQ(runs(o.stream(r, kToServer)), "B*6 C*6");
    EXPECT_EQ(runs(o.stream(r, kToClient)), "s*6");
  }
}

TEST(LateCapture, TheFirstDataSeenNeedNotBeTheLowest) {
  Conversation c = established(2);
  c.data(2, kToServer, 10, run('C', 6));
  c.data(1, kToServer, 4, run('B', 6));
  c.ack(1, kToClient);
  std::erase_if(c.wire, [](const Sent& s) { return s.subflow == 0; });
  const Outcome o = drive(c);
  EXPECT_EQ(runs(o.stream(o.record(), kToServer)), "B*6 C*6");
}

TEST(LateCapture, TheJoinComesBeforeTheHandshakeOfItsConnection) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('B', 6));
  c.ack(0, kToClient);
  // Another port was faster.
  std::stable_partition(c.wire.begin(), c.wire.end(), [](const Sent& s) { return s.subflow == 1; });
  retime(c.wire);
  const Outcome o = drive(c);
  ASSERT_EQ(o.records.size(), 1u);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*6");
  EXPECT_EQ(o.record().subflows.size(), 2u);
}

// --- tokens of several connections

TEST(Tokens, OfTwoConnectionsCollide) {
  ConversationConfig one, other;
  one.server_key = other.server_key = 4711;
  one.client_key = 1;
  other.client_key = 2;
  other.network = 100;
  other.client_port = 50000;
  Conversation a = established(one), b = established(other);
  b.now_ns += 50'000;
  a.join();
  b.join();
  a.data(1, kToServer, 4, run('A', 6));
  b.data(1, kToServer, 4, run('B', 6));
  a.ack(0, kToClient);
  b.ack(0, kToClient);
  std::vector<Sent> wire = a.wire;
  for (Sent s : b.wire) {
    s.subflow += 2;
    wire.push_back(s);
  }
  std::stable_sort(wire.begin(), wire.end(), [](const Sent& x, const Sent& y) { return x.ns < y.ns; });
  const Outcome o = drive(wire);
  ASSERT_EQ(o.records.size(), 2u);
  EXPECT_EQ(runs(o.stream(o.records[0], kToServer)), "a*4 A*6");
  EXPECT_EQ(runs(o.stream(o.records[1], kToServer)), "a*4 B*6");
  for (const auto& r : o.records) {
    ASSERT_EQ(r.subflows.size(), 2u);
    EXPECT_EQ(r.subflows[1].join, Join::kVerified);
  }
  EXPECT_ANOMALY(o, "token_collision");
  EXPECT_EQ(differences(o, judge(wire)), "");
}

// --- addresses

TEST(Addresses, FluxDoesNotMatter) {
  Conversation c = established();
  for (uint8_t i = 1; i <= 6; ++i) {
    const std::array<uint8_t, 4> from{198, 18, i, 1}, to{203, 0, 113, i};
    JoinSpec spec;
    spec.by_server = i % 2 == 0;
    spec.address_id = i;
    spec.client = packet::Endpoint{packet::IpAddress::v4(from.data()), static_cast<uint16_t>(1000 + i)};
    spec.server = packet::Endpoint{packet::IpAddress::v4(to.data()), static_cast<uint16_t>(2000 + i)};
    const int subflow = c.join(spec);
    c.data(subflow, kToServer, uint64_t{4} * i, run(static_cast<char>('A' + i), 4));
    Packet p = c.packet(0, kToServer);
    p.options = option::remove_addr({i});
    c.send(0, kToServer, p);
  }
  c.ack(0, kToClient);
  const Outcome o = drive(c);
  EXPECT_EQ(o.delivered(kToServer), "a*4 B*4 C*4 D*4 E*4 F*4 G*4");
  EXPECT_EQ(o.record().subflows.size(), 7u);
}

void announce(Conversation& c, const packet::IpAddress& address, uint16_t port, Bytes mac, Direction d = kToClient) {
  Packet p = c.packet(0, d);
  p.options = option::add_addr({c.config().version, false, 5, address, port, std::move(mac)});
  c.send(0, d, p);
}

TEST(Addresses, AddAddrWithTheRightHmac) {
  const auto v4 = *packet::IpAddress::parse("192.0.2.77");
  const auto v6 = *packet::IpAddress::parse("2001:db8::77");
  Conversation c = established();
  announce(c, v4, 0, add_addr_mac(c.key(kToClient), c.key(kToServer), 5, v4, 0));
  announce(c, v4, 8080, add_addr_mac(c.key(kToClient), c.key(kToServer), 5, v4, 8080));
  announce(c, v6, 0, add_addr_mac(c.key(kToServer), c.key(kToClient), 5, v6, 0), kToServer);
  Packet echo = c.packet(0, kToServer);
  echo.options = option::add_addr({1, true, 5, v4, 0, {}});
  c.send(0, kToServer, echo);
  go_on(c, 4);
  EXPECT_NO_ANOMALY(drive(c));
}

TEST(Addresses, AddAddrInTheFormsOfOlderKernels) {
  const auto v4 = *packet::IpAddress::parse("192.0.2.77");
  Conversation c = established();
  Bytes leftmost = add_addr_mac(c.key(kToClient), c.key(kToServer), 5, v4, 0);
  leftmost.resize(8);
  announce(c, v4, 0, leftmost);
  announce(c, v4, 8080, add_addr_mac(c.key(kToClient), c.key(kToServer), 5, v4, 0));
  EXPECT_NO_ANOMALY(drive(c));
}

TEST(Addresses, AddAddrForged) {
  const auto v4 = *packet::IpAddress::parse("192.0.2.77");
  Conversation c = established();
  announce(c, v4, 0, Bytes(8, 0x66));
  go_on(c, 4);
  const Outcome o = drive(c);
  EXPECT_ANOMALY(o, "add_addr_bad_hmac");
  EXPECT_EQ(o.delivered(kToServer), "a*4 T*6");
}

TEST(Addresses, AddAddrForgedInVersion0) {
  ConversationConfig config;
  config.version = 0;
  const auto third = *packet::IpAddress::parse("192.0.2.77");
  Conversation c = established(config);
  announce(c, third, 0, {});
  EXPECT_NO_ANOMALY(drive(c));
  JoinSpec spec;
  const std::array<uint8_t, 4> client{10, 1, 1, 1};
  spec.client = packet::Endpoint{packet::IpAddress::v4(client.data()), 41000};
  spec.server = packet::Endpoint{third, 5001};
  c.join(spec);
  EXPECT_ANOMALY(drive(c), "add_addr_forged_v0");
}

TEST(Addresses, BackupIsWhatWasSignalledLast) {
  Conversation c = established(1);
  Packet p = c.packet(1, kToServer);
  p.options = option::prio(true);
  c.send(1, kToServer, p);
  EXPECT_TRUE(drive(c).record().subflows.at(1).backup);
  p = c.packet(1, kToServer);
  p.options = option::prio(false);
  c.send(1, kToServer, p);
  EXPECT_FALSE(drive(c).record().subflows.at(1).backup);
}

}  // namespace
}  // namespace mptap::test
