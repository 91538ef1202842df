// SPDX-License-Identifier: Apache-2.0
// What a scanner costs over the engine that it drives: the same random bytes in the same pieces through hs_scan_stream alone
// and through Scanner::scan, for 1, 100 and 1000 literal rules. And what rules cost that are armed all the time.
#include <benchmark/benchmark.h>
#include <hs/hs.h>

#include <fmt/format.h>
#include <random>

#include "rules/load.h"
#include "rules/ruleset.h"
#include "rules/scanner.h"
#include "rules/scratch.h"

namespace mptap::rules {
namespace {

constexpr size_t kBytes = 16u << 20;

const std::vector<uint8_t>& random_bytes() {
  static const std::vector<uint8_t> kData = [] {
    std::vector<uint8_t> out(kBytes);
    std::mt19937_64 random(1);
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(random());
    return out;
  }();
  return kData;
}

std::shared_ptr<const Ruleset> ruleset_of(const std::string& text) {
  auto loaded = load_rules_text(text, "bench", {});
  return *Ruleset::compile(std::move(loaded->rules), {});
}

// Words of 8 to 20 letters, as rules have them: in random bytes none of them turns up.
std::shared_ptr<const Ruleset> literals(int64_t count) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::string text;
  for (int64_t i = 0; i < count; ++i) {
    std::string word(8 + random() % 13, ' ');
    for (char& c : word) c = static_cast<char>('a' + random() % 26);
    text += fmt::format("alert tcp any any -> any any (content:\"{}\"; sid:{};)\n", word, i + 1);
  }
  return ruleset_of(text);
}

class Past : public History {
 public:
  size_t copy(uint64_t offset, std::span<uint8_t> out) const override {
    for (size_t i = 0; i < out.size();) {
      const size_t at = (offset + i) % kBytes;
      const size_t n = std::min(out.size() - i, kBytes - at);
      std::copy_n(random_bytes().begin() + static_cast<ptrdiff_t>(at), n, out.begin() + static_cast<ptrdiff_t>(i));
      i += n;
    }
    return out.size();
  }
  uint64_t oldest() const override { return 0; }
};

void hyperscan(benchmark::State& state) {
  const auto ruleset = literals(state.range(0));
  const auto chunk = static_cast<size_t>(state.range(1));
  hs_scratch_t* scratch = nullptr;
  hs_stream_t* stream = nullptr;
  if (hs_alloc_scratch(ruleset->database(), &scratch) != HS_SUCCESS ||
      hs_open_stream(ruleset->database(), 0, &stream) != HS_SUCCESS) {
    state.SkipWithError("Hyperscan");
    return;
  }
  const auto on_match = [](unsigned, unsigned long long, unsigned long long, unsigned, void*) { return 0; };
  size_t at = 0;
  for (auto _ : state) {
    hs_scan_stream(stream, reinterpret_cast<const char*>(random_bytes().data() + at), static_cast<unsigned>(chunk), 0, scratch,
                   on_match, nullptr);
    at = at + 2 * chunk <= kBytes ? at + chunk : 0;
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * chunk));
  hs_close_stream(stream, nullptr, nullptr, nullptr);
  hs_free_scratch(scratch);
}

void scan(benchmark::State& state, const std::shared_ptr<const Ruleset>& ruleset, size_t chunk) {
  Scanner scanner(ruleset, {});
  Scratch scratch;
  const Past history;
  std::vector<Hit> hits;
  size_t at = 0;
  uint64_t offset = 0;
  for (auto _ : state) {
    scanner.scan(offset, std::span(random_bytes()).subspan(at, chunk), history, scratch, hits);
    hits.clear();
    offset += chunk;
    at = at + 2 * chunk <= kBytes ? at + chunk : 0;
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * chunk));
}

void scanner(benchmark::State& state) {
  scan(state, literals(state.range(0)), static_cast<size_t>(state.range(1)));
}

// A two-byte fast pattern turns up every 64 KiB: the rule is armed most of the time, and never complete. Of its other contents
// the last one is nowhere (what most rules look like then), or in every chunk (each chunk is confirmed against 64 KiB).
void armed(benchmark::State& state) {
  const char* contents =
      state.range(0) ? "content:\"nowhere\"; distance:0; content:\"q\"; distance:0;" : "content:\"nowhere\"; distance:0;";
  scan(state, ruleset_of(fmt::format("alert tcp any any -> any any (content:\"xy\"; fast_pattern; {} sid:1;)", contents)),
       static_cast<size_t>(state.range(1)));
}

// A new connection's two scanners, up to their first byte, with headers of many kinds.
void open(benchmark::State& state) {
  std::string text;
  for (int64_t i = 0; i < state.range(0); ++i) {
    text += fmt::format("alert tcp {} any -> any [{},!{}] (content:\"word{:06}\"; sid:{};)\n", i % 2 ? "$HOME_NET" : "any",
                        i % 100 + 1, i % 7 + 200, i, i + 1);
  }
  const auto ruleset = ruleset_of(text);
  Scratch scratch;
  const Past history;
  std::vector<Hit> hits;
  const std::vector<uint8_t> byte{1};
  uint16_t port = 0;
  for (auto _ : state) {
    FlowContext flow;
    flow.dst.port = ++port;
    Scanner one(ruleset, flow);
    one.scan(0, byte, history, scratch, hits);
    benchmark::DoNotOptimize(one.active());
  }
}

BENCHMARK(hyperscan)->ArgNames({"literals", "chunk"})->ArgsProduct({{1, 100, 1000}, {1460, 16384}});
BENCHMARK(scanner)->ArgNames({"literals", "chunk"})->ArgsProduct({{1, 100, 1000}, {1460, 16384}});
BENCHMARK(armed)->ArgNames({"often", "chunk"})->ArgsProduct({{0, 1}, {1460, 16384}});
BENCHMARK(open)->ArgName("rules")->Arg(100)->Arg(10000);

}  // namespace
}  // namespace mptap::rules

BENCHMARK_MAIN();
