// SPDX-License-Identifier: Apache-2.0
// Joins: to which connection a subflow belongs. By the token alone where one connection bears it, by the HMAC of the SYN/ACK
// where several do; a join that comes before its connection waits, bounded in number, bytes and packet time.
#include <algorithm>

#include "worker/engine_state.h"

namespace mptap::worker {

using event::AnomalyType;
using mptcp::Options;
using packet::TcpSegment;
using subflow::FlowKey;

bool Engine::begin_join(Flow& f, const TcpSegment& s, const Options& o) {
  const uint32_t token = o.join.token;
  const auto it = tokens_.find(token);
  const size_t candidates = it == tokens_.end() ? 0 : it->second.size();
  if (candidates == 1) return attach(f, *slots_[it->second.front()], o.join, s.timestamp_ns);
  if (candidates == 0) {
    if (const auto group = orphans_.find(token); group != orphans_.end()) {
      return attach(f, *slots_[group->second], o.join, s.timestamp_ns);
    }
  }
  if (parked_count_ >= config_.max_parked) {
    refuse(Limit::kParkedJoins, AnomalyType::kParkedLimit, s.src, s.dst, s.number);
    give_up_oldest_parked();
  }
  f.parked = std::make_unique<Flow::Parked>();
  f.parked->token = token;
  f.parked->serial = ++park_serial_;
  park_order_.emplace_back(f.index, f.parked->serial);
  f.parked->syn = o.join;
  f.parked->timer.kind = kParkTimer;
  f.parked->timer.slot = f.index;
  wheel_.arm(f.parked->timer, s.timestamp_ns + config_.park_ns);
  parked_[token].push_back(f.index);
  ++parked_count_;
  ++counters_.joins_parked;
  return true;
}

bool Engine::attach(Flow& f, Slot& slot, const mptcp::Join& syn, uint64_t now) {
  connection::Connection& c = slot.connection;
  const bool reversed = c.reversed_for(syn.token).value_or(false);
  const packet::Endpoint& client = reversed ? f.responder : f.initiator;
  const packet::Endpoint& server = reversed ? f.initiator : f.responder;
  f.member = c.join(client, server, reversed, syn, now);
  watch_join(slot, f, now);
  if (!f.member) {
    hit(Limit::kSubflowsPerConnection);
    ++counters_.dropped_subflow_limit;
    return false;
  }
  f.slot = slot.index;
  f.subflow.set_account(&c.account);
  slot.flows.push_back(f.index);
  if (slot.connection.id.empty()) name_connection(slot);
  arm(slot);
  return true;
}

Engine::Slot* Engine::orphan_group(uint32_t token, uint64_t now) {
  if (const auto it = orphans_.find(token); it != orphans_.end()) return slots_[it->second].get();
  Slot* slot = new_slot(now);
  if (!slot) return nullptr;
  slot->connection.set_orphan(token);
  orphans_[token] = slot->index;
  return slot;
}

// Where several connections bear the token, the responder's HMAC shows whose the join is. nullptr: nobody bears it, or it is open
// because keys or the SYN/ACK are still to come; last_chance: then the newest bearer.
Engine::Slot* Engine::bearer_of(uint32_t token, const Flow& f, bool last_chance) {
  const auto it = tokens_.find(token);
  if (it == tokens_.end()) return nullptr;
  const Flow::Parked& p = *f.parked;
  bool open = !p.has_synack;
  for (const uint32_t index : it->second) {
    connection::Connection& c = slots_[index]->connection;
    const bool keys = c.key_known[0] && c.key_known[1], alone = it->second.size() == 1;
    if (keys && alone && !p.has_synack) return slots_[index].get();
    if (p.has_synack && c.accepts(p.synack, p.syn.nonce, c.reversed_for(token).value_or(false))) return slots_[index].get();
    // Another connection of this token may still turn up.
    open = open || !keys || alone;
  }
  return open && !last_chance ? nullptr : slots_[it->second.back()].get();
}

void Engine::park(Flow& f, const TcpSegment& s, int direction) {
  Flow::Parked& p = *f.parked;
  const uint64_t cost = sizeof(ParkedPacket) + s.options_size + s.payload_size;
  p.bytes += cost;
  parked_bytes_ += cost;
  p.packets.push_back({s, {s.options, s.options + s.options_size}, {s.payload, s.payload + s.payload_size}, direction});
  p.packets.back().segment.frame = nullptr;
  ++counters_.inspected;
  if (direction == 1 && (s.flags & packet::kSyn) && !p.has_synack) {
    Options o;
    mptcp::parse_options(s.option_bytes(), s.flags, false, o);
    p.has_synack = o.has(Options::kJoin) && o.join.length == 16;
    p.synack = o.join;
    if (Slot* bearer = bearer_of(p.token, f, false)) return unpark(f, *bearer);
  }
  if (p.bytes > config_.parked_bytes) {
    refuse(Limit::kParkedBytes, AnomalyType::kParkedLimit, s.src, s.dst, s.number);
    return unpark_alone(f);
  }
  if (parked_bytes_ > config_.parked_total_bytes) {
    refuse(Limit::kParkedBytes, AnomalyType::kParkedLimit, s.src, s.dst, s.number);
    while (parked_bytes_ > config_.parked_total_bytes && parked_count_ > 0) give_up_oldest_parked();
  }
}

void Engine::give_up_oldest_parked() {
  while (!park_order_.empty()) {
    const auto [index, serial] = park_order_.front();
    park_order_.pop_front();
    Flow* f = flows_[index].get();
    if (f && f->parked && f->parked->serial == serial) return unpark_alone(*f);
  }
}

void Engine::forget_parked(Flow& f) {
  const auto it = parked_.find(f.parked->token);
  if (it != parked_.end()) {
    std::erase(it->second, f.index);
    if (it->second.empty()) parked_.erase(it);
  }
  const uint32_t token = f.parked->token;
  if (peers_ && !parked_.contains(token) && !orphans_.contains(token)) peers_->unclaim(token);
  --parked_count_;
  parked_bytes_ -= f.parked->bytes;
  f.parked.reset();
  if (park_order_.size() > 2 * size_t{parked_count_} + 64) {
    std::erase_if(park_order_, [this](const auto& waiting) {
      const Flow* other = flows_[waiting.first].get();
      return !other || !other->parked || other->parked->serial != waiting.second;
    });
  }
}

void Engine::unpark(Flow& f, Slot& slot) {
  const auto packets = std::move(f.parked->packets);
  const mptcp::Join syn = f.parked->syn;
  const uint64_t now = packets.empty() ? now_ : packets.front().segment.timestamp_ns;
  forget_parked(f);
  if (!attach(f, slot, syn, now)) {
    // attach() has counted one; they were all counted when they came.
    counters_.inspected -= packets.size();
    counters_.dropped_subflow_limit += packets.size() - 1;
    end_flow(f);
    return;
  }
  if (slot.connection.first_number == 0 && !packets.empty()) slot.connection.first_number = packets.front().segment.number;
  for (const ParkedPacket& p : packets) {
    TcpSegment s = p.segment;
    s.options = p.options.data();
    s.payload = p.payload.data();
    Options o;
    mptcp::parse_options(s.option_bytes(), s.flags, s.payload_size > 0, o);
    --counters_.inspected;
    feed(f, s, o, p.direction);
  }
}

// Nobody bears the token (or too many): the joins that bear it are a connection of their own.
void Engine::unpark_alone(Flow& f) {
  const uint32_t token = f.parked->token;
  if (Slot* bearer = bearer_of(token, f, true)) return unpark(f, *bearer);
  const uint64_t now = f.parked->packets.empty() ? now_ : f.parked->packets.front().segment.timestamp_ns;
  Slot* group = orphan_group(token, now);
  if (!group) {
    refuse(Limit::kConnections, AnomalyType::kConnectionLimit, f.initiator, f.responder, 0);
    counters_.inspected -= f.parked->packets.size();
    counters_.dropped_connection_limit += f.parked->packets.size();
    end_flow(f);
    return;
  }
  unpark(f, *group);
  if (!group->connection.members.empty()) {
    on_anomaly(group->connection, AnomalyType::kJoinUnknownToken, group->connection.members.back().get(), std::nullopt,
               {{"token", token}}, {});
  }
}

void Engine::on_token(connection::Connection& c, uint32_t token) {
  Slot& slot = *slot_of(c);
  auto& bearers = tokens_[token];
  bool shared = !bearers.empty();
  if (peers_) shared = peers_->publish(c, token, slot.index, slot.serial) || shared;
  if (shared) on_anomaly(c, AnomalyType::kTokenCollision, nullptr, std::nullopt, {{"token", token}}, {});
  bearers.push_back(slot.index);
  if (parked_.empty()) return;
  for (const int side : {0, 1}) {
    if (c.token_known[side]) tokens_due_.push_back(c.tokens[side]);
  }
}

void Engine::surrender(uint32_t token, const Taker& take) {
  const auto waiting = parked_.find(token);
  if (waiting == parked_.end()) return;
  const std::vector<uint32_t> flows = waiting->second;
  for (const uint32_t index : flows) {
    Flow* flow = flows_[index].get();
    if (!flow || !flow->parked || flow->parked->token != token) continue;
    const auto packets = std::move(flow->parked->packets);
    const FlowKey key = flow->key;
    end_flow(*flow, false);
    for (const ParkedPacket& p : packets) {
      --counters_.inspected;
      TcpSegment s = p.segment;
      s.options = p.options.data();
      s.payload = p.payload.data();
      take(s, key);
    }
  }
}

void Engine::unpark_all() {
  while (!parked_.empty()) unpark_alone(*flows_[parked_.begin()->second.front()]);
  flush_dirty();
}

void Engine::resolve_tokens() {
  while (!tokens_due_.empty()) {
    const uint32_t token = tokens_due_.back();
    tokens_due_.pop_back();
    const auto waiting = parked_.find(token);
    if (waiting == parked_.end()) continue;
    // What an unparked join brings can make tokens known again, and unpark others of this list: look at each anew.
    const std::vector<uint32_t> flows = waiting->second;
    for (const uint32_t index : flows) {
      Flow* flow = flows_[index].get();
      if (!flow || !flow->parked || flow->parked->token != token) continue;
      // Only with both keys can the join be verified, and the connection knows that it is one.
      if (Slot* bearer = bearer_of(token, *flow, false)) unpark(*flow, *bearer);
    }
  }
}

void Engine::on_member(connection::Connection& c, const connection::Member& m) {
  // The first of a group of joins without a connection.
  if (c.id.empty()) {
    name_connection(*slot_of(c));
    if (egress_) egress_begin(*slot_of(c), false);
  }
  tell_joined(c, m.start_ns, false);
}

void Engine::tell_joined(const connection::Connection& c, uint64_t ns, bool started) {
  event::SubflowJoined j;
  j.started = started;
  j.head = c.head();
  j.head.timestamp_ns = ns;
  j.connection_id = c.id;
  j.version = c.version;
  if (c.token_known[0]) j.token_client = c.tokens[0];
  if (c.token_known[1]) j.token_server = c.tokens[1];
  j.subflows = c.member_records();
  listener_.on_joined(j);
}

}  // namespace mptap::worker
