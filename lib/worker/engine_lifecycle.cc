// SPDX-License-Identifier: Apache-2.0
// Connections begin, age and end: slots, timers, records.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "worker/engine_state.h"

namespace mptap::worker {
namespace {

// Holes are looked at this often while one waits.
constexpr uint64_t kWaitCheck = 50'000'000;

uint64_t stir(uint64_t h, const void* data, size_t size) {
  const auto* p = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) h = (h ^ p[i]) * 0x100000001b3ull;
  return h;
}

uint64_t finish_hash(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdull;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ull;
  return h ^ h >> 33;
}

}  // namespace

Engine::Slot* Engine::new_slot(uint64_t now) {
  uint32_t index;
  if (!free_slots_.empty()) {
    index = free_slots_.back();
  } else {
    index = static_cast<uint32_t>(slots_.size());
    if (slots_.size() >= config_.max_connections) {
      hit(Limit::kConnections);
      if (!evict_half_open()) return nullptr;
      index = free_slots_.back();
    }
  }
  auto slot = std::make_unique<Slot>(config_.connection, pool_, holds_, static_cast<connection::Observer&>(*this), index);
  if (!free_slots_.empty()) {
    free_slots_.pop_back();
  } else {
    slots_.emplace_back();
  }
  slot->index = index;
  slot->connection.slot = index;
  slot->serial = slot->connection.serial = ++serial_;
  slot->timer.kind = kSlotTimer;
  slot->timer.slot = index;
  slot->connection.start_ns = slot->connection.last_ns = now;
  slots_[index] = std::move(slot);
  list_half_open(*slots_[index]);
  ++connections_open_;
  ++counters_.connections;
  return slots_[index].get();
}

// The name follows from the first subflow's tuple and time alone, so that it is the same for any number of workers.
void Engine::name_connection(Slot& slot) {
  const connection::Member& m = *slot.connection.members.front();
  const uint64_t name = name_of(m.client, m.server, m.start_ns);
  slot.connection.id_number = name;
  named_[name] = slot.index;
  slot.connection.id = id_text(name);
  slot.connection.flow_id = flow_id(name);
}

uint64_t Engine::name_of(const packet::Endpoint& client, const packet::Endpoint& server, uint64_t start_ns) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const packet::Endpoint* e : {&client, &server}) {
    h = stir(h, e->address.bytes.data(), 16);
    h = stir(h, &e->port, 2);
  }
  return finish_hash(stir(h, &start_ns, 8));
}

std::string Engine::id_text(uint64_t name) {
  return fmt::format("{:016x}", name);
}

Engine::Slot* Engine::slot_of(const connection::Connection& c) {
  return slots_[c.slot].get();
}

void Engine::on_stir(connection::Connection& c) {
  Slot& slot = *slot_of(c);
  if (slot.dirty) return;
  slot.dirty = true;
  dirty_.push_back(slot.index);
}

void Engine::flush_dirty() {
  flushed_ns_ = now_;
  for (size_t i = 0; i < dirty_.size(); ++i) {
    Slot* slot = slots_[dirty_[i]].get();
    if (!slot || !slot->dirty) continue;
    slot->dirty = false;
    for (int d = 0; d < 2; ++d) flush(*slot, d);
    if (is_waiting(*slot) && (!slot->timer.armed() || slot->check_at > now_ + kWaitCheck)) {
      slot->check_at = now_ + kWaitCheck;
      wheel_.arm(slot->timer, slot->check_at);
    } else if (slot->check_at > now_ + config_.closed_ns && slot->connection.all_members_closed()) {
      arm(*slot);
    }
  }
  dirty_.clear();
  trim_histories();
}

bool Engine::is_waiting(const Slot& s) const {
  for (const auto& st : s.connection.streams) {
    if (st && st->waiting()) return true;
  }
  return std::any_of(s.flows.begin(), s.flows.end(), [&](uint32_t f) { return flows_[f]->subflow.waiting(); });
}

uint64_t Engine::patience(const Slot& s) const {
  const connection::Connection& c = s.connection;
  if (c.end() != event::End::kOpen) {
    // An end that the subflows have not followed yet may still be followed by stragglers.
    return c.all_members_closed() ? config_.closed_ns : 6 * config_.closed_ns;
  }
  if (c.state() == event::State::kHandshake) return emergency_ ? config_.emergency_half_open_ns : config_.half_open_ns;
  return emergency_ ? config_.emergency_idle_ns : config_.idle_ns;
}

