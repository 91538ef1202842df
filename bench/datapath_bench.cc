// SPDX-License-Identifier: Apache-2.0
// What a packet costs on the data path of one worker, from the frame in memory to the stream. Frames are made before the clock
// starts, a receive ring's worth at a time, so that they lie in the caches as after DMA; TCP checksums count as verified by the
// NIC. Cycles are the thread's CPU time in ticks of the TSC, of batches of 1,024 frames in bursts of 32. What else runs on the
// machine still takes cache and memory from it, so the figures are the tenth percentile, the median, and the mean of the middle
// half.
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <fmt/format.h>
#include <hs/hs.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <numeric>

#include "port/eal.h"
#include "rules/ruleset.h"
#include "traffic.h"
#include "worker/engine.h"

namespace mptap::bench {
namespace {

constexpr size_t kBurst = 32;

struct Settings {
  uint32_t connections = 1000, batches = 300, warm = 300;
  bool software_checksums = false;
  std::string rules = "bench/rules/100.rules";
};

class Counts final : public worker::Listener {
 public:
  void on_record(const event::ConnectionRecord& r) override {
    ++records;
    bytes += r.stream[0].bytes;
    missing += r.stream[0].missing_bytes + r.stream[0].pending_bytes;
    odd += r.anomalies;
    mptcp += r.mptcp && r.subflows.size() > 1;
  }
  void on_alert(const event::Alert&) override { ++alerts; }
  void on_anomaly(const event::Anomaly&) override {}
  uint64_t records = 0, bytes = 0, missing = 0, odd = 0, mptcp = 0, alerts = 0;
};

double tsc_hz() {
  const auto from = std::chrono::steady_clock::now();
  const uint64_t start = __rdtsc();
  while (std::chrono::steady_clock::now() - from < std::chrono::milliseconds(50)) {
  }
  const uint64_t cycles = __rdtsc() - start;
  return static_cast<double>(cycles) / std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

double ticks_per_ns = 1;

// CPU time of this thread, in ticks.
uint64_t cpu_ticks() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<uint64_t>(static_cast<double>(t.tv_sec * 1'000'000'000 + t.tv_nsec) * ticks_per_ns);
}

uint64_t resident() {
  std::ifstream f("/proc/self/statm");
  uint64_t size = 0, pages = 0;
  f >> size >> pages;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Cycles per operation of each batch.
struct Samples {
  std::vector<double> cycles;
  uint64_t operations = 0, bytes = 0;

  void add(uint64_t total, uint64_t n, uint64_t size) {
    cycles.push_back(static_cast<double>(total) / static_cast<double>(n));
    operations += n;
    bytes += size;
  }
  double at(double share) const {
    auto c = cycles;
    std::sort(c.begin(), c.end());
    return c.empty() ? 0 : c[static_cast<size_t>(share * static_cast<double>(c.size() - 1))];
  }
  // What the machine's other work does to a batch is left out, what the data path does in some batches only is not.
  double middle() const {
    auto c = cycles;
    std::sort(c.begin(), c.end());
    const size_t from = c.size() / 4, to = c.size() - from;
    return std::accumulate(c.begin() + static_cast<ptrdiff_t>(from), c.begin() + static_cast<ptrdiff_t>(to), 0.0) /
           static_cast<double>(to - from);
  }
  void print(const std::string& what, double hz) const {
    const double size = operations ? static_cast<double>(bytes) / static_cast<double>(operations) : 0;
    const double m = middle(), median = at(0.5);
    fmt::print("{:<44} {:7.0f} {:7.0f} {:7.0f} {:7.0f} cycles  {:6.2f} Mpps  {:6.2f} Gbit/s\n", what, at(0.1), median, m, at(0.9),
               hz / median / 1e6, hz / median * size * 8 / 1e9);
    std::fflush(stdout);
  }
};

// Its name is what callgrind's --toggle-collect looks for.
__attribute__((noinline)) void timed_part(worker::Engine& engine, std::span<const packet::Frame> frames) {
  for (size_t i = 0; i < frames.size(); i += kBurst) engine.process(frames.subspan(i, std::min(kBurst, frames.size() - i)));
}

uint64_t bytes_of(std::span<const packet::Frame> frames) {
  uint64_t n = 0;
  for (const auto& f : frames) n += f.wire;
  return n;
}

void run(worker::Engine& engine, const Ring& ring, Samples& samples, uint64_t operations = 0) {
  const uint64_t start = cpu_ticks();
  timed_part(engine, ring.frames());
  const uint64_t end = cpu_ticks();
  samples.add(end - start, operations ? operations : ring.frames().size(), bytes_of(ring.frames()));
}

worker::EngineConfig engine_config(const Settings& s, uint32_t connections, uint32_t subflows) {
  worker::EngineConfig c;
  c.decode.verify_tcp_checksum = s.software_checksums;
  c.max_connections = connections + 1024;
  c.max_subflows = subflows + 1024;
  c.hold_bytes = 8ull << 30;
  return c;
}

std::unique_ptr<worker::Engine> engine_of(const worker::EngineConfig& config, Counts& counts,
                                          std::shared_ptr<const rules::Ruleset> rules = nullptr) {
  auto engine = worker::Engine::create(config, std::move(rules), counts);
  if (!engine) throw std::runtime_error(engine.error());
  return std::move(*engine);
}

void untimed(worker::Engine& engine, const Ring& ring) {
  for (const auto& f : ring.frames()) engine.process({&f, 1});
}

void check(worker::Engine& engine, const Counts& counts, const MptcpTraffic& traffic, uint32_t connections) {
  engine.finish();
  const uint64_t lacking = traffic.sent_bytes - counts.bytes - counts.missing;
  if (counts.records != connections || counts.mptcp != connections || counts.odd != 0 || lacking != 0) {
    throw std::runtime_error(fmt::format("{} records, {} of MPTCP, {} anomalies, {} bytes lacking: the figures are worth nothing",
                                         counts.records, counts.mptcp, counts.odd, lacking));
  }
}

void reassembly(const Settings& s, double hz) {
  Shape shape;
  shape.connections = s.connections;
  Counts counts;
  auto engine = engine_of(engine_config(s, s.connections, 3 * s.connections), counts);
  MptcpTraffic traffic(shape);
  Ring ring;
  Samples opening, joining, streaming;
  while (traffic.open(ring)) untimed(*engine, ring);
  while (traffic.join(ring)) untimed(*engine, ring);
  for (uint32_t i = 0; i < s.warm; ++i) {
    traffic.stream(ring);
    untimed(*engine, ring);
  }
  for (uint32_t i = 0; i < s.batches; ++i) {
    traffic.stream(ring);
    run(*engine, ring, streaming);
  }
  streaming.print(fmt::format("reassembly, {} connections{}", s.connections, s.software_checksums ? ", software checksums" : ""),
                  hz);
  fmt::print("  {:.0f} bytes of frame in the mean, {:.1f} % of the data segments ahead of the edge\n",
             static_cast<double>(streaming.bytes) / static_cast<double>(streaming.operations),
             100.0 * static_cast<double>(traffic.ahead) / static_cast<double>(traffic.data_segments));
  check(*engine, counts, traffic, s.connections);
}

// The same frames through the engine with rules, and their payloads through hs_scan_stream alone, by turns.
void scanning(const Settings& s, double hz) {
  auto loaded = rules::load_ruleset(std::vector<std::string>{s.rules}, {});
  if (!loaded) throw std::runtime_error(loaded.error().message);
  Shape shape;
  shape.connections = s.connections;
  Counts counts;
  auto engine = engine_of(engine_config(s, s.connections, 3 * s.connections), counts, loaded->ruleset);
  MptcpTraffic traffic(shape);
  Ring ring;
  Samples whole, alone;
  while (traffic.open(ring)) untimed(*engine, ring);
  while (traffic.join(ring)) untimed(*engine, ring);
  const hs_database_t* database = loaded->ruleset->database();
  hs_scratch_t* scratch = nullptr;
  std::vector<hs_stream_t*> streams(s.connections);
  if (hs_alloc_scratch(database, &scratch) != HS_SUCCESS) throw std::runtime_error("Hyperscan has no memory");
  for (auto& stream : streams) {
    if (hs_open_stream(database, 0, &stream) != HS_SUCCESS) throw std::runtime_error("Hyperscan has no memory");
  }
  const auto on_match = [](unsigned, unsigned long long, unsigned long long, unsigned, void*) { return 0; };
  const auto scan_alone = [&] {
    constexpr uint32_t kHeaders = 14 + 20 + 20 + 36;
    for (const auto& f : ring.frames()) {
      if (f.wire < 200) continue;
      uint32_t host = 0;
      std::memcpy(&host, f.data + 26, 4);
      const uint32_t source = __builtin_bswap32(host) & 0xffffff;
      const uint32_t port = static_cast<uint32_t>(f.data[34] << 8 | f.data[35]) - 1024;
      hs_scan_stream(streams[source << 8 | port], reinterpret_cast<const char*>(f.data + kHeaders), f.wire - kHeaders, 0, scratch,
                     on_match, nullptr);
    }
  };
  for (uint32_t i = 0; i < s.warm + s.batches; ++i) {
    traffic.stream(ring);
    if (i < s.warm) {
      untimed(*engine, ring);
      scan_alone();
      continue;
    }
    // The first of the two finds the frames as DMA leaves them, the second finds them in the core's own cache.
    if (i % 2) run(*engine, ring, whole);
    const uint64_t start = cpu_ticks();
    scan_alone();
    alone.add(cpu_ticks() - start, ring.frames().size(), bytes_of(ring.frames()));
    if (i % 2 == 0) run(*engine, ring, whole);
  }
  whole.print(fmt::format("100 literal rules, {} connections", s.connections), hz);
  alone.print("hs_scan_stream alone, the same bytes", hz);
  fmt::print("  {:.1f} % of the throughput of Hyperscan alone (middle halves), {:.1f} % (medians)\n",
             100 * alone.middle() / whole.middle(), 100 * alone.at(0.5) / whole.at(0.5));
  for (auto* stream : streams) hs_close_stream(stream, nullptr, nullptr, nullptr);
  hs_free_scratch(scratch);
  check(*engine, counts, traffic, s.connections);
}

void small(const Settings& s, double hz, uint32_t flows, bool payload) {
  Counts counts;
  auto engine = engine_of(engine_config(s, flows, flows), counts);
  SmallTraffic traffic(flows, payload);
  Ring ring;
  Samples samples;
  while (traffic.open(ring)) untimed(*engine, ring);
  for (uint32_t i = 0; i < s.warm + s.batches; ++i) {
    traffic.stream(ring);
    if (i < s.warm) {
      untimed(*engine, ring);
    } else {
      run(*engine, ring, samples);
    }
  }
  samples.print(fmt::format("64-byte packets, {} flows, {}", flows, payload ? "6 bytes of data" : "acknowledgements"), hz);
}

void connections(const Settings& s, double hz) {
  Shape shape;
  shape.connections = s.connections;
  shape.subflows = 2;
  Counts counts;
  const uint64_t before = resident();
  auto engine = engine_of(engine_config(s, s.connections, 2 * s.connections), counts);
  MptcpTraffic traffic(shape);
  Ring ring;
  const uint64_t own = resident() - before;
  Samples opening, joining;
  // The generator's own table is there before the first connection is.
  while (traffic.open(ring)) run(*engine, ring, opening, ring.frames().size() / 5);
  while (traffic.join(ring)) run(*engine, ring, joining, ring.frames().size() / 4);
  const uint64_t after = resident();
  fmt::print("{} connections with {} subflows: {:.0f} MiB, {:.0f} bytes a connection ({:.0f} MiB of tables before)\n",
             s.connections, shape.subflows, static_cast<double>(after - before) / 1048576,
             static_cast<double>(after - before - own) / s.connections, static_cast<double>(own) / 1048576);
  fmt::print("  {:.0f} connections/s, {:.0f} joins/s (medians), {} bytes held by streams\n", hz / opening.at(0.5),
             hz / joining.at(0.5), engine->memory_held());
  engine->finish();
  fmt::print("  {} connections with verified joins\n", counts.mptcp);
}

int program(int argc, char** argv) {
  CLI::App app{"What a packet costs on the data path, packets preloaded in memory."};
  Settings s;
  app.add_option("--connections", s.connections, "connections at once");
  app.add_option("--batches", s.batches, "batches of 1,024 frames to measure");
  app.add_option("--warm", s.warm, "batches before them");
  app.add_option("--rules", s.rules, "rule file of the scan");
  app.add_flag("--software-checksums", s.software_checksums, "verify TCP checksums as well");
  uint32_t flows = 131072;
  bool payload = false;
  app.require_subcommand(1);
  auto* sub_reassembly = app.add_subcommand("reassembly", "parse, subflow, stream; no rules");
  auto* sub_scan = app.add_subcommand("scan", "with rules, beside Hyperscan alone");
  auto* sub_small = app.add_subcommand("small", "64-byte packets of plain TCP");
  sub_small->add_option("--flows", flows, "TCP connections");
  sub_small->add_flag("--payload", payload, "six bytes of payload each, instead of acknowledgements");
  auto* sub_connections = app.add_subcommand("connections", "memory and joins of many connections");
  app.fallthrough();
  CLI11_PARSE(app, argc, argv);
  const auto eal = port::Eal::start({.memory_mb = 4096});
  if (!eal) throw std::runtime_error(eal.error());
  const double hz = tsc_hz();
  ticks_per_ns = hz / 1e9;
  fmt::print("TSC {:.3f} GHz; per packet: tenth percentile, median, mean of the middle half, ninetieth percentile\n", hz / 1e9);
  if (*sub_reassembly) reassembly(s, hz);
  if (*sub_scan) scanning(s, hz);
  if (*sub_small) small(s, hz, flows, payload);
  if (*sub_connections) connections(s, hz);
  return 0;
}

}  // namespace
}  // namespace mptap::bench

int main(int argc, char** argv) {
  try {
    return mptap::bench::program(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "datapath_bench: {}\n", e.what());
    return 1;
  }
}
