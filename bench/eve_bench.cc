// SPDX-License-Identifier: Apache-2.0
// What an event costs: its way through the queue, its line, and the same line through a JSON tree for comparison.
#include <benchmark/benchmark.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "event/community_id.h"
#include "event/eve.h"
#include "event/queue.h"

namespace mptap::event {
namespace {

Head head() {
  Head h;
  h.timestamp_ns = 1795514400'123456789;
  h.flow_id = 123456789;
  const uint8_t client[] = {10, 0, 1, 2}, server[] = {10, 0, 9, 1};
  h.src = {packet::IpAddress::v4(client), 40000};
  h.dst = {packet::IpAddress::v4(server), 80};
  h.packet_number = 12;
  return h;
}

Alert alert() {
  Alert a;
  a.head = head();
  a.sid = 1000001;
  a.signature = "MPTAP example: a pattern split across subflows";
  a.category = "Misc Attack";
  a.metadata = {{"tag", "split"}};
  a.references = {"url,example.com"};
  a.connection_id = "49f80838746ae4cf";
  a.stream_offset = 12345;
  a.match_size = 10;
  a.subflows = {0, 1};
  a.payload.assign(600, 'x');
  return a;
}

ConnectionRecord record() {
  ConnectionRecord r;
  r.head = head();
  r.connection_id = "49f80838746ae4cf";
  r.subflows.resize(2);
  r.visibility = 1.0;
  return r;
}

template <class E>
void line_of(benchmark::State& state, const E& event) {
  std::string out;
  for (auto _ : state) {
    out.clear();
    append_eve(out, event);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(out.size()) * static_cast<int64_t>(state.iterations()));
}

void eve_alert(benchmark::State& state) {
  line_of(state, alert());
}
void eve_record(benchmark::State& state) {
  line_of(state, record());
}

// The tree is copied, not built: less than a writer that begins with an event would pay.
void nlohmann_alert(benchmark::State& state) {
  std::string line;
  append_eve(line, alert());
  const auto tree = nlohmann::json::parse(line);
  for (auto _ : state) {
    const nlohmann::json copy = tree;
    benchmark::DoNotOptimize(copy.dump());
  }
  state.SetBytesProcessed(static_cast<int64_t>(line.size()) * static_cast<int64_t>(state.iterations()));
}

void community_id_of(benchmark::State& state) {
  const Head h = head();
  for (auto _ : state) benchmark::DoNotOptimize(community_id(h.src, h.dst));
}

void queue_push_pop(benchmark::State& state) {
  EventQueue queue({});
  Event event = alert();
  for (auto _ : state) {
    queue.push(std::move(event));
    queue.pop(event);
  }
}

// What a worker pays for an alert when the writer does not keep up.
void queue_full(benchmark::State& state) {
  EventQueue queue({.events = 2, .bytes = 1 << 20, .full = Full::kDrop});
  Event event = alert();
  while (queue.push(alert())) {
  }
  for (auto _ : state) benchmark::DoNotOptimize(queue.push(std::move(event)));
}

BENCHMARK(eve_alert);
BENCHMARK(eve_record);
BENCHMARK(nlohmann_alert);
BENCHMARK(community_id_of);
BENCHMARK(queue_push_pop);
BENCHMARK(queue_full);

}  // namespace
}  // namespace mptap::event

BENCHMARK_MAIN();
