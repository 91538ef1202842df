// SPDX-License-Identifier: Apache-2.0
// Each limit of an engine is reached: the counter and the event say so, what it refuses is accounted for, and a connection that
// has nothing to do with it keeps its bytes. Near a limit the emergency timeouts hold. Limits between workers: hazards_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "crew/crew.h"

namespace mptap::test {
namespace {

using worker::Limit;

constexpr uint64_t kMs = 1'000'000, kSecond = 1'000'000'000;
constexpr uint64_t kStart = 1'700'000'000 * kSecond;

DriveOptions small() {
  DriveOptions o;
  o.own_limits = true;
  o.config.max_connections = 16;
  o.config.max_subflows = 64;
  return o;
}

Conversation::Config numbered(int n, uint64_t start = kStart) {
  Conversation::Config c;
  c.client_port = static_cast<uint16_t>(20000 + n);
  c.client_key += static_cast<uint64_t>(n) * 7919;
  c.server_key += static_cast<uint64_t>(n) * 104729;
  c.start_ns = start;
  return c;
}

// The bystander: begins first, goes on while the limit is met, ends last.
class Bystander {
 public:
  explicit Bystander(uint64_t until) : c_(numbered(0, kStart - kSecond)) {
    c_.handshake();
    const int second = c_.join();
    for (int i = 0; c_.now_ns < until; ++i) {
      const Bytes piece = run(static_cast<char>('a' + i % 26), 100);
      c_.data(i % 2 == 0 ? 0 : second, kToServer, sent_.size(), piece);
      append(sent_, piece);
      c_.ack(i % 2 == 0 ? 0 : second, kToClient);
      c_.now_ns += (until - kStart + kSecond) / 20;
    }
    c_.close();
  }
  const Conversation& traffic() const { return c_; }
  void expect_exact(const Outcome& o) const {
    for (const auto& r : o.records) {
      if (r.head.src.port != c_.config().client_port) continue;
      EXPECT_EQ(r.subflows.size(), 2u);
      EXPECT_EQ(o.stream(r, kToServer), sent_);
      EXPECT_EQ(r.end, event::End::kDataFin);
      return;
    }
    ADD_FAILURE() << "no record of the bystander";
  }

