// SPDX-License-Identifier: Apache-2.0
// What can go wrong between workers, each reached on purpose: the counter and the event say so, every frame has one end, and
// bytes elsewhere are right. The table in NOTES.md says which hazard is tested where.
#include <gtest/gtest.h>

#include <algorithm>

#include "crew/crew.h"
#include "traffic/program.h"

namespace mptap::test {
namespace {

using packet::Endpoint;
using worker::Limit;

constexpr uint64_t kMs = 1'000'000, kSecond = 1'000'000'000;

Endpoint at(std::array<uint8_t, 4> address, uint16_t port) {
  return {packet::IpAddress::v4(address.data()), port};
}

CrewOptions of(unsigned workers) {
  CrewOptions o;
  o.workers = workers;
  o.engine.max_connections = o.engine.max_subflows = 1024;
  return o;
}

// A conversation whose first subflow falls to this worker. n tells them apart.
Conversation on(const Crew& crew, unsigned worker, uint16_t n, Conversation::Config c = {}) {
  c.client_port = static_cast<uint16_t>(10000 + 50 * n);
  while (crew.shard(at({10, 1, c.network, 1}, c.client_port), at({10, 1, c.network, 2}, c.server_port)) != worker)
    ++c.client_port;
  if (c.client_key == Conversation::Config{}.client_key) c.client_key += n * 7919u;
  if (c.server_key == Conversation::Config{}.server_key) c.server_key += n * 104729u;
  return Conversation(c);
}

// A join of it that falls to this worker.
int join_on(const Crew& crew, Conversation& c, unsigned worker, JoinSpec spec = {}) {
  const auto net = static_cast<uint8_t>(c.config().network + 100 + c.subflows());
  Endpoint client = at({10, 2, net, 1}, c.config().client_port);
  const Endpoint server = at({10, 2, net, 2}, 5001);
  while (crew.shard(client, server) != worker) ++client.port;
  spec.client = client;
  spec.server = server;
  return c.join(spec);
}

const event::ConnectionRecord& record_of(const Outcome& o, const Conversation& c) {
  for (const auto& r : o.records)
    if (r.mptcp && r.head.src.port == c.config().client_port && !r.subflows.empty() &&
        r.subflows[0].join == event::Join::kInitial)
      return r;
  throw std::runtime_error("no record of the connection from port " + std::to_string(c.config().client_port));
}

std::string delivered(const Outcome& o, const Conversation& c) {
  return runs(o.stream(record_of(o, c), kToServer));
}

std::vector<Sent> of_subflow(const Conversation& c, int subflow) {
  std::vector<Sent> wire;
  for (const Sent& s : c.wire)
    if (s.subflow == subflow) wire.push_back(s);
  return wire;
}

// A connection of two subflows on two workers, to be fed around the trouble.
struct Pair {
  Conversation c;
  int second;
  Bytes sent;

  Pair(const Crew& crew, unsigned first, unsigned other, uint16_t n, Conversation::Config config = {})
      : c(on(crew, first, n, config)) {
    c.handshake();
    second = join_on(crew, c, other);
  }
  // Five bytes on each subflow, acknowledged.
  void talk(char letter) {
    for (const int subflow : {0, second}) {
      c.data(subflow, kToServer, sent.size(), run(letter, 5));
      append(sent, run(letter, 5));
      c.ack(subflow, kToClient);
    }
  }
  // What is new since the last call.
  std::vector<Sent> fresh() {
    std::vector<Sent> wire(c.wire.begin() + static_cast<ptrdiff_t>(fed_), c.wire.end());
    fed_ = c.wire.size();
    return wire;
  }
  void expect_exact(const Outcome& o) const {
    EXPECT_EQ(delivered(o, c), runs(sent));
    EXPECT_EQ(record_of(o, c).subflows.size(), 2u);
    EXPECT_EQ(record_of(o, c).stream[0].missing_bytes, 0u);
  }

