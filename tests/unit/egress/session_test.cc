// SPDX-License-Identifier: Apache-2.0
// One connection on the egress, frame by frame.
#include "egress/session.h"

#include <gtest/gtest.h>

#include "naive_tcp.h"

namespace mptap::egress {
namespace {

using test::Bytes;
using test::NaiveTcp;
using test::run;
using test::text;
using test::to_text;

packet::Endpoint endpoint(uint8_t host, uint16_t port) {
  packet::Endpoint e;
  const uint8_t bytes[] = {10, 0, 0, host};
  e.address = packet::IpAddress::v4(bytes);
  e.port = port;
  return e;
}

struct Bench {
  explicit Bench(const OutletConfig& config = {}, size_t queue = 1 << 22, bool seen = true)
      : frames(queue), outlet(config, frames), session(outlet, endpoint(1, 40000), endpoint(2, 80), seen) {}

  void handshake() {
    session.know_isn(0, 0xfffffff0);  // wraps soon
    session.know_isn(1, 77);
    session.syn(1);
    session.syn_ack(2);
    session.establish(3);
  }
  NaiveTcp read() {
    NaiveTcp tcp;
    packet::Frame frame;
    for (; frames.front(frame); frames.pop()) tcp.add(frame);
    return tcp;
  }
  FrameQueue frames;
  Outlet outlet;
  Session session;
};

TEST(Session, TalksAsTheApplicationsDid) {
  Bench b;
  b.handshake();
  b.session.data(0, 0, text("request"), 10);
  b.session.settle(10);
  b.session.acknowledged(0, 7);
  b.session.data(1, 0, text("answer"), 20);
  b.session.settle(20);
  b.session.acknowledged(1, 6);
  b.session.settle(30);
  b.session.fin(0, 7, 40);
  b.session.settle(40);
  b.session.acknowledged(0, 8);
  b.session.fin(1, 6, 50);
  b.session.acknowledged(1, 7);
  b.session.settle(60);
  b.session.finish(60);
  const NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty()) << tcp.faults.front();
  ASSERT_EQ(tcp.connections.size(), 1u);
  const auto& c = tcp.connections[0];
  EXPECT_EQ(to_text(c.sides[0].bytes), "request");
  EXPECT_EQ(to_text(c.sides[1].bytes), "answer");
  EXPECT_EQ(c.sides[0].isn, 0xfffffff0u);
  EXPECT_EQ(c.sides[1].isn, 77u);
  // SYN, SYN/ACK, ACK, request, answer (which acknowledges), ACK, FIN, FIN (which acknowledges), ACK.
  EXPECT_EQ(c.times, (std::vector<uint64_t>{1, 2, 3, 10, 20, 30, 40, 50, 60}));
  for (const auto& side : c.sides) {
    EXPECT_TRUE(side.fin);
    EXPECT_EQ(side.acked, side.next);
  }
  EXPECT_EQ(b.outlet.counts.connections, 1u);
  EXPECT_FALSE(b.session.take_made_handshake());
}

TEST(Session, CutsSegmentsToTheSmallerMss) {
  Bench b;
  b.session.know_mss(0, 1400);
  b.session.know_mss(1, 1200);
  b.handshake();
  b.session.data(0, 0, run('a', 5000), 5);
  const NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty());
  EXPECT_EQ(tcp.frames, 3u + 5u);
  EXPECT_EQ(tcp.connections[0].sides[0].largest, 1200u);
}

TEST(Session, AcknowledgesNoMoreThanWasSent) {
  Bench b;
  b.handshake();
  // The DATA_ACK is ahead of the tap's data, which wait behind a hole.
  b.session.acknowledged(0, 3000);
  b.session.settle(5);
  b.session.data(0, 0, run('a', 1000), 6);
  b.session.settle(6);
  b.session.hole(0, 1000, 1000, 7);
  b.session.data(0, 2000, run('b', 1000), 7);
  b.session.settle(7);
  const NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty()) << tcp.faults.front();
  const auto& side = tcp.connections[0].sides[0];
  EXPECT_EQ(side.acked, 3001u);
  ASSERT_EQ(side.holes.size(), 1u);
  EXPECT_EQ(side.holes[0], (std::pair<uint64_t, uint64_t>{1000, 1000}));
}

TEST(Session, FillsHolesUpToALimit) {
  OutletConfig config;
  config.fill = uint8_t{'.'};
  config.fill_bytes = 10000;
  Bench b(config);
  b.handshake();
  b.session.hole(0, 0, 4, 5);
  b.session.data(0, 4, text("seen"), 5);
  b.session.hole(0, 8, 10001, 6);
  b.session.data(0, 10009, text("too"), 6);
  const NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty());
  EXPECT_EQ(to_text(tcp.connections[0].sides[0].bytes), "....seentoo");
  EXPECT_EQ(tcp.connections[0].sides[0].holes.size(), 1u);
  EXPECT_EQ(b.outlet.counts.filled_bytes, 4u);
  EXPECT_EQ(b.outlet.counts.hole_bytes, 10001u);
}