 private:
  Conversation c_;
  Bytes sent_;
};

uint64_t hits(const Outcome& o, Limit limit) {
  return o.counters.limits[static_cast<size_t>(limit)];
}

void expect_balance(const Outcome& o) {
  const auto& c = o.counters;
  const uint64_t decoded_away = std::accumulate(c.decode.begin() + 1, c.decode.end(), uint64_t{0});
  EXPECT_EQ(c.frames, decoded_away + c.inspected + c.span_copies + c.ignored_no_flow + c.ignored_plain_tcp +
                          c.dropped_subflow_limit + c.dropped_connection_limit);
}

Conversation open_connection(int n, uint64_t start) {
  Conversation c(numbered(n, start));
  c.handshake();
  c.data(0, kToServer, 0, run('x', 10));
  return c;
}

Conversation only_syn(int n, uint64_t start) {
  Conversation c(numbered(n, start));
  c.syn();
  return c;
}

std::vector<Sent> together(const Bystander& bystander, const std::vector<Conversation>& others) {
  std::vector<const Conversation*> all{&bystander.traffic()};
  for (const Conversation& c : others) all.push_back(&c);
  return merge(all);
}

TEST(Limits, ConnectionsBeyondAreRefused) {
  const Bystander bystander(kStart + kSecond);
  std::vector<Conversation> others;
  for (int i = 1; i <= 30; ++i) others.push_back(open_connection(i, kStart + static_cast<uint64_t>(i) * kMs));
  const Outcome o = drive(together(bystander, others), small());
  bystander.expect_exact(o);
  EXPECT_EQ(o.records.size(), 16u);
  EXPECT_GT(hits(o, Limit::kConnections), 0u);
  EXPECT_GT(o.counters.dropped_connection_limit, 0u);
  EXPECT_EQ(o.counters.evicted_half_open, 0u);
  EXPECT_TRUE(o.has("connection_limit")) << o.anomaly_names();
  EXPECT_TRUE(o.told("limit_reached", "connections"));
  expect_balance(o);
}

TEST(Limits, HalfOpenConnectionsMakeRoomOldestFirst) {
  const Bystander bystander(kStart + kSecond);
  std::vector<Conversation> others;
  for (int i = 1; i <= 200; ++i) others.push_back(only_syn(i, kStart + static_cast<uint64_t>(i) * 10'000));
  others.push_back(open_connection(300, kStart + 10 * kMs));
  const Outcome o = drive(together(bystander, others), small());
  bystander.expect_exact(o);
  EXPECT_EQ(o.counters.dropped_connection_limit, 0u);
  EXPECT_EQ(o.counters.evicted_half_open, 202u - 16u);
  EXPECT_EQ(o.records.size(), 202u);
  // Whoever came first went first.
  uint16_t port = 20001;
  for (const auto& r : o.records) {
    if (port > 20000 + 202 - 16) break;
    EXPECT_EQ(r.head.src.port, port++);
  }
  expect_balance(o);
}

TEST(Limits, SubflowsBeyondAreRefused) {
  const Bystander bystander(kStart + kSecond);
  std::vector<Conversation> others;
  for (int i = 1; i <= 30; ++i) others.push_back(open_connection(i, kStart + static_cast<uint64_t>(i) * kMs));
  DriveOptions options = small();
  options.config.max_subflows = 16;
  options.config.max_connections = 64;
  const Outcome o = drive(together(bystander, others), options);
  bystander.expect_exact(o);
  EXPECT_GT(hits(o, Limit::kSubflows), 0u);
  EXPECT_GT(o.counters.dropped_subflow_limit, 0u);
  EXPECT_TRUE(o.has("subflow_limit")) << o.anomaly_names();
  EXPECT_TRUE(o.told("limit_reached", "subflows"));
  expect_balance(o);
}

TEST(Limits, SubflowsOfAConnectionBeyondAreNoPartOfIt) {
  Conversation c(numbered(1));
  c.handshake();
  for (int i = 0; i < 5; ++i) c.join();
  c.data(0, kToServer, 0, run('a', 10));
  c.data(1, kToServer, 10, run('b', 10));
  c.ack(0, kToClient);
  DriveOptions options = small();
  options.config.connection.max_members = 3;
  const Outcome o = drive(c, options);
  EXPECT_EQ(o.record().subflows.size(), 3u);
  EXPECT_EQ(o.delivered(kToServer), "a*10 b*10");
  EXPECT_EQ(hits(o, Limit::kSubflowsPerConnection), 3u);
  EXPECT_TRUE(o.has("subflow_limit")) << o.anomaly_names();
  EXPECT_TRUE(o.told("limit_reached", "subflows_per_connection"));
  expect_balance(o);
}

// The join's packets first, the rest of the connection behind them.
std::vector<Sent> join_first(const Conversation& c, uint64_t at) {
  std::vector<Sent> wire;
  for (const Sent& s : c.wire)
    if (s.subflow == 1) wire.push_back(s);
  for (const Sent& s : c.wire)
    if (s.subflow == 0) wire.push_back(s);
  for (Sent& s : wire) s.ns = at += 10'000;
  return wire;
}

TEST(Limits, ParkedJoinsBeyondTheOldestGivesUp) {
  const Bystander bystander(kStart + kSecond);
  std::vector<Conversation> joiners;
  for (int i = 1; i <= 5; ++i) {
    Conversation c(numbered(i));
    c.handshake();
    c.join();
    joiners.push_back(std::move(c));
  }
  // Four whose connection never shows, then one whose does.
  std::vector<Sent> wire = bystander.traffic().wire;
  for (int i = 0; i < 4; ++i) {
    auto joins = join_first(joiners[static_cast<size_t>(i)], kStart + static_cast<uint64_t>(i) * kMs);
    joins.resize(4);
    wire.insert(wire.end(), joins.begin(), joins.end());
  }
  const auto late = join_first(joiners[4], kStart + 10 * kMs);
  wire.insert(wire.end(), late.begin(), late.end());
  std::stable_sort(wire.begin(), wire.end(), [](const Sent& a, const Sent& b) { return a.ns < b.ns; });
  DriveOptions options = small();
  options.config.max_parked = 2;
  const Outcome o = drive(wire, options);
  bystander.expect_exact(o);
  EXPECT_EQ(hits(o, Limit::kParkedJoins), 3u);
  EXPECT_TRUE(o.has("parked_limit")) << o.anomaly_names();
  EXPECT_TRUE(o.told("limit_reached", "parked_joins"));
  size_t whole = 0;
  for (const auto& r : o.records) whole += r.subflows.size() == 2;
  EXPECT_EQ(whole, 2u) << "the bystander and the one whose join came last";
  expect_balance(o);
}

TEST(Limits, ParkedBytesBeyondTheOldestGivesUp) {
  const Bystander bystander(kStart + kSecond);
  std::vector<Sent> wire = bystander.traffic().wire;
  for (int i = 1; i <= 8; ++i) {
    Conversation c(numbered(i));
    c.handshake();
    c.join();
    for (uint64_t n = 0; n < 8; ++n) c.data(1, kToServer, n * 1000, run('p', 1000));
    auto joins = join_first(c, kStart + static_cast<uint64_t>(i) * kMs);
    joins.resize(12);
    wire.insert(wire.end(), joins.begin(), joins.end());
  }
  std::stable_sort(wire.begin(), wire.end(), [](const Sent& a, const Sent& b) { return a.ns < b.ns; });
  DriveOptions options = small();
  options.config.parked_total_bytes = 40'000;
  const Outcome o = drive(wire, options);
  bystander.expect_exact(o);
  EXPECT_GT(hits(o, Limit::kParkedBytes), 0u);
  EXPECT_TRUE(o.told("limit_reached", "parked_bytes"));
  EXPECT_EQ(o.records.size(), 9u) << "each join that gave up is a connection of its own";
  expect_balance(o);
}

// A frame's IPv4 packet in two fragments.
std::vector<Bytes> fragments(const Bytes& frame, uint16_t id) {
  constexpr size_t kEthernet = 14, kIp = 20, kFirst = 40;
  std::vector<Bytes> out;
  const size_t total = frame.size() - kEthernet - kIp;
  for (const bool first : {true, false}) {
    const size_t from = first ? 0 : kFirst, size = first ? kFirst : total - kFirst;
    Bytes f(frame.begin(), frame.begin() + kEthernet + kIp);
    f.insert(f.end(), frame.begin() + static_cast<ptrdiff_t>(kEthernet + kIp + from),
             frame.begin() + static_cast<ptrdiff_t>(kEthernet + kIp + from + size));
    const auto put = [&](size_t at, uint16_t v) {
      f[kEthernet + at] = static_cast<uint8_t>(v >> 8);
      f[kEthernet + at + 1] = static_cast<uint8_t>(v);
    };
    put(2, static_cast<uint16_t>(kIp + size));
    put(4, id);
    put(6, static_cast<uint16_t>((first ? 0x2000 : 0) | from / 8));
    put(10, 0);
    uint32_t sum = 0;
    for (size_t i = 0; i < kIp; i += 2) sum += static_cast<uint32_t>(f[kEthernet + i] << 8 | f[kEthernet + i + 1]);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    put(10, static_cast<uint16_t>(~sum));
    out.push_back(std::move(f));
  }
  return out;
}

TEST(Limits, FragmentsBeyondTheOldestDatagramGoes) {
  const Bystander bystander(kStart + kSecond);
  // The bystander's data comes in fragments, and the first ones of many other datagrams never get the rest.
  std::vector<Sent> wire;
  uint16_t id = 1;
  Conversation other(numbered(1));
  other.handshake();
  other.data(0, kToServer, 0, run('x', 100));
  for (const Sent& s : bystander.traffic().wire) {
    if (s.frame.size() < 150) {
      wire.push_back(s);
      continue;
    }
    for (int i = 0; i < 4; ++i) wire.push_back({s.ns, 0, kToServer, fragments(other.wire.back().frame, id++)[0]});
    for (Bytes& f : fragments(s.frame, id++)) wire.push_back({s.ns, s.subflow, s.direction, std::move(f)});
  }
  DriveOptions options = small();
  options.config.decode.max_fragment_flows = 8;
  const Outcome o = drive(wire, options);
  bystander.expect_exact(o);
  EXPECT_GT(hits(o, Limit::kFragments), 10u);
  EXPECT_TRUE(o.told("limit_reached", "fragments"));
  expect_balance(o);
}

// Bytes ahead of a hole, on so many subflows. Nobody acknowledges what is ahead.
Conversation holey(int n, int subflows, int pieces) {
  Conversation c(numbered(n));
  c.handshake();
  for (int i = 1; i < subflows; ++i) c.join();
  c.data(0, kToServer, 0, run('a', 10));
  for (int i = 0; i < pieces; ++i) c.data(i % subflows, kToServer, 20 + static_cast<uint64_t>(i) * 1000, run('h', 1000));
  return c;
}

TEST(Limits, StreamBytesBeyondBecomeAHole) {
  const Bystander bystander(kStart + kSecond);
  std::vector<Conversation> others;
  others.push_back(holey(1, 1, 100));
  DriveOptions options = small();
  options.config.connection.stream.hold_bytes = 30'000;
  options.config.tcp.hold_bytes = 30'000;
  const Outcome o = drive(together(bystander, others), options);
  bystander.expect_exact(o);
  EXPECT_GT(hits(o, Limit::kStreamBytes), 10u);
  EXPECT_EQ(hits(o, Limit::kConnectionBytes), 0u);
  EXPECT_TRUE(o.has("reassembly_limit")) << o.anomaly_names();
  EXPECT_TRUE(o.told("limit_reached", "stream_bytes"));
  expect_balance(o);
}

TEST(Limits, ConnectionBytesBeyondBecomeAHole) {
  const Bystander bystander(kStart + kSecond);
  std::vector<Conversation> others;
  others.push_back(holey(1, 4, 100));
  DriveOptions options = small();
  options.config.connection.hold_bytes = 40'000;
  const Outcome o = drive(together(bystander, others), options);
  bystander.expect_exact(o);
  EXPECT_GT(hits(o, Limit::kConnectionBytes), 40u);
  EXPECT_EQ(hits(o, Limit::kStreamBytes), 0u);
  EXPECT_TRUE(o.has("reassembly_limit")) << o.anomaly_names();
  EXPECT_TRUE(o.told("limit_reached", "connection_bytes"));
  expect_balance(o);
}

TEST(Limits, WorkerBytesBeyondBecomeHolesOfWhoeverHoldsOn) {
  const Bystander bystander(kStart + kSecond);
  std::vector<Conversation> others;
  for (int i = 1; i <= 8; ++i) others.push_back(holey(i, 2, 50));
  DriveOptions options = small();
  options.config.hold_bytes = 100'000;
  const Outcome o = drive(together(bystander, others), options);
  bystander.expect_exact(o);
  EXPECT_GT(hits(o, Limit::kWorkerBytes), 100u);
  EXPECT_EQ(hits(o, Limit::kConnectionBytes), 0u);
  EXPECT_TRUE(o.told("limit_reached", "worker_bytes"));
  EXPECT_TRUE(o.told("emergency_on", "held_bytes"));
  expect_balance(o);
}

TEST(Emergency, ShorterTimeoutsHoldUntilATenthBelow) {
  DriveOptions options = small();
  options.config.max_connections = 20;
  options.config.half_open_ns = 30 * kSecond;
  options.config.idle_ns = 600 * kSecond;
  options.config.emergency_half_open_ns = 2 * kSecond;
  options.config.emergency_idle_ns = 20 * kSecond;
  std::vector<Conversation> all;
  // Six established and silent, twelve half-open: 90 % at 18.
  for (int i = 0; i < 6; ++i) all.push_back(open_connection(i, kStart + static_cast<uint64_t>(i) * kMs));
  for (int i = 6; i < 18; ++i) all.push_back(only_syn(i, kStart + static_cast<uint64_t>(i) * kMs));
  // One goes on, so that time does.
  Conversation alive(numbered(100));
  alive.handshake();
  for (int i = 0; i < 40; ++i) {
    alive.now_ns += kSecond;
    alive.data(0, kToServer, static_cast<uint64_t>(i) * 10, run('t', 10));
    alive.ack(0, kToClient);
  }
  std::vector<const Conversation*> pointers{&alive};
  for (const Conversation& c : all) pointers.push_back(&c);
  const Outcome o = drive(merge(pointers), options);
  EXPECT_EQ(o.counters.emergencies, 1u);
  EXPECT_GT(o.counters.emergency_closed, 0u);
  const auto timed_out =
      std::count_if(o.records.begin(), o.records.end(), [](const auto& r) { return r.end == event::End::kTimeout; });
  EXPECT_EQ(timed_out, 12) << "the half-open ones; then it is over, and the silent ones stay";
  EXPECT_EQ(o.counters.dropped_connection_limit, 0u);
  EXPECT_TRUE(o.told("emergency_on", "connections"));
  EXPECT_TRUE(o.told("emergency_off", "closed"));
  EXPECT_EQ(o.records.size(), 19u);
  for (const auto& r : o.records) {
    if (r.head.src.port == 20100) {
      EXPECT_EQ(o.stream(r, kToServer).size(), 400u);
    }
    if (r.head.src.port < 20006) {
      EXPECT_EQ(r.end, event::End::kOpen) << r.head.src.port;
    }
  }
}

TEST(Emergency, EstablishedOnesGoByTheShorterIdleTime) {
  DriveOptions options = small();
  options.config.max_connections = 10;
  options.config.emergency_idle_ns = 5 * kSecond;
  std::vector<Conversation> all;
  for (int i = 0; i < 8; ++i) all.push_back(open_connection(i, kStart + static_cast<uint64_t>(i) * kMs));
  Conversation alive(numbered(100));
  alive.handshake();
  for (int i = 0; i < 20; ++i) {
    alive.now_ns += kSecond;
    alive.data(0, kToServer, static_cast<uint64_t>(i) * 10, run('t', 10));
  }
  std::vector<const Conversation*> pointers{&alive};
  for (const Conversation& c : all) pointers.push_back(&c);
  const Outcome o = drive(merge(pointers), options);
  EXPECT_EQ(o.counters.emergencies, 1u);
  EXPECT_GT(o.counters.emergency_closed, 0u);
  EXPECT_TRUE(o.told("emergency_off"));
}

}  // namespace
}  // namespace mptap::test