 private:
  size_t fed_ = 0;
};

TEST(Hazards, TokensOfTwoWorkersConnectionsCollideAndTheHmacDecides) {
  Crew crew(of(3));
  crew.start();
  Conversation::Config one, other;
  one.server_key = other.server_key = 4711;
  one.client_key = 1;
  other.client_key = 2;
  other.network = 50;
  Pair a(crew, 0, 2, 1, one), b(crew, 1, 2, 2, other);
  a.talk('A');
  b.talk('B');
  // Both connections are known before the first join comes.
  for (const Pair* p : {&a, &b}) crew.feed(of_subflow(p->c, 0));
  crew.settle();
  for (const Pair* p : {&a, &b}) crew.feed(of_subflow(p->c, p->second));
  crew.finish();
  const Outcome o = crew.outcome();
  a.expect_exact(o);
  b.expect_exact(o);
  EXPECT_EQ(record_of(o, a.c).subflows[1].join, event::Join::kVerified);
  EXPECT_EQ(record_of(o, b.c).subflows[1].join, event::Join::kVerified);
  EXPECT_EQ(crew.count(worker::kJoinsHeld), 2u);
  EXPECT_TRUE(o.has("token_collision")) << o.anomaly_names();
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, JoinsThatWaitForTheHmacAreBounded) {
  CrewOptions options = of(3);
  options.router.max_held = 1;
  Crew crew(options);
  crew.start();
  Conversation::Config one, other;
  one.server_key = other.server_key = 4711;
  one.client_key = 1;
  other.client_key = 2;
  other.network = 50;
  Pair a(crew, 0, 2, 1, one), b(crew, 1, 2, 2, other);
  Pair bystander(crew, 0, 1, 3);
  bystander.talk('x');
  for (const Pair* p : {&a, &b}) crew.feed(of_subflow(p->c, 0));
  crew.settle();
  // Only the SYNs of the joins.
  for (const Pair* p : {&a, &b}) crew.feed(of_subflow(p->c, p->second)[0]);
  crew.feed(bystander.fresh());
  crew.finish();
  const Outcome o = crew.outcome();
  bystander.expect_exact(o);
  EXPECT_EQ(crew.count(worker::kLimitHits[Limit::kHeldJoins]), 1u);
  EXPECT_TRUE(o.told("limit_reached", "held_joins"));
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, JoinBeforeItsConnectionIsPublished) {
  Crew crew(of(2));
  Pair p(crew, 0, 1, 1);
  for (const char letter : {'a', 'b', 'c'}) p.talk(letter);
  crew.start(1);
  crew.feed(of_subflow(p.c, p.second));
  crew.settle();
  EXPECT_EQ(crew.count(worker::kHandedOff), 0u);
  crew.feed(of_subflow(p.c, 0));
  crew.start(0);
  crew.settle();
  crew.finish();
  const Outcome o = crew.outcome();
  p.expect_exact(o);
  EXPECT_EQ(record_of(o, p.c).subflows[1].join, event::Join::kVerified);
  EXPECT_EQ(crew.count(worker::kJoinsParked), 1u);
  EXPECT_GT(crew.count(worker::kHandedOff), 0u) << "the claimer surrenders what waits";
  EXPECT_EQ(o.records.size(), 1u);
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, JoinsOfAConnectionThatIsNeverSeenAreOneConnection) {
  CrewOptions options = of(3);
  Crew crew(options);
  crew.start();
  Conversation c = on(crew, 0, 1);
  c.handshake();
  const int second = join_on(crew, c, 1), third = join_on(crew, c, 2);
  c.data(second, kToServer, 0, run('s', 6));
  c.data(third, kToServer, 6, run('t', 6));
  c.ack(second, kToClient);
  std::vector<Sent> wire = c.wire;
  std::erase_if(wire, [](const Sent& s) { return s.subflow == 0; });
  crew.feed(wire);
  crew.finish();
  const Outcome o = crew.outcome();
  ASSERT_EQ(o.records.size(), 1u) << "the first to claim the token owns its joins";
  EXPECT_EQ(o.records[0].subflows.size(), 2u);
  EXPECT_EQ(runs(o.stream(o.records[0], kToServer)), "s*6 t*6");
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, FullRingDropsCountsAndLeavesAHole) {
  CrewOptions options = of(3);
  options.fabric.segments = 64;
  options.wait = false;
  Crew crew(options);
  crew.start();
  Pair p(crew, 0, 1, 1), bystander(crew, 1, 2, 2);
  p.talk('a');
  bystander.talk('x');
  crew.feed(p.fresh());
  crew.feed(bystander.fresh());
  crew.settle();
  // The owner stands still at its next bytes, while the other subflow brings more than the ring holds.
  crew.pause(0);
  uint64_t offset = p.sent.size();
  p.c.data(0, kToServer, offset, run('o', 5));
  append(p.sent, run('o', 5));
  offset += 5;
  crew.feed(p.fresh());
  crew.wait_for_pause(0);
  for (int i = 0; i < 200; ++i, offset += 5) {
    p.c.data(p.second, kToServer, offset, run('h', 5));
    append(p.sent, run('h', 5));
  }
  crew.feed(p.fresh());
  while (crew.count(worker::kHandoffDropped) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  crew.resume(0);
  crew.settle();
  // The host had it all.
  p.c.ack(0, kToClient);
  p.c.now_ns += kSecond;
  p.talk('z');
  p.c.now_ns += kSecond;
  p.talk('z');
  bystander.talk('y');
  crew.feed(p.fresh());
  crew.feed(bystander.fresh());
  crew.finish();
  const Outcome o = crew.outcome();
  bystander.expect_exact(o);
  const auto& r = record_of(o, p.c);
  EXPECT_GT(r.stream[0].missing_bytes, 0u);
  EXPECT_EQ(r.stream[0].bytes + r.stream[0].missing_bytes, p.sent.size());
  EXPECT_EQ(r.stream[0].conflicting_bytes, 0u);
  const std::string bytes = delivered(o, p.c);
  EXPECT_EQ(bytes.substr(0, 9), "a*10 o*5 ");
  EXPECT_EQ(bytes.substr(bytes.size() - 5), " z*20");
  EXPECT_GT(crew.count(worker::kLimitHits[Limit::kSegmentLane]), 0u);
  EXPECT_TRUE(o.told("limit_reached", "segments"));
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, FullTokenMapLeavesJoinsWithTheirWorker) {
  CrewOptions options = of(2);
  options.fabric.tokens = 16;
  Crew crew(options);
  crew.start();
  Pair bystander(crew, 0, 1, 0);
  bystander.talk('x');
  crew.feed(bystander.fresh());
  crew.settle();
  for (uint16_t n = 1; n <= 20; ++n) {
    Pair p(crew, 0, 1, n);
    p.talk('p');
    crew.feed(p.c.wire);
  }
  bystander.talk('y');
  crew.feed(bystander.fresh());
  crew.finish();
  const Outcome o = crew.outcome();
  bystander.expect_exact(o);
  EXPECT_GT(crew.count(worker::kLimitHits[Limit::kTokens]), 0u);
  EXPECT_TRUE(o.told("limit_reached", "tokens"));
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, FullTableOfForeignSubflowsKeepsJoinsApart) {
  CrewOptions options = of(2);
  options.router.foreign = 4;
  Crew crew(options);
  crew.start();
  Pair bystander(crew, 0, 1, 0);
  bystander.talk('x');
  crew.feed(bystander.fresh());
  crew.settle();
  for (uint16_t n = 1; n <= 10; ++n) {
    Pair p(crew, 0, 1, n);
    p.talk('p');
    crew.feed(of_subflow(p.c, 0));
    crew.settle();
    crew.feed(of_subflow(p.c, p.second));
  }
  bystander.talk('y');
  crew.feed(bystander.fresh());
  crew.finish();
  const Outcome o = crew.outcome();
  bystander.expect_exact(o);
  EXPECT_GE(crew.count(worker::kLimitHits[Limit::kForeignSubflows]), 7u);
  EXPECT_TRUE(o.told("limit_reached", "foreign_subflows"));
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, StalledWorkerBoundsDeferredFreesThenInsertsAreRefused) {
  CrewOptions options = of(2);
  options.fabric.tokens = 32;
  options.engine.closed_ns = kMs;
  options.stall_ns = kMs;
  Crew crew(options);
  // The second one is a reader of the token map, and stands still.
  crew.fabric().tokens().readers().online(1);
  crew.start(0);
  Pair bystander(crew, 0, 0, 0);
  bystander.talk('x');
  crew.feed(bystander.fresh());
  crew.settle();
  const auto come_and_go = [&](uint16_t from, uint16_t to) {
    for (uint16_t n = from; n < to; ++n) {
      Conversation c = on(crew, 0, n);
      c.handshake();
      c.fast_close(0, kToServer);
      c.rst(0, kToClient);
      crew.feed(c.wire);
    }
    crew.pass(bystander.c.config().start_ns + to * 10 * kSecond);
    crew.settle();
  };
  come_and_go(1, 40);
  const auto& map = crew.fabric().tokens();
  EXPECT_GT(map.refused(), 0u);
  EXPECT_LE(map.size(), map.capacity());
  // It goes on: what it kept is free again.
  crew.fabric().tokens().readers().offline(1);
  const uint64_t refused = map.refused();
  bystander.talk('y');
  crew.feed(bystander.fresh());
  come_and_go(50, 55);
  EXPECT_EQ(map.refused(), refused);
  crew.finish();
  const Outcome o = crew.outcome();
  bystander.expect_exact(o);
  EXPECT_TRUE(o.told("limit_reached", "tokens"));
  EXPECT_EQ(crew.imbalance(), "");
}

// An ACK that passes bytes which another worker has not handed over yet.
Pair overtaken(Crew& crew) {
  Pair p(crew, 0, 1, 1);
  p.talk('a');
  crew.start();
  crew.feed(p.fresh());
  crew.settle();
  return p;
}

TEST(Hazards, AckOvertakesItsDataAndNoHoleIsDeclared) {
  Crew crew(of(3));
  Pair slow(crew, 1, 2, 2);  // keeps worker 1 standing still
  slow.talk('s');
  Pair p = overtaken(crew);
  crew.feed(slow.fresh());
  crew.settle();
  crew.pause(1);
  slow.talk('s');
  crew.feed(slow.fresh());
  crew.wait_for_pause(1);
  p.c.data(p.second, kToServer, p.sent.size(), run('b', 5));
  append(p.sent, run('b', 5));
  const std::vector<Sent> late = p.fresh();
  crew.feed(late);
  p.c.ack(0, kToClient);
  p.talk('c');
  std::vector<Sent> rest = p.fresh();
  for (const Sent& s : rest)
    if (s.subflow == 0) crew.feed(s);
  // Longer than any grace.
  for (int i = 1; i <= 10; ++i) {
    crew.pass(p.c.now_ns + static_cast<uint64_t>(i) * kSecond);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  crew.resume(1);
  for (const Sent& s : rest)
    if (s.subflow != 0) crew.feed(s);
  crew.settle();
  crew.finish();
  const Outcome o = crew.outcome();
  p.expect_exact(o);
  EXPECT_FALSE(o.has("hole_unseen_path")) << o.anomaly_names();
  EXPECT_FALSE(o.has("late_fill")) << o.anomaly_names();
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, AWorkerThatStandsStillTooLongIsWaitedForNoLonger) {
  CrewOptions options = of(3);
  options.stall_ns = 2 * kSecond;
  Crew crew(options);
  Pair slow(crew, 1, 2, 2);
  slow.talk('s');
  Pair p = overtaken(crew);
  crew.feed(slow.fresh());
  crew.settle();
  crew.pause(1);
  slow.talk('s');
  crew.feed(slow.fresh());
  crew.wait_for_pause(1);
  p.c.data(p.second, kToServer, p.sent.size(), run('b', 5));
  crew.feed(p.fresh());
  p.c.ack(0, kToClient);
  const uint64_t offset = p.sent.size() + 5;
  p.c.data(0, kToServer, offset, run('c', 5));
  p.c.ack(0, kToClient);
  crew.feed(p.fresh());
  for (int i = 1; i <= 20; ++i) {
    crew.pass(p.c.now_ns + static_cast<uint64_t>(i) * kSecond);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  crew.resume(1);
  crew.settle();
  crew.finish();
  const Outcome o = crew.outcome();
  EXPECT_EQ(delivered(o, p.c), "a*10 c*5");
  EXPECT_EQ(record_of(o, p.c).stream[0].missing_bytes, 5u);
  EXPECT_TRUE(o.has("late_fill")) << "what comes late is still inspected; there are: " << o.anomaly_names();
  EXPECT_EQ(crew.imbalance(), "");
}

TEST(Hazards, SecondCopiesOfASpanPortAreCountedApart) {
  CrewOptions options = of(3);
  Crew crew(options);
  crew.start();
  Pair p(crew, 0, 1, 1);
  for (const char letter : {'a', 'b', 'c'}) p.talk(letter);
  for (const Sent& s : p.c.wire) {
    crew.feed(s);
    crew.feed(s.frame, s.ns + 2000);
  }
  crew.finish();
  const Outcome o = crew.outcome();
  p.expect_exact(o);
  EXPECT_EQ(record_of(o, p.c).span_duplicates, p.c.wire.size());
  EXPECT_EQ(record_of(o, p.c).stream[0].duplicate_bytes, 0u);
  EXPECT_EQ(crew.count(worker::kSpanCopies), p.c.wire.size());
  EXPECT_EQ(crew.imbalance(), "");
}

// A connection ends while its segments are in a ring; its ports are used again; its token, too.
TEST(Hazards, ConnectionEndsWhileItsSegmentsAreInARing) {
  CrewOptions options = of(3);
  options.engine.closed_ns = 0;
  options.wait = false;
  Crew crew(options);
  crew.start();
  Pair p(crew, 0, 1, 1), again(crew, 0, 1, 1);
  Conversation filler = on(crew, 0, 9);
  filler.handshake();
  p.talk('a');
  crew.feed(p.fresh());
  crew.feed(filler.wire);
  crew.settle();
  crew.pause(0);
  filler.data(0, kToServer, 0, run('f', 5));
  crew.feed(filler.wire.back());
  crew.wait_for_pause(0);
  p.c.fast_close(0, kToServer);
  p.c.rst(0, kToClient);
  p.c.rst(p.second, kToClient);
  crew.feed(p.fresh());
  crew.pass(p.c.now_ns + 100 * kSecond);
  crew.resume(0);
  crew.settle();
  again.c.now_ns = p.c.now_ns + 200 * kSecond;
  for (Sent& s : again.c.wire) s.ns += p.c.now_ns - p.c.config().start_ns + 200 * kSecond;
  again.talk('n');
  crew.feed(again.fresh());
  crew.settle();
  crew.finish();
  const Outcome o = crew.outcome();
  size_t seen = 0;
  for (const auto& r : o.records) {
    if (!r.mptcp || r.head.src.port != p.c.config().client_port) continue;
    ++seen;
    const std::string bytes = runs(o.stream(r, kToServer));
    EXPECT_EQ(bytes, r.end == event::End::kFastClose ? "a*10" : "n*10");
  }
  EXPECT_EQ(seen, 2u);
  EXPECT_EQ(crew.imbalance(), "");
}

// The live counterpart of ordered_run_test: whoever a subflow falls to, the streams are one engine's.
TEST(Hazards, RandomAssignmentsGiveTheSameStreams) {
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    std::vector<uint8_t> bytes(8 * 120);
    uint32_t x = seed * 2654435761u;
    for (uint8_t& b : bytes) b = static_cast<uint8_t>((x = x * 1664525 + 1013904223) >> 24);
    Plan plan;
    plan.version = seed & 1;
    plan.subflows = static_cast<uint8_t>(2 + seed % 4);
    plan.by_server = static_cast<uint8_t>(seed);
    plan.checksum = seed % 3 == 0;
    plan.wrap = static_cast<uint8_t>(seed % 4);
    const Conversation c =
        play(plan, steps_from(bytes.data(), bytes.size()), {.conflicts = false, .losses = false, .copies = false});
    const Outcome expected = drive(c);

    CrewOptions options = of(4);
    options.fabric.shards.resize(256);
    for (uint16_t& shard : options.fabric.shards) shard = static_cast<uint16_t>((x = x * 1664525 + 1013904223) >> 24 & 3);
    Crew crew(options);
    crew.start();
    crew.feed(c.wire);
    crew.finish();
    const Outcome o = crew.outcome();
    EXPECT_EQ(crew.imbalance(), "");
    EXPECT_EQ(o.streams, expected.streams) << "seed " << seed;
    ASSERT_EQ(o.records.size(), expected.records.size()) << "seed " << seed;
    EXPECT_EQ(o.record().subflows.size(), expected.record().subflows.size()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace mptap::test
