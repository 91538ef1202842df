// SPDX-License-Identifier: Apache-2.0
// Counters that cost one addition: declared in one line beside their owner, counted in a plain array of each worker, summed by
// whoever asks.
//
//   inline const Counter kJoinsParked{"joins_parked_total", "MP_JOINs that wait for their connection's token"};
//   inline const CounterFamily<Reason, kReasonCount> kIgnored{"packets_ignored_total", "…", "reason", reason_name};
//   inline const Counter kConnections{"connections", "connections followed now", Metric::kGauge};
//
//   counters.add(kJoinsParked);
//   counters.add(kIgnored[reason]);
//   counters.subtract(kConnections);
//
// A declaration is an object with static storage; it takes the next index when the program starts. A Counters is written by one
// thread only and may be read by any: what a reader sees is a moment old, never torn, and no two counters need be of the
// same moment. Names are Prometheus', without the "mptap_" in front; *_total for what only grows.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>

namespace mptap::worker {

enum class Metric : uint8_t { kCounter, kGauge };

struct CounterInfo {
  const char* name = "";
  const char* help = "";
  Metric metric = Metric::kCounter;
  const char* label = nullptr;  // its name; nullptr: none
  const char* label_value = nullptr;
};

inline constexpr size_t kMaxCounters = 512;

// All that were declared, in the order of their indices.
class CounterRegistry {
 public:
  static std::span<const CounterInfo> all() { return {table().info.data(), table().count}; }

  static uint16_t add(const CounterInfo& info) {
    Table& t = table();
    if (t.count == kMaxCounters) {
      std::fprintf(stderr, "counter \"%s\": more than %zu are declared; raise kMaxCounters\n", info.name, kMaxCounters);
      std::abort();
    }
    t.info[t.count] = info;
    return static_cast<uint16_t>(t.count++);
  }

 private:
  struct Table {
    std::array<CounterInfo, kMaxCounters> info{};
    size_t count = 0;
  };
  static Table& table() {
    static Table t;
    return t;
  }
};

// A counter's index into every Counters.
struct CounterId {
  uint16_t index;
};

class Counter {
 public:
  Counter(const char* name, const char* help, Metric metric = Metric::kCounter)
      : id_{CounterRegistry::add({name, help, metric, nullptr, nullptr})} {}
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  operator CounterId() const { return id_; }

 private:
  CounterId id_;
};

// One counter per value of an enum that counts from 0; value_name gives the label's value.
template <typename Enum, size_t kCount>
class CounterFamily {
 public:
  CounterFamily(const char* name, const char* help, const char* label, const char* (*value_name)(Enum),
                Metric metric = Metric::kCounter) {
    for (size_t i = 0; i < kCount; ++i) {
      const uint16_t index = CounterRegistry::add({name, help, metric, label, value_name(static_cast<Enum>(i))});
      if (i == 0) first_ = index;
    }
  }
  CounterFamily(const CounterFamily&) = delete;
  CounterFamily& operator=(const CounterFamily&) = delete;
  CounterId operator[](Enum value) const { return {static_cast<uint16_t>(first_ + static_cast<uint16_t>(value))}; }

 private:
  uint16_t first_ = 0;
};

// One worker's values. Cache-line aligned, so that no two workers' values share a line.
class alignas(64) Counters {
 public:
  Counters() = default;
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  void add(CounterId id, uint64_t n = 1) {
    // One writer: no locked instruction is needed, only loads and stores that cannot tear.
    std::atomic_ref<uint64_t> value(values_[id.index]);
    value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(CounterId id, uint64_t n = 1) { add(id, 0 - n); }
  void set(CounterId id, uint64_t n) { std::atomic_ref<uint64_t>(values_[id.index]).store(n, std::memory_order_relaxed); }

  uint64_t value(CounterId id) const {
    return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(values_[id.index])).load(std::memory_order_relaxed);
  }

 private:
  std::array<uint64_t, kMaxCounters> values_{};
};

inline uint64_t sum(std::span<const Counters* const> workers, CounterId id) {
  uint64_t total = 0;
  for (const Counters* worker : workers) total += worker->value(id);
  return total;
}

}  // namespace mptap::worker
