// SPDX-License-Identifier: Apache-2.0
#include "worker/tally.h"

#include <algorithm>
#include <string_view>

namespace mptap::worker {
namespace {

template <typename Enum, size_t kSize>
const char* pick(const std::array<const char*, kSize>& names, Enum value) {
  return names[static_cast<size_t>(value)];
}

Fallback fallback_of(std::string_view reason) {
  const auto* found = std::find(kFallbackReasons.begin(), kFallbackReasons.end() - 1, reason);
  return static_cast<Fallback>(found - kFallbackReasons.begin());
}

}  // namespace

const char* anomaly_name(event::AnomalyType type) {
  return event::name(type).data();  // a literal
}
const char* join_name(event::Join join) {
  return pick(std::array{"initial", "verified", "failed", "unverified"}, join);
}
const char* end_name(event::End end) {
  return pick(std::array{"open", "data_fin", "fast_close", "reset", "timeout"}, end);
}
const char* protocol_name(Protocol protocol) {
  return pick(std::array{"mptcp_v1", "mptcp_v0", "tcp"}, protocol);
}
const char* alert_action_name(AlertAction action) {
  return pick(std::array{"allowed", "blocked"}, action);
}
const char* towards_name(Towards side) {
  return pick(std::array{"to_server", "to_client"}, side);
}
const char* hole_name(Hole hole) {
  return pick(std::array{"unseen_path", "tap_loss"}, hole);
}
const char* fallback_name(Fallback reason) {
  return pick(kFallbackReasons, reason);
}

void Tally::count(const event::Alert& a) {
  counters_.add(kAlerts[a.action == "allowed" ? AlertAction::kAllowed : AlertAction::kBlocked]);
  counters_.add(kAlertsCross, a.cross_subflow);
}

void Tally::count(const event::ConnectionRecord& r) {
  counters_.add(kConnectionsEnded[!r.mptcp ? Protocol::kTcp : r.version == 0 ? Protocol::kMptcp0 : Protocol::kMptcp1]);
  counters_.add(kEnds[r.end]);
  // Plain TCP that never offered anything else has no reason to name.
  if (r.fallback || (!r.fallback_reason.empty() && r.fallback_reason != "picked_up_midstream"))
    counters_.add(kFallbacks[fallback_of(r.fallback_reason)]);
  if (r.mptcp)
    for (const event::SubflowRecord& s : r.subflows) counters_.add(kJoins[s.join]);
  for (const Towards side : {Towards::kToServer, Towards::kToClient}) {
    const event::StreamRecord& s = r.stream[static_cast<size_t>(side)];
    counters_.add(kStreams[side], s.bytes + s.missing_bytes > 0);
    counters_.add(kStreamBytes[side], s.bytes);
    counters_.add(kHoleBytes[Hole::kTapLoss], s.missing_tap_bytes);
    counters_.add(kHoleBytes[Hole::kUnseenPath], s.missing_bytes - std::min(s.missing_bytes, s.missing_tap_bytes));
    counters_.add(kDuplicateBytes, s.duplicate_bytes);
    counters_.add(kConflictingBytes, s.conflicting_bytes);
  }
}

}  // namespace mptap::worker
