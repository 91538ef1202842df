// SPDX-License-Identifier: Apache-2.0
// How often a rule may be reported: the state behind `threshold:`. One table per worker; memory is fixed, nothing is
// allocated after the first hit of a rule with a threshold. Time is packet time.
//
// An address or flow is counted by the worker that owns its connections: with several workers a limit holds per worker.
//
//   limit      the first `count` hits of a window of `seconds` are reported
//   threshold  every `count`th hit of a window is
//   both       one hit per window is, the `count`th
//
// A window begins with a key's first hit, and the first hit after its end begins the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "packet/address.h"
#include "rules/rule.h"

namespace mptap::rules {

class Thresholds {
 public:
  struct Stats {
    uint64_t suppressed = 0;  // hits that were not to be reported
    uint64_t evicted = 0;     // counts forgotten because their set was full: the oldest window of eight goes
  };

  // max_entries: rounded up to a power of two, at least 8.
  explicit Thresholds(size_t max_entries = 65536);

  // Counts one hit of rule and says whether it is to be reported; rules without threshold always are.
  bool allow(const Rule& rule, const packet::IpAddress& src, const packet::IpAddress& dst, uint64_t flow_id, uint64_t time_ns);

  const Stats& stats() const { return stats_; }

 private:
  static constexpr size_t kWays = 8;
  struct Key {
    packet::IpAddress address;  // zero where it is not tracked
    uint64_t flow = 0;
    uint32_t gid = 0, sid = 0;
    bool operator==(const Key&) const = default;
  };
  struct Entry {
    Key key;
    uint64_t window_start = 0;
    uint32_t count = 0;  // 0: free
  };

  Entry& entry_of(const Key& key, uint64_t time_ns);

  size_t sets_;
  std::vector<Entry> entries_;
  Stats stats_;
};

}  // namespace mptap::rules
