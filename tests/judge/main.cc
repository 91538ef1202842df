// SPDX-License-Identifier: Apache-2.0
// usage: judge [--count N] [--from SEED] [--seed N] [--stop N] [--pcap DIR]
//   --count N    so many scenarios (300); half of them have seeds from 1 on, the others fresh ones
//   --from SEED  seeds from here on instead
//   --seed N     one scenario, with all its packets written to DIR
//   --file F     the scenario in F, as a divergence is printed
//   --without A,B  leaves out steps and openings by name, "server": the peer as the server
//   --stop N     ends after so many divergences (5)
// The last line: N passed, N failed. Exit code 1 where the kernel and mptap differ.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "court.h"
#include "traffic/pcap.h"

using namespace mptap;
using namespace mptap::judge;

namespace {

struct Options {
  uint64_t count = 300, stop = 5;
  std::optional<uint64_t> from, seed;
  std::string pcap, file;
  std::vector<std::string> without;
};

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

int run(const Options& o) {
  World world;
  Tally tally;
  const uint64_t fresh = std::random_device{}() * 1'000'000ull;
  const uint64_t count = o.seed || !o.file.empty() ? 1 : o.count;
  uint64_t failed = 0;
  std::map<std::string, uint64_t> sorts;
  const auto began = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < count && failed < o.stop; ++i) {
    uint64_t seed = i % 2 == 0 ? 1 + i / 2 : fresh + i;
    if (o.from) seed = *o.from + i;
    if (o.seed) seed = *o.seed;
    Scenario scenario = o.file.empty() ? generate(seed) : parse(text_of(o.file));
    leave_out(scenario, o.without);
    const Verdict v = play(world, scenario);
    ++tally.played;
    ++tally.ends[end_name(v.end)];
    for (const Step& s : scenario.steps) ++tally.kinds[kind_name(s.kind)];
    Difference d = compare(v);
    if (count == 1) fmt::print("{}the application read {} bytes, end {}\n", describe(scenario), v.read.size(), end_name(v.end));
    if (d.kind.empty()) {
      if (o.seed && !o.pcap.empty()) test::write_pcap(fmt::format("{}/seed-{}.pcap", o.pcap, seed), v.wire);
      continue;
    }
    // A kernel worker that was late is no divergence: it must show twice more.
    bool stable = true;
    for (int again = 0; again < 2 && stable; ++again) stable = compare(play(world, scenario)).kind == d.kind;
    if (!stable) {
      ++tally.unstable;
      fmt::print("UNSTABLE seed {}: {}\n", seed, d.words);
      continue;
    }
    ++failed;
    ++tally.divergences[d.kind];
    const Scenario least = o.file.empty() ? shrink(world, scenario, d.kind) : scenario;
    const Verdict w = play(world, least);
    // One of each sort is told at length.
    std::string sort = d.kind;
    for (const Step& s : least.steps) sort += fmt::format(", {}", kind_name(s.kind));
    if (++sorts[sort] > 1) {
      fmt::print("AGAIN seed {}: {}\n", seed, sort);
      continue;
    }
    fmt::print("DIVERGENCE {}: {}\n{}", d.kind, compare(w).words, describe(least));
    if (!o.pcap.empty()) test::write_pcap(fmt::format("{}/seed-{}.pcap", o.pcap, seed), w.wire);
    std::fflush(stdout);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print("{} scenarios in {:.1f} s\n", tally.played, seconds);
  const auto show = [](const char* what, const std::map<std::string, uint64_t>& counts) {
    fmt::print("{}:", what);
    for (const auto& [name, n] : counts) fmt::print(" {} {},", name, n);
    fmt::print("\n");
  };
  show("ends", tally.ends);
  show("steps", tally.kinds);
  show("divergences", tally.divergences);
  if (tally.unstable > 0) fmt::print("not repeatable: {}\n", tally.unstable);
  fmt::print("{} passed, {} failed\n", tally.played - failed, failed);
  return failed > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App cli("The kernel's MPTCP as the judge: what its application reads is what mptap must give");
  cli.add_option("--count", o.count, "scenarios");
  cli.add_option("--from", o.from, "seeds from here on");
  cli.add_option("--seed", o.seed, "one scenario");
  cli.add_option("--file", o.file, "a scenario in words");
  cli.add_option("--stop", o.stop, "ends after so many divergences");
  cli.add_option("--without", o.without, "steps and openings to leave out, by name")->delimiter(',');
  cli.add_option("--pcap", o.pcap, "a directory for the packets of divergences");
  CLI11_PARSE(cli, argc, argv);
  const std::string missing = World::missing();
  if (!missing.empty()) {
    const char* required = std::getenv("MPTAP_REQUIRE_LIVE");
    const bool must = required != nullptr && std::string(required) == "1";
    fmt::print("SKIP: {}\n0 passed, {} failed{}\n", missing, must ? 1 : 0, must ? "" : ", 1 skipped");
    return must ? 1 : 0;
  }
  try {
    return run(o);
  } catch (const std::exception& e) {
    fmt::print(stderr, "judge: {}\n", e.what());
    return 2;
  }
}
