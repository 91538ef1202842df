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

TEST(Join, ThatCannotWaitForItsConnectionStandsApart) {
  Conversation c = established(1);
  c.data(1, kToServer, 4, run('B', 6));
  c.ack(1, kToClient);
  std::erase_if(c.wire, [](const Sent& s) { return s.subflow == 0; });
  DriveOptions options;
  options.config.max_parked = 0;
  const Outcome o = drive(c, options);
  EXPECT_EQ(o.delivered(kToServer), "B*6");
  EXPECT_EQ(o.counters.limits[static_cast<size_t>(worker::Limit::kParkedJoins)], 1u);
  EXPECT_ANOMALY(o, "parked_limit");
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

// No SYN of any kind: the DSS options alone show what it is.
TEST(LateCapture, BeginsInTheMiddleOfASubflow) {
  for (const int version : {0, 1}) {
    for (const bool checksum : {false, true}) {
      ConversationConfig config;
      config.version = version;
      config.client_wants_checksum = checksum;
      Conversation c = established(config);
      const size_t begin = c.wire.size();
      c.data(0, kToServer, 4, run('B', 6));
      c.data(0, kToServer, 10, run('C', 6), {.map_length = 12, .map_bytes = run('C', 12)});
      c.data(0, kToServer, 16, run('C', 6), {.map = false});
      c.data(0, kToClient, 0, run('s', 6));
      c.ack(0, kToServer);
      c.ack(0, kToClient);
      c.close();
      c.wire.erase(c.wire.begin(), c.wire.begin() + static_cast<ptrdiff_t>(begin));
      const Outcome o = drive(c);
      ASSERT_EQ(o.records.size(), 1u);
      const auto& r = o.records[0];
      EXPECT_TRUE(r.mptcp);
      EXPECT_FALSE(r.fallback);
      EXPECT_EQ(r.checksum, checksum);
      ASSERT_EQ(r.subflows.size(), 1u);
      EXPECT_EQ(r.subflows[0].join, Join::kUnverified);
      EXPECT_EQ(r.subflows[0].src.port, 40000);
      EXPECT_EQ(r.token_server, std::nullopt);
      EXPECT_EQ(runs(o.stream(r, kToServer)), "B*6 C*12");
      EXPECT_EQ(runs(o.stream(r, kToClient)), "s*6");
      EXPECT_EQ(r.end, event::End::kDataFin);
      EXPECT_NO_ANOMALY(o);
    }
  }
}

// The mapping repeats on each segment of its burst: the first one seen is not the first one.
TEST(LateCapture, BeginsInTheMiddleOfABurst) {
  for (const bool more : {false, true}) {
    Conversation c = established();
    const size_t begin = c.wire.size() + 2;
    for (uint32_t i = 0; i < 4; ++i) {
      c.data(0, kToServer, 4 + 10 * i, run(static_cast<char>('A' + i), 10), {.map_ssn = 5, .map_offset = 4, .map_length = 40});
    }
    c.data(0, kToServer, 50, run('Z', 10));
    c.data(0, kToServer, 44, run('Y', 6));
    if (more) go_on(c, 60);
    c.wire.erase(c.wire.begin(), c.wire.begin() + static_cast<ptrdiff_t>(begin));
    const Outcome o = drive(c);
    EXPECT_EQ(o.delivered(kToServer), std::string("C*10 D*10 Y*6 Z*10") + (more ? " T*6" : ""));
    EXPECT_EQ(o.record().stream[0].missing_bytes, 0u);
    EXPECT_NO_ANOMALY(o);
  }
}

TEST(LateCapture, BeginsWithTheSynAckOfAJoin) {
  Conversation c = established(1);
  const size_t begin = c.wire.size() - 3;  // SYN/ACK, third ACK, its ACK
  c.data(1, kToServer, 4, run('B', 6));
  c.data(1, kToServer, 10, run('C', 6));
  c.ack(1, kToClient);
  c.wire.erase(c.wire.begin(), c.wire.begin() + static_cast<ptrdiff_t>(begin));
  const Outcome o = drive(c);
  EXPECT_TRUE(o.record().mptcp);
  EXPECT_EQ(o.delivered(kToServer), "B*6 C*6");
  EXPECT_EQ(o.record().subflows.at(0).join, Join::kUnverified);
}

TEST(LateCapture, DataLevelOrderCountsInTheMiddleOfASubflow) {
  Conversation c = established();
  const size_t begin = c.wire.size();
  c.data(0, kToServer, 14, run('D', 6));
  c.data(0, kToServer, 4, run('B', 10), {.dsn8 = false});
  c.data(0, kToServer, 26, run('F', 6));
  c.data(0, kToServer, 20, run('E', 6));
  c.ack(0, kToClient);
  c.wire.erase(c.wire.begin(), c.wire.begin() + static_cast<ptrdiff_t>(begin));
  EXPECT_EQ(drive(c).delivered(kToServer), "B*10 D*6 E*6 F*6");
}

TEST(LateCapture, BeginsInTheMiddleOfAMapping) {
  Conversation c = established();
  c.data(0, kToServer, 4, run('B', 6), {.map_length = 12});
  const size_t begin = c.wire.size();
  c.data(0, kToServer, 10, run('B', 6), {.map = false, .data_ack = false});
  c.data(0, kToServer, 22, run('D', 6));
  c.data(0, kToServer, 16, run('C', 6));
  c.ack(0, kToClient);
  c.wire.erase(c.wire.begin(), c.wire.begin() + static_cast<ptrdiff_t>(begin));
  const Outcome o = drive(c);
  EXPECT_TRUE(o.record().mptcp);
  EXPECT_EQ(o.delivered(kToServer), "B*6 D*6");  // where the first mapping's bytes stand cannot be known
}

TEST(LateCapture, PlainTcpStaysPlain) {
  Conversation c = established();
  c.wire.clear();
  c.plain_data(0, kToServer, run('p', 5));
  c.plain_data(0, kToClient, run('q', 5));
  c.ack(0, kToServer, {.with_dss = false});
  const Outcome o = drive(c);
  ASSERT_EQ(o.records.size(), 1u);
  EXPECT_FALSE(o.records[0].mptcp);
  EXPECT_EQ(runs(o.stream(o.records[0], kToServer)), "p*5");
}

TEST(LateCapture, JoinsOfOneTokenUnderDssChecksums) {
  ConversationConfig config;
  config.server_wants_checksum = true;
  Conversation c = established(config, 2);
  c.data(1, kToServer, 4, run('B', 6));
  c.data(2, kToServer, 10, run('C', 6));
  c.ack(1, kToClient);
  std::erase_if(c.wire, [](const Sent& s) { return s.subflow == 0; });
  const Outcome o = drive(c);
  EXPECT_EQ(runs(o.stream(o.record(), kToServer)), "B*6 C*6");
  EXPECT_TRUE(o.record().checksum);
  EXPECT_FALSE(o.has("dss_checksum_unexpected"));
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

// Two connections whose servers have one key, each with a join.
struct Colliding {
  Conversation a, b;
};

Colliding colliding() {
  ConversationConfig one, other;
  one.server_key = other.server_key = 4711;
  one.client_key = 1;
  other.client_key = 2;
  other.network = 100;
  other.client_port = 50000;
  Colliding pair{established(one), established(other)};
  pair.b.now_ns += 50'000;
  for (Conversation* c : {&pair.a, &pair.b}) {
    c->join();
    c->data(1, kToServer, 4, run(c == &pair.a ? 'A' : 'B', 6));
    c->ack(0, kToClient);
  }
  return pair;
}

// Subflows 0 and 1 are a's, 2 and 3 b's.
std::vector<Sent> merged(const Colliding& pair) {
  std::vector<Sent> wire = pair.a.wire;
  for (Sent s : pair.b.wire) {
    s.subflow += 2;
    wire.push_back(s);
  }
  std::stable_sort(wire.begin(), wire.end(), [](const Sent& x, const Sent& y) { return x.ns < y.ns; });
  return wire;
}

void expect_both(const std::vector<Sent>& wire) {
  const Outcome o = drive(wire);
  ASSERT_EQ(o.records.size(), 2u);
  for (const auto& r : o.records) {
    EXPECT_EQ(runs(o.stream(r, kToServer)), r.head.src.port == 40000 ? "a*4 A*6" : "a*4 B*6");
    ASSERT_EQ(r.subflows.size(), 2u);
    EXPECT_EQ(r.subflows[1].join, Join::kVerified);
  }
  EXPECT_ANOMALY(o, "token_collision");
}

TEST(Tokens, OfTwoConnectionsCollide) {
  const std::vector<Sent> wire = merged(colliding());
  expect_both(wire);
  EXPECT_EQ(differences(drive(wire), judge(wire)), "");
}

// The keys come late, in either order: the HMAC decides all the same, not who bore the token last.
TEST(Tokens, CollideAndTheKeysComeAfterTheJoins) {
  for (const int first : {0, 2}) {
    std::vector<Sent> wire = merged(colliding());
    std::stable_sort(wire.begin(), wire.end(), [first](const Sent& x, const Sent& y) {
      const auto rank = [first](const Sent& s) { return s.subflow % 2 == 1 ? 0 : s.subflow == first ? 1 : 2; };
      return rank(x) < rank(y);
    });
    retime(wire);
    expect_both(wire);
  }
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
