// SPDX-License-Identifier: Apache-2.0
// The bounds of a worker, each with its name in the configuration, what happens when it is met, a counter, and an event: the
// first time at once, then at most every ten seconds with how often since. Whoever meets a limit only adds to a number; who has
// the time looks at the numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "event/record.h"
#include "worker/counters.h"

namespace mptap::worker {

enum class Limit : uint8_t {
  // the engine's
  kConnections,
  kSubflows,
  kSubflowsPerConnection,
  kParkedJoins,
  kParkedBytes,
  kStreamBytes,
  kConnectionBytes,
  kWorkerBytes,
  // the router's and the worker's
  kTokens,
  kForeignSubflows,
  kHeldJoins,
  kFragments,
  kSegmentLane,
  kPacketLane,
  kCount
};
inline constexpr size_t kLimits = static_cast<size_t>(Limit::kCount);
using LimitHits = std::array<uint64_t, kLimits>;

const char* limit_name(Limit);    // the configuration's key, where it has one: "connections"
const char* limit_policy(Limit);  // plain words: what becomes of what is beyond

inline const CounterFamily<Limit, kLimits> kLimitHits{"limit_hits_total", "times that a limit was met", "limit", limit_name};

class LimitWatch {
 public:
  // hits: of this limit so far. True: event is to be sent. last: whatever is not told yet.
  bool look(Limit limit, uint64_t hits, uint64_t now_ns, event::EngineEvent& event, bool last = false);

 private:
  struct Told {
    uint64_t hits = 0, at_ns = 0;
  };
  std::array<Told, kLimits> told_{};
};

}  // namespace mptap::worker
