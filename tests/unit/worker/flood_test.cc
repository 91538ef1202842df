// SPDX-License-Identifier: Apache-2.0
// Floods: memory stays within the limits, and a connection that was there before goes on byte-exact.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>

#include "crew/crew.h"

namespace mptap::test {
namespace {

constexpr int kPackets = 120'000, kWarm = 40'000;
constexpr uint32_t kConnections = 2000, kSubflows = 4000;

uint64_t resident_mib() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) >> 20;
}

// Counts; keeps only the stream of the connection from this port.
class Watcher final : public worker::Listener {
 public:
  void on_record(const event::ConnectionRecord& r) override {
    ++records;
    if (r.head.src.port == 40000) bystander = r;
  }
  void on_alert(const event::Alert&) override {}
  void on_anomaly(const event::Anomaly& a) override { ++anomalies[static_cast<size_t>(a.type)]; }
  void on_engine(const event::EngineEvent& e) override { engine.push_back(e); }

  uint64_t records = 0;
  event::ConnectionRecord bystander;
  std::array<uint64_t, static_cast<size_t>(event::AnomalyType::kCount)> anomalies{};
  std::vector<event::EngineEvent> engine;
};

void set(Bytes& frame, size_t at, uint64_t number, int size) {
  for (int i = 0; i < size; ++i) frame[at + static_cast<size_t>(i)] = static_cast<uint8_t>(number >> (8 * (size - 1 - i)));
}

constexpr size_t kSource = 14 + 12, kDestination = 14 + 16, kPorts = 14 + 20;

// Another client: an address of 11.0.0.0/8 and a port.
void from(Bytes& frame, uint32_t n) {
  set(frame, kSource, 0x0b000000u + n / 1000, 4);
  set(frame, kPorts, 1024 + n % 1000, 2);
}
void to(Bytes& frame, uint32_t n) {
  set(frame, kDestination, 0x0b000000u + n / 1000, 4);
  set(frame, kPorts + 2, 1024 + n % 1000, 2);
}

// flood(n): the n-th frames of it.
void expect_withstood(const std::function<std::vector<Bytes>(uint32_t)>& flood, const char* limit, const Conversation& before,
                      std::function<void(const Watcher&, const worker::EngineCounters&)> more = {}) {
  start_eal();
  worker::EngineConfig config;
  config.max_connections = kConnections;
  config.max_subflows = kSubflows;
  config.max_parked = 256;
  config.sha256 = true;
  config.decode.verify_tcp_checksum = config.decode.verify_ip_checksum = false;  // the flood's frames are patched
  Watcher watcher;
  auto engine = worker::Engine::create(config, nullptr, watcher);
  ASSERT_TRUE(engine) << engine.error();
  uint64_t clock = before.config().start_ns, number = 0, fed = 0;
  const auto feed = [&](const Bytes& frame) {
    const auto size = static_cast<uint32_t>(frame.size());
    const packet::Frame f{frame.data(), size, size, packet::LinkType::kEthernet, clock += 5000, ++number};
    (*engine)->process(std::span(&f, 1));
    ++fed;
  };
  Conversation c = before;
  size_t sent = 0, at = 0;
  const auto go_on = [&] {
    for (; at < c.wire.size(); ++at) feed(c.wire[at].frame);
  };
  const auto talk = [&](char letter) {
    for (int s = 0; s < c.subflows(); ++s) {
      c.data(s, kToServer, sent, run(letter, 100));
      c.ack(s, kToClient);
      sent += 100;
    }
    go_on();
  };
  go_on();
  uint64_t warm = 0;
  for (uint32_t n = 0; n < kPackets; ++n) {
    for (const Bytes& frame : flood(n)) feed(frame);
    if (n % 1000 == 0) talk(static_cast<char>('a' + n / 1000 % 26));
    if (n == kWarm) warm = resident_mib();
    ASSERT_LE((*engine)->open_connections(), kConnections);
  }
  const uint64_t hot = resident_mib();
  EXPECT_LE(hot, warm + 16) << "MiB resident after " << kWarm << " and after " << kPackets;
  c.close();
  go_on();
  const auto counters = (*engine)->counters();
  (*engine)->finish();
  const event::ConnectionRecord& r = watcher.bystander;
  EXPECT_EQ(r.stream[0].bytes, sent);
  EXPECT_EQ(r.stream[0].missing_bytes, 0u);
  EXPECT_EQ(r.end, event::End::kDataFin);
  EXPECT_GE(r.subflows.size(), static_cast<size_t>(c.subflows()));
  bool told = false;
  for (const auto& e : watcher.engine) {
    if (e.event != "limit_reached") continue;
    for (const auto& [name, value] : e.numbers) told = told || name == limit;
  }
  EXPECT_TRUE(told) << "no event of " << limit;
  EXPECT_LE(watcher.engine.size(), 40u) << "events are few";
  const auto& after = (*engine)->counters();
  EXPECT_EQ(after.frames, after.inspected + after.span_copies + after.ignored_no_flow + after.ignored_plain_tcp +
                              after.dropped_subflow_limit + after.dropped_connection_limit);
  if (more) more(watcher, counters);
}

