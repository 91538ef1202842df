// SPDX-License-Identifier: Apache-2.0
#include "worker/bounds.h"

#include <fmt/format.h>

namespace mptap::worker {
namespace {

constexpr uint64_t kQuietNs = 10'000'000'000;

struct Info {
  Limit limit;
  const char* name;
  const char* policy;
};
constexpr Info kInfos[] = {
    {Limit::kConnections, "connections", "the oldest half-open connection makes room; where none is, a new one is not followed"},
    {Limit::kSubflows, "subflows", "the oldest half-open connection makes room; where none is, a new subflow is not followed"},
    {Limit::kSubflowsPerConnection, "subflows_per_connection", "a join beyond is not part of its connection"},
    {Limit::kParkedJoins, "parked_joins", "the join that has waited longest gives up"},
    {Limit::kParkedBytes, "parked_bytes", "the join that has waited longest gives up"},
    {Limit::kStreamBytes, "stream_bytes", "bytes ahead of a hole are dropped and become a hole"},
    {Limit::kConnectionBytes, "connection_bytes", "bytes ahead of a hole are dropped and become a hole"},
    {Limit::kWorkerBytes, "worker_bytes", "bytes ahead of a hole are dropped and become a hole"},
    {Limit::kTokens, "tokens", "joins of the connection are found by its own worker only"},
    {Limit::kForeignSubflows, "foreign_subflows", "a join of another worker's connection is not handed over"},
    {Limit::kHeldJoins, "held_joins", "a join whose token several connections bear goes to the newest of them"},
    {Limit::kFragments, "fragments", "the oldest datagram that waits for fragments is dropped"},
    {Limit::kSegmentLane, "segments", "a packet for another worker's connection is dropped and becomes a hole"},
    {Limit::kPacketLane, "packets", "a packet for another worker's shard is dropped and becomes a hole"},
};

consteval bool in_order() {
  for (size_t i = 0; i < kLimits; ++i)
    if (static_cast<size_t>(kInfos[i].limit) != i) return false;
  return std::size(kInfos) == kLimits;
}
static_assert(in_order(), "kInfos lists each Limit once, in the order of the enum");

}  // namespace

const char* limit_name(Limit limit) {
  return kInfos[static_cast<size_t>(limit)].name;
}

const char* limit_policy(Limit limit) {
  return kInfos[static_cast<size_t>(limit)].policy;
}

bool LimitWatch::look(Limit limit, uint64_t hits, uint64_t now_ns, event::EngineEvent& event, bool last) {
  Told& told = told_[static_cast<size_t>(limit)];
  if (hits == told.hits || (!last && told.hits != 0 && now_ns < told.at_ns + kQuietNs)) return false;
  event.timestamp_ns = now_ns;
  event.level = event::Level::kWarning;
  event.event = "limit_reached";
  event.message = fmt::format("the limit of {} was met: {}", limit_name(limit), limit_policy(limit));
  event.numbers = {{limit_name(limit), hits - told.hits}};
  told = {hits, now_ns};
  return true;
}

}  // namespace mptap::worker
