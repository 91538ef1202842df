// SPDX-License-Identifier: Apache-2.0
// Files on several workers: nothing is lost, time is the packets', and the output is that of one engine alone, whatever the
// number of workers and whatever shard goes where.
//
// The first worker's thread also reads: it counts the packets, decodes them and sends each to its shard's worker. That one sorts:
// its own connections' packets wait with it, the others go to their owners. Each tells up to which packet it has sorted; an
// owner processes the least of what it has, up to the least of these marks, for nothing before it can come any more. A join's SYN
// is sorted when all packets before it are processed, so that it meets the connections that it met in the file. Nothing waits
// in a circle: of all packets that are not processed the least can always be sorted, or if it is sorted, processed.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "packet/decode.h"
#include "packet/frame.h"
#include "worker/engine.h"
#include "worker/fabric.h"
#include "worker/router.h"

namespace mptap::worker {

struct OrderedResult {
  uint64_t frames = 0, bytes = 0;
  std::array<uint64_t, static_cast<size_t>(packet::Reason::kCount)> decode{};
  std::vector<EngineCounters> engines;  // by worker
  std::vector<std::unique_ptr<Counters>> counters;
};

// next: fills a frame that stays valid until its next call; false: the input is over. Called on one thread.
// listeners: one for each worker, called on that worker's thread. fabric.workers says how many; fabric.ordered is set.
tl::expected<OrderedResult, std::string> run_ordered(const std::function<bool(packet::Frame&)>& next, FabricOptions fabric,
                                                     const EngineConfig& engine, std::shared_ptr<const rules::Ruleset> rules,
                                                     const std::vector<Listener*>& listeners);

}  // namespace mptap::worker
