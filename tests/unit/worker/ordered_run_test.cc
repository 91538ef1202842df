// SPDX-License-Identifier: Apache-2.0
// Files give the same result whatever the number of workers and whoever a flow falls to: records with their hashes, alerts,
// anomalies, as lines of EVE.
#include "worker/ordered_run.h"

#include <algorithm>
#include <filesystem>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "event/eve.h"
#include "port/capture_reader.h"
#include "port/eal.h"
#include "rules/load.h"

namespace mptap::worker {
namespace {

class Lines final : public Listener {
 public:
  void on_record(const event::ConnectionRecord& e) override { add(e); }
  void on_alert(const event::Alert& e) override { add(e); }
  void on_anomaly(const event::Anomaly& e) override { add(e); }
  void on_joined(const event::SubflowJoined& e) override { add(e); }

  std::vector<std::string> lines;

 private:
  template <typename Event>
  void add(const Event& e) {
    lines.emplace_back();
    event::append_eve(lines.back(), e);
  }
};

class OrderedRunTest : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    static auto eal = port::Eal::start({.memory_mb = 512});
    ASSERT_TRUE(eal) << eal.error();
    const std::vector<std::string> files{std::string(MPTAP_CAPTURE_DATA) + "/evil.rules"};
    auto loaded = rules::load_rules(files, {});
    ASSERT_TRUE(loaded) << loaded.error().message;
    auto compiled = rules::Ruleset::compile(std::move(loaded->rules), {});
    ASSERT_TRUE(compiled) << compiled.error();
    rules_ = *compiled;
  }

  static EngineConfig config() {
    EngineConfig c;
    c.sha256 = true;
    c.max_subflows = c.max_connections = 4096;
    return c;
  }

  static std::vector<std::string> alone(const std::string& path) {
    auto reader = port::CaptureReader::open(path);
    EXPECT_TRUE(reader) << reader.error();
    Lines lines;
    auto engine = Engine::create(config(), rules_, lines);
    EXPECT_TRUE(engine) << engine.error();
    packet::Frame frame;
    while (reader->next(frame)) (*engine)->process(std::span<const packet::Frame>(&frame, 1));
    (*engine)->finish();
    std::sort(lines.lines.begin(), lines.lines.end());
    return lines.lines;
  }

  struct Outcome {
    std::vector<std::string> lines;
    uint64_t frames = 0, accounted = 0, handed_off = 0;
  };
  static Outcome shared(const std::string& path, unsigned workers, std::vector<uint16_t> shards) {
    auto reader = port::CaptureReader::open(path);
    std::vector<Lines> listeners(workers);
    std::vector<Listener*> pointers;
    for (Lines& l : listeners) pointers.push_back(&l);
    auto result = run_ordered([&](packet::Frame& f) { return reader->next(f); },
                              {.workers = workers, .segments = 256, .packets = 64, .tokens = 4096, .shards = std::move(shards)},
                              config(), rules_, pointers);
    EXPECT_TRUE(result) << result.error();
    Outcome out;
    for (Lines& l : listeners) out.lines.insert(out.lines.end(), l.lines.begin(), l.lines.end());
    std::sort(out.lines.begin(), out.lines.end());
    out.frames = result->frames;
    for (size_t r = 1; r < result->decode.size(); ++r) out.accounted += result->decode[r];
    for (const EngineCounters& e : result->engines) {
      out.accounted += e.inspected + e.span_copies + e.ignored_no_flow + e.ignored_plain_tcp + e.dropped_subflow_limit +
                       e.dropped_connection_limit;
    }
    for (const auto& c : result->counters) out.handed_off += c->value(kHandedOff);
    return out;
  }

  static inline std::shared_ptr<const rules::Ruleset> rules_;
};

TEST_P(OrderedRunTest, SameForAnyNumberOfWorkers) {
  const auto expected = alone(GetParam());
  ASSERT_FALSE(expected.empty());
  for (const unsigned workers : {1u, 2u, 4u, 8u}) {
    const Outcome outcome = shared(GetParam(), workers, {});
    EXPECT_EQ(outcome.lines, expected) << workers << " workers";
    EXPECT_EQ(outcome.accounted, outcome.frames) << workers << " workers";
  }
}

TEST_P(OrderedRunTest, SameForRandomAssignments) {
  const auto expected = alone(GetParam());
  uint64_t handed_off = 0;
  for (unsigned seed = 0; seed < 4; ++seed) {
    std::mt19937 random(seed);
    std::vector<uint16_t> shards(4096);
    for (uint16_t& shard : shards) shard = static_cast<uint16_t>(random() % 3);
    const Outcome outcome = shared(GetParam(), 3, shards);
    EXPECT_EQ(outcome.lines, expected) << "seed " << seed;
    EXPECT_EQ(outcome.accounted, outcome.frames) << "seed " << seed;
    handed_off += outcome.handed_off;
  }
  RecordProperty("handed_off", std::to_string(handed_off));
}

std::vector<std::string> captures() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(MPTAP_CAPTURE_DATA))
    if (entry.path().extension() == ".pcap") paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

INSTANTIATE_TEST_SUITE_P(Captures, OrderedRunTest, testing::ValuesIn(captures()), [](const auto& test) {
  std::string name = std::filesystem::path(test.param).stem().string();
  for (char& c : name)
    if (!isalnum(static_cast<unsigned char>(c))) c = '_';
  return name + "_" + std::to_string(test.index);
});

}  // namespace
}  // namespace mptap::worker