void Engine::arm(Slot& s) {
  s.check_at = is_waiting(s) ? now_ + kWaitCheck : s.connection.last_ns + patience(s);
  // A connection that ends is looked at soon enough for its patience to count from its end.
  s.check_at = std::min(s.check_at, now_ + config_.half_open_ns);
  wheel_.arm(s.timer, s.check_at);
}

void Engine::fire(Timer& timer) {
  if (timer.kind == kParkTimer) {
    unpark_alone(*flows_[timer.slot]);
    return;
  }
  Slot& slot = *slots_[timer.slot];
  const uint64_t now = std::min(now_, horizon_);
  const std::vector<uint32_t> flows = slot.flows;
  for (const uint32_t index : flows) {
    Flow& f = *flows_[index];
    if (!f.subflow.waiting()) continue;
    outbox_.clear(pool_);
    f.subflow.tick(now, outbox_);
    consume(f);
  }
  slot.connection.tick(now);
  if (slot.egress) egress_settle(slot);
  for (int d = 0; d < 2; ++d) flush(slot, d);
  if (slot.half_open && slot.connection.state() != event::State::kHandshake) unlist_half_open(slot);
  if (now >= slot.connection.last_ns + patience(slot)) {
    emit_record(slot, slot.connection.end() == event::End::kOpen);
    return;
  }
  arm(slot);
}

void Engine::emit_record(Slot& slot, bool timed_out) {
  connection::Connection& c = slot.connection;
  // First what the subflows still hold, then what the streams hold.
  for (const uint32_t index : slot.flows) {
    Flow& f = *flows_[index];
    outbox_.clear(pool_);
    f.subflow.close(outbox_);
    for (const auto& u : outbox_.units) c.on_unit(*f.member, u);
    if (f.subflow.rst_pending) f.member->reset = true;
  }
  outbox_.clear(pool_);
  c.close(timed_out);
  if (slot.egress) egress_finish(slot);
  for (int d = 0; d < 2; ++d) {
    flush(slot, d);
    finish_scan(slot, d);
  }
  watch_paths(slot);
  watch_visibility(slot, true);
  event::ConnectionRecord r = c.record();
  if (config_.sha256) {
    for (int d = 0; d < 2; ++d) r.stream[d].sha256 = finish_sha(slot.sides[d]);
  }
  for (const auto& m : c.members) {
    counters_.joins_verified += m->join == event::Join::kVerified;
    counters_.joins_failed += m->join == event::Join::kFailed;
  }
  for (const auto& st : r.stream) counters_.delivered_bytes += st.bytes;
  if (r.mptcp || config_.inspect_tcp) listener_.on_record(r);
  free_slot(slot);
}

void Engine::free_slot(Slot& slot) {
  connection::Connection& c = slot.connection;
  if (const auto it = named_.find(c.id_number); it != named_.end() && it->second == slot.index) named_.erase(it);
  for (int side = 0; side < 2; ++side) {
    if (!c.token_known[side]) continue;
    if (peers_) peers_->withdraw(c.tokens[side], slot.index, slot.serial);
    if (const auto it = tokens_.find(c.tokens[side]); it != tokens_.end()) {
      std::erase(it->second, slot.index);
      if (it->second.empty()) tokens_.erase(it);
    }
    if (const auto it = orphans_.find(c.tokens[side]); it != orphans_.end() && it->second == slot.index) {
      orphans_.erase(it);
      if (peers_ && !parked_.contains(c.tokens[side])) peers_->unclaim(c.tokens[side]);
    }
  }
  for (const uint32_t index : slot.flows) {
    table_.erase(flows_[index]->key);
    if (peers_) peers_->flow_ended(flows_[index]->key);
    flows_[index].reset();
    free_flows_.push_back(index);
  }
  history_total_ -= slot.history_memory;
  if (slot.half_open) unlist_half_open(slot);
  const uint32_t index = slot.index;
  slots_[index].reset();
  free_slots_.push_back(index);
  --connections_open_;
}

void Engine::finish() {
  unpark_all();
  std::vector<Slot*> open;
  for (auto& s : slots_) {
    if (s) open.push_back(s.get());
  }
  std::sort(open.begin(), open.end(), [](const Slot* a, const Slot* b) { return a->serial < b->serial; });
  for (Slot* s : open) emit_record(*s, false);
  dirty_.clear();
  look_at_limits(true);
}

}  // namespace mptap::worker
