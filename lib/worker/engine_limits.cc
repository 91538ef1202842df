// SPDX-License-Identifier: Apache-2.0
// What happens near a limit and at it: shorter timeouts, the oldest half-open connection makes room, then refusal; each is told.
#include <algorithm>

#include <fmt/format.h>

#include "worker/engine_state.h"

namespace mptap::worker {
namespace {

// Limits are looked at this often; in an emergency all connections are gone through once a second, in as many steps.
constexpr uint64_t kLookNs = 1'000'000;
constexpr uint64_t kSecondNs = 1'000'000'000;
constexpr uint32_t kRefusalsToldPerSecond = 8;
// Established ones that still stand in the list: so many are taken out before a new connection is refused.
constexpr int kMaxSkipped = 256;

}  // namespace

// A refusal as an anomaly, a few each second; the counters have them all.
void Engine::refuse(Limit limit, event::AnomalyType type, const packet::Endpoint& src, const packet::Endpoint& dst,
                    uint64_t number) {
  // A full table was counted when room was looked for.
  if (limit != Limit::kConnections && limit != Limit::kSubflows) hit(limit);
  if (now_ >= refusals_told_until_ns_) {
    refusals_told_until_ns_ = now_ + kSecondNs;
    refusals_told_ = 0;
  }
  if (++refusals_told_ > kRefusalsToldPerSecond) return;
  ++counters_.anomalies;
  event::Anomaly a;
  a.head.timestamp_ns = now_;
  a.head.src = src;
  a.head.dst = dst;
  a.head.packet_number = number;
  const uint64_t name = name_of(src, dst, now_);
  a.connection_id = id_text(name);
  a.head.flow_id = flow_id(name);
  a.type = type;
  a.mptcp = false;
  a.detail = limit_name(limit);
  listener_.on_anomaly(a);
}

void Engine::list_half_open(Slot& s) {
  s.half_open = true;
  s.older = newest_half_open_;
  s.newer = kNoSlot;
  (s.older == kNoSlot ? oldest_half_open_ : slots_[s.older]->newer) = s.index;
  newest_half_open_ = s.index;
}

void Engine::unlist_half_open(Slot& s) {
  (s.older == kNoSlot ? oldest_half_open_ : slots_[s.older]->newer) = s.newer;
  (s.newer == kNoSlot ? newest_half_open_ : slots_[s.newer]->older) = s.older;
  s.half_open = false;
  s.older = s.newer = kNoSlot;
}

bool Engine::evict_half_open() {
  for (int i = 0; i < kMaxSkipped && oldest_half_open_ != kNoSlot; ++i) {
    Slot& oldest = *slots_[oldest_half_open_];
    if (oldest.connection.state() == event::State::kHandshake) {
      ++counters_.evicted_half_open;
      emit_record(oldest, true);
      return true;
    }
    unlist_half_open(oldest);
  }
  return false;
}

bool Engine::near_limit(uint32_t percent) const {
  const auto beyond = [percent](uint64_t used, uint64_t limit) { return used * 100 >= limit * percent; };
  return beyond(connections_open_, config_.max_connections) || beyond(flows_.size() - free_flows_.size(), config_.max_subflows) ||
         beyond(holds_.held, config_.hold_bytes);
}

void Engine::look_at_limits(bool last) {
  const uint64_t elapsed = now_ - looked_ns_;
  looked_ns_ = now_;
  next_look_ns_ = now_ + kLookNs;
  for (size_t i = 0; i < holds_.refused.size(); ++i)
    counters_.limits[static_cast<size_t>(Limit::kStreamBytes) + i] = holds_.refused[i];
  counters_.limits[static_cast<size_t>(Limit::kFragments)] = decoder_.fragment_losses().evicted;
  event::EngineEvent event;
  for (size_t i = 0; i < kLimits; ++i)
    if (watch_.look(static_cast<Limit>(i), counters_.limits[i], now_, event, last)) listener_.on_engine(event);

  const uint32_t percent = config_.emergency_percent;
  if (emergency_ ? near_limit(percent - percent / 10) : near_limit(percent)) {
    if (!emergency_) ++counters_.emergencies;
    const bool begins = !emergency_;
    emergency_ = true;
    if (begins) {
      listener_.on_engine({.timestamp_ns = now_,
                           .level = event::Level::kWarning,
                           .event = "emergency_on",
                           .message = fmt::format("{} % of a limit is reached: the emergency timeouts hold", percent),
                           .numbers = {{"connections", connections_open_},
                                       {"subflows", flows_.size() - free_flows_.size()},
                                       {"held_bytes", holds_.held}}});
    }
    sweep(elapsed);
  } else if (emergency_) {
    emergency_ = false;
    listener_.on_engine({.timestamp_ns = now_,
                         .level = event::Level::kInfo,
                         .event = "emergency_off",
                         .message = "the limits are no longer near: the usual timeouts hold",
                         .numbers = {{"connections", connections_open_},
                                     {"subflows", flows_.size() - free_flows_.size()},
                                     {"held_bytes", holds_.held},
                                     {"closed", counters_.emergency_closed}}});
  }
}

// The timers were armed for the usual timeouts: a part of all connections is looked at, as much as a second's share.
void Engine::sweep(uint64_t elapsed_ns) {
  const uint64_t now = std::min(now_, horizon_);
  const uint64_t share = slots_.size() * std::min(elapsed_ns, kSecondNs) / kSecondNs + 16;
  for (uint64_t i = std::min<uint64_t>(share, slots_.size()); i > 0; --i) {
    sweep_at_ = sweep_at_ + 1 < slots_.size() ? sweep_at_ + 1 : 0;
    Slot* s = slots_[sweep_at_].get();
    if (!s || s->connection.members.empty() || now < s->connection.last_ns + patience(*s)) continue;
    ++counters_.emergency_closed;
    emit_record(*s, s->connection.end() == event::End::kOpen);
  }
}

}  // namespace mptap::worker