Conversation established() {
  Conversation c;
  c.handshake();
  c.join();
  return c;
}

TEST(Flood, OfSynsWithMpCapable) {
  Conversation one;
  one.syn();
  const Bytes syn = one.wire[0].frame;
  expect_withstood(
      [&](uint32_t n) {
        std::vector<Bytes> frames(1, syn);
        from(frames[0], n);
        return frames;
      },
      "connections", established(),
      [](const Watcher&, const worker::EngineCounters& c) {
        EXPECT_GT(c.evicted_half_open + c.emergency_closed, uint64_t{kPackets} - kConnections - 10);
        EXPECT_GE(c.emergencies, 1u);
        EXPECT_EQ(c.dropped_connection_limit, 0u) << "newcomers are let in";
      });
}

TEST(Flood, OfJoinsWithUnknownTokens) {
  Conversation one;
  one.handshake();
  one.join();
  Bytes syn;
  for (const Sent& s : one.wire)
    if (s.subflow == 1 && syn.empty()) syn = s.frame;
  const uint32_t token = one.numbers(kToClient).token;
  size_t at = 54;
  while (at + 4 < syn.size() && number_at(&syn[at], 4) != token) ++at;
  ASSERT_LT(at + 4, syn.size());
  expect_withstood(
      [&](uint32_t n) {
        std::vector<Bytes> frames(1, syn);
        from(frames[0], n);
        set(frames[0], at, n * 2654435761u + 12345, 4);
        return frames;
      },
      "parked_joins", established(),
      [](const Watcher& w, const worker::EngineCounters&) {
        EXPECT_GT(w.anomalies[static_cast<size_t>(event::AnomalyType::kJoinUnknownToken)], 0u);
      });
}

TEST(Flood, OfJoinsWithWrongHmacs) {
  // Of the established connection's own token: SYN, SYN/ACK and ACK of a host that does not know the keys.
  Conversation c = established();
  Conversation forger = c;
  JoinSpec spec;
  spec.break_ack_mac = true;
  const int forged = forger.join(spec);
  std::vector<std::pair<Bytes, bool>> wire;
  for (const Sent& s : forger.wire)
    if (s.subflow == forged) wire.emplace_back(s.frame, s.direction == kToServer);
  ASSERT_GE(wire.size(), 3u);
  wire.resize(3);
  expect_withstood(
      [&](uint32_t n) {
        std::vector<Bytes> frames;
        for (const auto& [frame, forth] : wire) {
          frames.push_back(frame);
          forth ? from(frames.back(), n) : to(frames.back(), n);
        }
        return frames;
      },
      "subflows_per_connection", c,
      [](const Watcher& w, const worker::EngineCounters&) {
        EXPECT_GT(w.anomalies[static_cast<size_t>(event::AnomalyType::kJoinBadHmac)], 0u);
        EXPECT_LE(w.bystander.subflows.size(), 64u);
      });
}

}  // namespace
}  // namespace mptap::test
