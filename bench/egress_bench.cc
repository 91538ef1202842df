// SPDX-License-Identifier: Apache-2.0
// What the egress costs the worker: the same frames in memory through two engines with a hundred rules, one without egress and
// one whose connections leave as TCP through the queue and the writer's thread into pcap files. Batch by batch, by turns, so that
// whatever else the machine does meets both. Prints cycles a packet, their ratio, and the memory before and after.
#include <sys/resource.h>
#include <unistd.h>
#include <x86intrin.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "egress/file_target.h"
#include "egress/outlet.h"
#include "egress/writer.h"
#include "port/eal.h"
#include "rules/ruleset.h"
#include "traffic.h"
#include "worker/engine.h"

namespace mptap::bench {
namespace {

class Quiet final : public worker::Listener {
 public:
  void on_record(const event::ConnectionRecord& r) override { bytes += r.stream[0].bytes; }
  void on_alert(const event::Alert&) override {}
  void on_anomaly(const event::Anomaly&) override {}
  uint64_t bytes = 0;
};

uint64_t resident_mib() {
  std::ifstream f("/proc/self/statm");
  uint64_t size = 0, pages = 0;
  f >> size >> pages;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) >> 20;
}

double middle(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const auto from = static_cast<ptrdiff_t>(v.size() / 4), to = static_cast<ptrdiff_t>(v.size()) - from;
  return std::accumulate(v.begin() + from, v.begin() + to, 0.0) / static_cast<double>(to - from);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

uint64_t cycles(worker::Engine& engine, std::span<const packet::Frame> frames) {
  constexpr size_t kBurst = 32;
  const uint64_t start = __rdtsc();
  for (size_t i = 0; i < frames.size(); i += kBurst) engine.process(frames.subspan(i, std::min(kBurst, frames.size() - i)));
  return __rdtsc() - start;
}

int program(int argc, char** argv) {
  CLI::App app{"The cost of the egress to a worker, packets preloaded in memory."};
  uint32_t connections = 1000, batches = 600, warm = 300;
  std::string rules = "bench/rules/100.rules", directory;
  app.add_option("--connections", connections, "connections at once");
  app.add_option("--batches", batches, "batches of 1,024 frames to measure");
  app.add_option("--warm", warm, "batches before them");
  app.add_option("--rules", rules, "rule file; empty: none");
  app.add_option("--directory", directory, "for the pcap files, three of at most 64 MiB")->required();
  CLI11_PARSE(app, argc, argv);
  const auto eal = port::Eal::start({.memory_mb = 1024});
  if (!eal) throw std::runtime_error(eal.error());
  std::shared_ptr<const rules::Ruleset> ruleset;
  if (!rules.empty()) {
    auto loaded = rules::load_ruleset(std::vector<std::string>{rules}, {});
    if (!loaded) throw std::runtime_error(loaded.error().message);
    ruleset = loaded->ruleset;
  }
  worker::EngineConfig config;
  config.decode.verify_tcp_checksum = false;  // the NIC's work
  config.max_connections = connections + 1024;
  config.max_subflows = 3 * connections + 1024;
  Quiet quiet[2];
  std::unique_ptr<worker::Engine> engines[2];
  for (int i = 0; i < 2; ++i) {
    auto made = worker::Engine::create(config, ruleset, quiet[i]);
    if (!made) throw std::runtime_error(made.error());
    engines[i] = std::move(*made);
  }
  auto target = egress::RotatingTarget::open({.directory = directory, .bytes = 64u << 20, .files = 3});
  if (!target) throw std::runtime_error(target.error());
  egress::Writer writer(std::move(*target), {.merge = false});
  egress::Outlet outlet({}, writer.add_queue(64u << 20));
  engines[1]->set_egress(&outlet);
  writer.start();

  Shape shape;
  shape.connections = connections;
  MptcpTraffic traffic(shape);
  Ring ring;
  const auto both = [&] {
    for (const auto& engine : engines) cycles(*engine, ring.frames());
  };
  while (traffic.open(ring)) both();
  while (traffic.join(ring)) both();
  uint64_t before = 0, peak = 0;
  std::vector<double> cost[2];
  uint64_t bytes = 0, frames = 0;
  for (uint32_t i = 0; i < warm + batches; ++i) {
    traffic.stream(ring);
    if (i == warm) before = resident_mib();
    if (i < warm) {
      both();
      continue;
    }
    // Whoever comes first finds the frames as DMA leaves them.
    for (const unsigned e : {i % 2, 1 - i % 2})
      cost[e].push_back(static_cast<double>(cycles(*engines[e], ring.frames())) / static_cast<double>(ring.frames().size()));
    for (const auto& f : ring.frames()) bytes += f.wire;
    frames += ring.frames().size();
    peak = std::max(peak, resident_mib());
  }
  for (const auto& engine : engines) engine->finish();
  writer.close();
  if (quiet[0].bytes != quiet[1].bytes) throw std::runtime_error("the two engines saw different streams");
  if (outlet.counts.cut + outlet.counts.refused > 0)
    throw std::runtime_error(fmt::format("{} connections cut, {} refused: the output is too slow for figures that mean something",
                                         outlet.counts.cut, outlet.counts.refused));
  fmt::print("{} connections, {} rules' file, {:.0f} bytes of frame in the mean\n", connections, rules.empty() ? "no" : rules,
             static_cast<double>(bytes) / static_cast<double>(frames));
  for (int e = 0; e < 2; ++e)
    fmt::print("{:<16} {:7.0f} median {:7.0f} mean of the middle half, cycles a packet\n", e ? "with egress" : "without egress",
               median(cost[e]), middle(cost[e]));
  fmt::print("throughput with egress: {:.1f} % of that without (medians), {:.1f} % (middle halves)\n",
             100 * median(cost[0]) / median(cost[1]), 100 * middle(cost[0]) / middle(cost[1]));
  const egress::OutletCounts& c = outlet.counts;
  fmt::print("egress: {} frames, {} MiB, {} connections, {} refused, {} cut; written {}\n", c.frames, c.bytes >> 20,
             c.connections, c.refused, c.cut, writer.written());
  fmt::print("memory: {} MiB before the measured batches, {} MiB at most during them\n", before, peak);
  return 0;
}

}  // namespace
}  // namespace mptap::bench

int main(int argc, char** argv) {
  try {
    return mptap::bench::program(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "egress_bench: {}\n", e.what());
    return 1;
  }
}
