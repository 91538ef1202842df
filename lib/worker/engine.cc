// SPDX-License-Identifier: Apache-2.0
// The way of a packet: decode, look up, advance the subflow, hand its units to the connection.
#include "worker/engine.h"

#include <algorithm>
#include <cstring>

#include "rules/scratch.h"
#include "worker/engine_state.h"

namespace mptap::worker {

using mptcp::Options;
using packet::Reason;
using packet::TcpSegment;
using subflow::FlowKey;
using subflow::FlowTable;

namespace {

constexpr size_t kBurst = 32;
constexpr uint64_t kFlushSpan = 10'000'000;
constexpr uint64_t kPathsEvery = 256;  // packets of a connection between two looks at which subflows carry them

bool within(const packet::Frame& f, const uint8_t* p) {
  return p >= f.data && p <= f.data + f.captured;
}

}  // namespace

tl::expected<std::unique_ptr<Engine>, std::string> Engine::create(const EngineConfig& config,
                                                                  std::shared_ptr<const rules::Ruleset> rules,
                                                                  Listener& listener) {
  auto table = FlowTable::create(config.max_subflows);
  if (!table) return tl::unexpected(table.error());
  return std::unique_ptr<Engine>(new Engine(config, std::move(rules), listener, std::move(*table)));
}

Engine::Engine(const EngineConfig& config, std::shared_ptr<const rules::Ruleset> rules, Listener& listener, FlowTable table)
    : config_(config),
      rules_(std::move(rules)),
      listener_(listener),
      decoder_(config.decode),
      table_(std::move(table)),
      scratch_(std::make_unique<rules::Scratch>()),
      detector_(config.detect) {
  holds_.limit = config_.hold_bytes;
  if (rules_) keep_history();
}

void Engine::keep_history() {
  const uint64_t wanted = std::max<uint64_t>(rules_->lookback() + 16384, config_.connection.stream.history_bytes);
  config_.connection.stream.history_bytes = static_cast<uint32_t>(wanted);
}

void Engine::set_rules(std::shared_ptr<const rules::Ruleset> rules, uint64_t old_until_ns) {
  rules_ = std::move(rules);
  old_rules_until_ = old_until_ns;
  if (rules_) keep_history();
}

Engine::~Engine() {
  // Connections first: their streams give memory back to the pool.
  flows_.clear();
  slots_.clear();
}

void Engine::process(std::span<const packet::Frame> burst) {
  std::array<TcpSegment, kBurst> segments;
  size_t n = 0;
  for (const packet::Frame& frame : burst) {
    ++counters_.frames;
    counters_.bytes += frame.wire;
    const Reason reason = decoder_.decode(frame, segments[n]);
    ++counters_.decode[static_cast<size_t>(reason)];
    if (reason != Reason::kTcp) {
      if (passes_all()) {
        run({segments.data(), n});
        n = 0;
        pass(frame);
      }
      if (frame.timestamp_ns > now_ && n == 0) advance(frame.timestamp_ns);
      continue;
    }
    segments[n].frame = passes_all() ? &frame : nullptr;
    // A reassembled datagram lies in the decoder's buffer until its next call.
    const bool borrowed = segments[n].payload_size > 0 && !within(frame, segments[n].payload);
    if (++n == kBurst || borrowed) {
      run({segments.data(), n});
      n = 0;
    }
  }
  run({segments.data(), n});
  flush_dirty();
}

void Engine::process(std::span<const TcpSegment> segments) {
  for (size_t i = 0; i < segments.size(); i += kBurst) run(segments.subspan(i, std::min(kBurst, segments.size() - i)));
  flush_dirty();
}

void Engine::run(std::span<const TcpSegment> segments) {
  std::array<FlowKey, kBurst> keys;
  std::array<uint32_t, kBurst> slots;
  for (size_t i = 0; i < segments.size(); ++i) keys[i] = FlowKey(segments[i]);
  table_.find(std::span(keys).first(segments.size()), slots);
  for (size_t i = 0; i < segments.size(); ++i) process_tcp(segments[i], keys[i], slots[i]);
}

void Engine::advance(uint64_t now) {
  if (now <= now_) return;
  now_ = now;
  wheel_.advance(std::min(now_, horizon_), [this](Timer& t) { fire(t); });
  if (now_ >= next_look_ns_) look_at_limits();
}

void Engine::process_tcp(const TcpSegment& s, const FlowKey& key, uint32_t index) {
  if (s.timestamp_ns > now_) {
    // A file's burst can span seconds: what waits must have its timer before time goes on.
    if (s.timestamp_ns > flushed_ns_ + kFlushSpan) flush_dirty();
    advance(s.timestamp_ns);
  }
  Options& options = options_;  // reused: clearing it costs more than most lists cost to parse
  mptcp::parse_options(s.option_bytes(), s.flags, s.payload_size > 0, options);
  // What the burst's earlier packets have done is not in the bulk lookup.
  if (index == FlowTable::kNone || !flows_[index] || !flows_[index]->key.same_flow(key)) index = table_.find(key);
  const bool opening = (s.flags & (packet::kSyn | packet::kAck | packet::kRst)) == packet::kSyn;
  if (index != FlowTable::kNone && opening) {
    Flow& f = *flows_[index];
    const bool from_initiator = key.swapped == f.initiator_swapped;
    const bool fresh =
        f.ignored || (from_initiator ? f.subflow.is_new_connection(s) : f.subflow.phase == subflow::Phase::kClosed);
    if (fresh && !f.parked) {
      end_flow(f, false);
      index = FlowTable::kNone;
    }
  }
  if (index == FlowTable::kNone) {
    index = begin_flow(s, options, key);
    if (index == FlowTable::kNone) {
      if (s.frame) pass(s, options);
      return;
    }
  }
  Flow& f = *flows_[index];
  const int direction = key.swapped == f.initiator_swapped ? 0 : 1;
  if (f.ignored) {
    ++counters_.ignored_plain_tcp;
    if (s.frame) pass(s, options);
    return;
  }
  if (f.parked) return park(f, s, direction);
  feed(f, s, options, direction);
}

uint32_t Engine::begin_flow(const TcpSegment& s, const Options& o, const FlowKey& key) {
  const bool syn = (s.flags & packet::kSyn) != 0, ack = (s.flags & packet::kAck) != 0;
  const bool third_ack = !syn && o.has(Options::kCapable) && o.capable.length >= 20;
  if (!syn && s.payload_size == 0 && !third_ack) {
    ++counters_.ignored_no_flow;
    return FlowTable::kNone;
  }
  const bool join = o.has(Options::kJoin) && syn && !ack;
  const bool offered = o.has(Options::kCapable);
  if (!join && !offered && !config_.inspect_tcp && !o.has(Options::kDss)) {
    ++counters_.ignored_plain_tcp;
    return FlowTable::kNone;
  }
  // Who opened it, where the SYN was not seen: the SYN/ACK's receiver, else the higher port.
  bool from_initiator = syn ? !ack : third_ack || s.src.port >= s.dst.port;

  if (free_flows_.empty() && flows_.size() >= config_.max_subflows) {
    hit(Limit::kSubflows);
    evict_half_open();
  }
  const uint32_t index = free_flows_.empty() ? static_cast<uint32_t>(flows_.size()) : free_flows_.back();
  if (index >= config_.max_subflows || !table_.insert(key, index)) {
    ++counters_.dropped_subflow_limit;
    refuse(Limit::kSubflows, event::AnomalyType::kSubflowLimit, s.src, s.dst, s.number);
    return FlowTable::kNone;
  }
  if (!free_flows_.empty()) {
    free_flows_.pop_back();
  } else {
    flows_.emplace_back();
  }
  flows_[index] = std::make_unique<Flow>(config_.tcp, pool_);
  Flow& f = *flows_[index];
  f.index = index;
  f.key = key;
  f.initiator_swapped = from_initiator ? key.swapped : !key.swapped;
  f.initiator = from_initiator ? s.src : s.dst;
  f.responder = from_initiator ? s.dst : s.src;
  ++counters_.subflows;
  if (join ? begin_join(f, s, o) : open_plain_or_capable(f, s, o, offered)) return index;
  end_flow(f);
  return FlowTable::kNone;
}

bool Engine::open_plain_or_capable(Flow& f, const TcpSegment& s, const Options& o, bool offered) {
  Slot* slot = new_slot(s.timestamp_ns);
  if (!slot) {
    ++counters_.dropped_connection_limit;
    refuse(Limit::kConnections, event::AnomalyType::kConnectionLimit, s.src, s.dst, s.number);
    return false;
  }
  connection::Connection& c = slot->connection;
  using connection::Mode;
  const bool syn = (s.flags & packet::kSyn) != 0;
  f.member = &c.open(f.initiator, f.responder, s.timestamp_ns, s.number,
                     offered                        ? Mode::kUndecided
                     : !syn && o.has(Options::kDss) ? Mode::kMptcp
                                                    : Mode::kPlain);
  c.late = c.mode == Mode::kPlain && (!syn || (s.flags & packet::kAck));
  if (c.late && !syn) c.fallback_reason = "picked_up_midstream";
  f.slot = slot->index;
  f.subflow.set_account(&c.account);
  slot->flows.push_back(f.index);
  name_connection(*slot);
  // A DSS in mid-stream is a subflow's whose handshake was not seen.
  if (egress_ && (offered || o.has(Options::kDss))) egress_begin(*slot, (s.flags & packet::kSyn) != 0);
  arm(*slot);
  return true;
}

void Engine::feed(Flow& f, const TcpSegment& s, const Options& o, int direction) {
  connection::Connection& c = slots_[f.slot]->connection;
  c.last_ns = std::max(c.last_ns, s.timestamp_ns);
  c.last_number = s.number;
  ++c.packets;
  outbox_.clear(pool_);
  f.subflow.advance(s, o, direction, outbox_);
  if (outbox_.span_copy) {
    ++c.span_duplicates;
    ++counters_.span_copies;
  } else {
    ++counters_.inspected;
    f.member->last_ns = s.timestamp_ns;
    const int dir = direction ^ (f.member->reversed ? 1 : 0);
    ++f.member->packets[dir];
    f.member->bytes[dir] += s.payload_size;
    if (const uint32_t present = o.present & Options::kAnyMptcp) count_options(*slots_[f.slot], *f.member, present);
  }
  if (egress_) egress_packet(f, s, o, direction);
  consume(f);
  if (egress_) egress_settle(*slots_[f.slot]);
  if (c.packets % kPathsEvery == 0 && c.members.size() > 1) watch_paths(*slots_[f.slot]);
}

void Engine::consume(Flow& f) {
  Slot& slot = *slots_[f.slot];
  for (const auto& r : outbox_.reports) slot.connection.on_report(*f.member, r);
  for (const auto& u : outbox_.units) slot.connection.on_unit(*f.member, u);
  outbox_.clear(pool_);
  if (f.subflow.waiting()) on_stir(slot.connection);
  resolve_tokens();
}

void Engine::end_flow(Flow& f, bool gone) {
  table_.erase(f.key);
  if (peers_ && gone) peers_->flow_ended(f.key);
  if (f.parked) forget_parked(f);
  const uint32_t index = f.index;
  if (f.slot != kNoSlot) {
    Slot& slot = *slots_[f.slot];
    outbox_.clear(pool_);
    f.subflow.close(outbox_);
    for (const auto& u : outbox_.units) slot.connection.on_unit(*f.member, u);
    outbox_.clear(pool_);
    f.subflow.set_account(nullptr);
    std::erase(slot.flows, index);
    // The ports are used again: a connection without subflows has nothing to wait for.
    if (slot.flows.empty()) emit_record(slot, false);
  }
  flows_[index].reset();
  free_flows_.push_back(index);
}

}  // namespace mptap::worker
