// SPDX-License-Identifier: Apache-2.0
// Queues and the writer thread.
#include "event/writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <set>

#include "event/file_sink.h"
#include "event/outputs.h"
#include "event/queue.h"
#include "event/stdout_sink.h"
#include "sink_support.h"

namespace mptap::event {
namespace {

Alert alert(uint32_t sid) {
  Alert a;
  a.sid = sid;
  a.connection_id = "c";
  a.signature = "a signature that is too long for the string object itself";
  return a;
}

Anomaly anomaly() {
  Anomaly a;
  a.connection_id = "c";
  return a;
}

uint64_t of(const EventCounts& counts, EventType type) {
  return counts[static_cast<size_t>(type)];
}

// Keeps every line; slow on demand.
class MemorySink : public Sink {
 public:
  explicit MemorySink(std::chrono::microseconds per_write = {}) : Sink("memory"), delay_(per_write) {}
  void write(std::string_view lines, size_t count) override {
    std::this_thread::sleep_for(delay_);
    const std::lock_guard lock(mutex_);
    text_ += lines;
    wrote(count, lines.size());
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  const std::chrono::microseconds delay_;
  mutable std::mutex mutex_;
  std::string text_;
};

std::vector<uint32_t> sids(const std::string& lines) {
  std::vector<uint32_t> all;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    all.push_back(nlohmann::json::parse(line)["alert"]["signature_id"].get<uint32_t>());
  }
  return all;
}

struct Writer {
  explicit Writer(std::unique_ptr<Sink> s, const WriterOptions& options = {})
      : sink(s.get()), writer(outputs(std::move(s)), options) {}
  static std::vector<Output> outputs(std::unique_ptr<Sink> s) {
    std::vector<Output> all;
    all.push_back({std::move(s)});
    return all;
  }
  Sink* sink;
  EventWriter writer;
};

TEST(EventQueue, FirstInFirstOut) {
  EventQueue queue({});
  Event event;
  EXPECT_FALSE(queue.pop(event));
  for (uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(queue.push(alert(i)));
  EXPECT_GT(queue.bytes(), 3 * sizeof(Event));
  for (uint32_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(queue.pop(event));
    EXPECT_EQ(std::get<Alert>(event).sid, i);
  }
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(EventQueue, AnomaliesLeaveRoomForAlertsAndAlertsForRecords) {
  EventQueue queue({.events = 16, .bytes = 1U << 20, .full = Full::kDrop});
  for (int i = 0; i < 20; ++i) queue.push(anomaly());
  EXPECT_EQ(queue.pushed(), 8U);
  for (uint32_t i = 0; i < 20; ++i) queue.push(alert(i));
  EXPECT_EQ(queue.pushed(), 14U);
  for (int i = 0; i < 20; ++i) queue.push(ConnectionRecord{});
  EXPECT_EQ(queue.pushed(), 16U);
  EXPECT_EQ(of(queue.dropped(), EventType::kAnomaly), 12U);
  EXPECT_EQ(of(queue.dropped(), EventType::kAlert), 14U);
  EXPECT_EQ(of(queue.dropped(), EventType::kConnection), 18U);
}

TEST(EventQueue, BytesAreBoundedToo) {
  EventQueue queue({.events = 1024, .bytes = 100'000, .full = Full::kDrop});
  for (uint32_t i = 0; i < 100; ++i) {
    Alert a = alert(i);
    a.payload.assign(9000, 'p');
    queue.push(std::move(a));
    ASSERT_LE(queue.bytes(), 100'000U);
  }
  EXPECT_EQ(queue.pushed(), 9U);
  EXPECT_EQ(of(queue.dropped(), EventType::kAlert), 91U);
  Event event;
  while (queue.pop(event)) {
  }
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(EventQueue, WaitingLosesNothing) {
  EventQueue queue({.events = 4, .bytes = 1U << 20, .full = Full::kWait});
  std::thread producer([&] {
    for (uint32_t i = 0; i < 5000; ++i) queue.push(alert(i));
  });
  Event event;
  for (uint32_t next = 0; next < 5000;) {
    if (!queue.pop(event)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(std::get<Alert>(event).sid, next++);
    ASSERT_LE(queue.pushed() - queue.popped(), 4U);
  }
  producer.join();
  EXPECT_EQ(of(queue.dropped(), EventType::kAlert), 0U);
}

TEST(EventQueue, WaitingTakesAnEventAboveTheBoundAlone) {
  EventQueue queue({.events = 4, .bytes = 10, .full = Full::kWait});
  EXPECT_TRUE(queue.push(alert(1)));
}

TEST(EventQueue, ClosedRefusesAndCounts) {
  EventQueue queue({.events = 2, .bytes = 1U << 20, .full = Full::kWait});
  queue.push(alert(1));
  queue.push(alert(2));
  std::thread waiting([&] { EXPECT_FALSE(queue.push(alert(3))); });
  queue.close();
  waiting.join();
  EXPECT_EQ(of(queue.dropped(), EventType::kAlert), 1U);
}

TEST(EventWriter, EveryProducersEventsInItsOrder) {
  Writer w(std::make_unique<MemorySink>(),
           {.queue = {.events = 64, .bytes = 1U << 20, .full = Full::kWait}, .batch_bytes = 1000});
  std::vector<std::thread> producers;
  for (uint32_t p = 0; p < 4; ++p) {
    producers.emplace_back([&, p] {
      EventQueue& queue = w.writer.add_producer();
      for (uint32_t i = 0; i < 2000; ++i) queue.push(alert(p * 10000 + i));
    });
  }
  for (std::thread& t : producers) t.join();
  w.writer.flush();
  const std::vector<uint32_t> got = sids(static_cast<MemorySink*>(w.sink)->text());
  ASSERT_EQ(got.size(), 8000U);
  std::array<uint32_t, 4> next{};
  for (const uint32_t sid : got) ASSERT_EQ(sid % 10000, next[sid / 10000]++);
  EXPECT_EQ(of(w.writer.written(), EventType::kAlert), 8000U);
  EXPECT_EQ(w.sink->counters().lines, 8000U);
}

TEST(EventWriter, ASinkGetsTheTypesThatItWants) {
  std::vector<Output> outputs;
  Output alerts_only{std::make_unique<MemorySink>(), {}};
  alerts_only.types[static_cast<size_t>(EventType::kAlert)] = true;
  outputs.push_back(std::move(alerts_only));
  outputs.push_back({std::make_unique<MemorySink>()});
  EventWriter writer(std::move(outputs));
  writer.push(alert(1));
  writer.push(anomaly());
  writer.flush();
  EXPECT_EQ(writer.outputs()[0].sink->counters().lines, 1U);
  EXPECT_EQ(writer.outputs()[1].sink->counters().lines, 2U);
}

TEST(Outputs, WhatIsChosenIsOpened) {
  const TemporaryDirectory dir;
  OutputChoice choice;
  choice.file = dir / "eve.json";
  choice.unix_socket = dir / "socket";
  choice.to_syslog = true;
  choice.anomalies = false;
  std::vector<std::string> reported;
  auto outputs = open_outputs(choice, [&](const EngineEvent& e) { reported.push_back(e.message); });
  ASSERT_TRUE(outputs.has_value()) << outputs.error();
  ASSERT_EQ(outputs->size(), 3U);
  EXPECT_EQ((*outputs)[0].sink->name(), "file " + choice.file);
  EXPECT_EQ((*outputs)[1].sink->name(), "socket " + choice.unix_socket);
  EXPECT_EQ((*outputs)[2].sink->name(), "syslog /dev/log");
  (*outputs)[1].sink->write("{}\n", 1);
  EXPECT_EQ(reported.size(), 1U);
  outputs->resize(1);
  EventWriter writer(std::move(*outputs));
  writer.push(anomaly());
  writer.push(alert(1));
  writer.flush();
  EXPECT_EQ(writer.outputs()[0].sink->counters().lines, 1U);
}

TEST(Outputs, TheErrorNamesTheOneThatCannotBe) {
  OutputChoice choice;
  choice.file = "/nonexistent/eve.json";
  EXPECT_EQ(open_outputs(choice).error(), "/nonexistent/eve.json: No such file or directory");
  choice = {};
  EXPECT_TRUE(open_outputs(choice)->empty());
}

TEST(EventWriter, CloseWritesWhatIsThere) {
  const TemporaryDirectory dir;
  Writer w(std::move(*FileSink::open(dir / "eve.json")));
  for (uint32_t i = 0; i < 1000; ++i) w.writer.push(alert(i));
  w.writer.close();
  EXPECT_EQ(sids(contents(dir / "eve.json")).size(), 1000U);
  w.writer.push(alert(1));
  EXPECT_EQ(of(w.writer.dropped(), EventType::kAlert), 1U);
}

TEST(EventWriter, RotationUnderWritesLosesNothing) {
  const TemporaryDirectory dir;
  constexpr uint32_t kAlerts = 20'000;
  constexpr int kRotations = 10;
  Writer w(std::move(*FileSink::open(dir / "eve.json")),
           {.queue = {.events = 256, .bytes = 1U << 20, .full = Full::kWait}, .batch_bytes = 4096});
  std::atomic<bool> done{false};
  std::thread producer([&] {
    EventQueue& queue = w.writer.add_producer();
    for (uint32_t i = 0; i < kAlerts; ++i) queue.push(alert(i));
    done = true;
  });
  int rotations = 0;
  while (rotations < kRotations) {
    std::filesystem::rename(dir / "eve.json", dir / fmt::format("eve.json.{}", ++rotations));
    w.writer.reopen();
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(dir / "eve.json"); }));
    if (!done) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  producer.join();
  w.writer.close();
  std::set<uint32_t> all;
  size_t lines = 0;
  for (int i = 0; i <= kRotations; ++i) {
    const auto some = sids(contents(i == 0 ? dir / "eve.json" : dir / fmt::format("eve.json.{}", i)));
    lines += some.size();
    all.insert(some.begin(), some.end());
  }
  EXPECT_EQ(lines, kAlerts);
  EXPECT_EQ(all.size(), kAlerts);
  EXPECT_EQ(w.sink->counters().lost_lines, 0U);
}

TEST(EventWriter, AlertsByTheMillionIntoASlowSink) {
  constexpr size_t kBytes = 1U << 20;
  Writer w(std::make_unique<MemorySink>(std::chrono::milliseconds(20)),
           {.queue = {.events = 4096, .bytes = kBytes, .full = Full::kDrop}, .batch_bytes = 16384});
  EventQueue& queue = w.writer.add_producer();
  constexpr uint32_t kAlerts = 1'000'000;
  for (uint32_t i = 0; i < kAlerts; ++i) {
    queue.push(alert(i));
    ASSERT_LE(queue.bytes(), kBytes);
  }
  EXPECT_TRUE(queue.push(ConnectionRecord{})) << "a record still finds room";
  w.writer.close(std::chrono::seconds(60));
  EXPECT_GT(of(w.writer.dropped(), EventType::kAlert), 0U);
  EXPECT_EQ(of(w.writer.written(), EventType::kAlert) + of(w.writer.dropped(), EventType::kAlert), kAlerts);
  EXPECT_EQ(w.sink->counters().lines, of(w.writer.written(), EventType::kAlert) + 1);
}

TEST(EventWriter, CloseDoesNotWaitForASinkThatStandsStill) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const Descriptor reader(fds[0]), writer_end(fds[1]);
  Writer w(std::make_unique<StdoutSink>(writer_end.get()));
  for (uint32_t i = 0; i < 5000; ++i) w.writer.push(alert(i));  // more than a pipe holds
  const auto start = std::chrono::steady_clock::now();
  w.writer.close(std::chrono::milliseconds(200));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_EQ(w.sink->counters().lines + w.sink->counters().lost_lines, 5000U);
}

TEST(EventWriter, FaultsOfASinkDoNotReachTheProducer) {
  Writer w(std::move(*FileSink::open("/dev/full")));
  EventQueue& queue = w.writer.add_producer();
  for (uint32_t i = 0; i < 100; ++i) EXPECT_TRUE(queue.push(alert(i)));
  w.writer.flush();
  EXPECT_EQ(w.sink->counters().lost_lines, 100U);
}

}  // namespace
}  // namespace mptap::event