TEST(Session, ShortensAHoleThatWouldMakeNumbersLookOld) {
  Bench b;
  b.handshake();
  b.session.data(0, 0, text("a"), 4);
  b.session.hole(0, 1, 1ull << 40, 5);
  b.session.data(0, (1ull << 40) + 1, text("b"), 5);
  b.session.acknowledged(0, (1ull << 40) + 2);
  b.session.settle(6);
  const NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty()) << tcp.faults.front();
  ASSERT_EQ(tcp.connections[0].sides[0].holes.size(), 1u);
  EXPECT_EQ(tcp.connections[0].sides[0].holes[0].second, 1ull << 30);
  EXPECT_EQ(tcp.connections[0].sides[0].acked, tcp.connections[0].sides[0].next);
}

TEST(Session, MakesAHandshakeThatWasNotSeen) {
  Bench b({}, 1 << 20, false);
  b.session.data(1, 1ull << 40, text("late"), 9);
  EXPECT_TRUE(b.session.take_made_handshake());
  EXPECT_FALSE(b.session.take_made_handshake());
  const NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty());
  EXPECT_EQ(tcp.frames, 4u);
  EXPECT_EQ(to_text(tcp.connections[0].sides[1].bytes), "late");
  EXPECT_TRUE(tcp.connections[0].sides[1].holes.empty());
}

TEST(Session, ResetsAsItWasReset) {
  for (const int by : {0, 1}) {
    Bench b;
    b.handshake();
    b.session.data(0, 0, text("x"), 5);
    b.session.rst(by, 6);
    b.session.finish(7);
    const NaiveTcp tcp = b.read();
    EXPECT_TRUE(tcp.faults.empty());
    EXPECT_TRUE(tcp.connections[0].sides[by].rst);
    EXPECT_FALSE(tcp.connections[0].sides[1 - by].rst);
    EXPECT_EQ(tcp.connections[0].times.back(), 6u);
  }
  // A refused SYN.
  Bench b;
  b.session.syn(1);
  b.session.rst(1, 2);
  const NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty());
  EXPECT_EQ(tcp.frames, 2u);
  EXPECT_EQ(tcp.connections[0].sides[0].acked, 1u);
}

TEST(Session, AcknowledgesByItselfWhereNoAckIsSeen) {
  Bench b;
  b.handshake();
  for (uint64_t at = 0; at < 200000; at += 1000) b.session.data(0, at, run('a', 1000), 5);
  NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty());
  EXPECT_GT(tcp.connections[0].sides[0].acked, 100000u);
}

TEST(Session, WithoutRoomIsCutAsAWholeAndCounted) {
  Bench b({}, 1 << 20);
  b.handshake();
  uint64_t at = 0;
  for (; !b.session.cut(); at += 1000) b.session.data(0, at, run('a', 1000), 5);
  EXPECT_GT(at, 800000u);
  EXPECT_EQ(b.outlet.counts.cut, 1u);
  // Room again: the connection stays out, the next one is refused only while three quarters are full.
  Session refused(b.outlet, endpoint(1, 40001), endpoint(2, 80), true);
  EXPECT_TRUE(refused.cut());
  EXPECT_EQ(b.outlet.counts.refused, 1u);
  const uint64_t frames = b.outlet.counts.frames;
  NaiveTcp tcp = b.read();
  EXPECT_TRUE(tcp.faults.empty());
  b.session.data(0, at, run('a', 1000), 6);
  b.session.finish(7);
  EXPECT_EQ(b.outlet.counts.frames, frames);
  Session next(b.outlet, endpoint(1, 40002), endpoint(2, 80), true);
  EXPECT_FALSE(next.cut());
}

TEST(Session, SpeaksIpv6) {
  FrameQueue frames(1 << 20);
  Outlet outlet({}, frames);
  packet::Endpoint client, server;
  for (uint8_t i = 0; i < 16; ++i) {
    client.address.bytes[i] = static_cast<uint8_t>(0x20 + i);
    server.address.bytes[i] = static_cast<uint8_t>(0x30 + i);
  }
  client.port = 1;
  server.port = 2;
  ASSERT_FALSE(client.address.is_v4());
  Session s(outlet, client, server, true);
  s.data(0, 0, run('v', 3000), 1);
  NaiveTcp tcp;
  packet::Frame frame;
  for (; frames.front(frame); frames.pop()) tcp.add(frame);
  EXPECT_TRUE(tcp.faults.empty()) << tcp.faults.front();
  EXPECT_EQ(tcp.connections[0].sides[0].bytes.size(), 3000u);
  EXPECT_EQ(tcp.connections[0].sides[0].largest, 1440u);
}

}  // namespace
}  // namespace mptap::egress
