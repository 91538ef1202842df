// SPDX-License-Identifier: Apache-2.0
// What the engine tells the egress: how a connection begins, what it delivers, how it ends; and the packets of plain TCP, to be
// passed on unchanged. lib/egress makes one TCP connection of each MPTCP connection.
#include <algorithm>

#include "worker/engine_state.h"

namespace mptap::worker {

using connection::Connection;
using mptcp::Options;
using packet::TcpSegment;

void Engine::set_egress(egress::Outlet* outlet) {
  egress_ = outlet;
  config_.connection.stream.report_progress = outlet != nullptr;
}

void Engine::pass(const packet::Frame& frame) {
  if (passes_all() && !egress_->pass(frame)) ++egress_->counts.dropped;
}

// Of no connection that is followed. What bears MPTCP belongs to a connection that was given out as TCP, or is not followed.
void Engine::pass(const TcpSegment& s, const Options& o) {
  if (!o.has(Options::kAnyMptcp)) pass(*s.frame);
}

void Engine::egress_begin(Slot& slot, bool seen) {
  const connection::Member& m = *slot.connection.members.front();
  slot.egress = std::make_unique<egress::Session>(*egress_, m.client, m.server, seen);
}

// A packet, before its units are looked at: the handshake goes on, or the packet is passed.
void Engine::egress_packet(Flow& f, const TcpSegment& s, const Options& o, int direction) {
  Slot& slot = *slots_[f.slot];
  if (!slot.egress) {
    if (s.frame == nullptr || outbox_.span_copy || !slot.passing) return;
    const bool fresh = slot.connection.packets == 1;
    slot.passing = !(fresh && !egress_->admits()) && egress_->pass(*s.frame);
    if (!slot.passing) ++(fresh ? egress_->counts.refused : egress_->counts.cut);
    return;
  }
  egress::Session& e = *slot.egress;
  const int side = direction ^ (f.member->reversed ? 1 : 0);
  if (s.flags & packet::kRst) slot.ended_by = static_cast<uint8_t>(side);
  if (o.has(Options::kFastClose)) slot.ended_by = static_cast<uint8_t>(side);
  if (e.established() || f.member->id != 0) return;
  const auto& half = f.subflow.half;
  for (const int d : {0, 1}) {
    if (half[d].isn_known) e.know_isn(d ^ (f.member->reversed ? 1 : 0), half[d].isn);
  }
  if ((s.flags & packet::kSyn) && o.has(Options::kMss)) e.know_mss(side, o.mss);
  if (half[0].syn_seen) e.syn(now_);
  if (half[0].syn_seen && half[1].syn_seen) e.syn_ack(now_);
  if (half[1].syn_seen && f.subflow.phase == subflow::Phase::kEstablished) e.establish(now_);
}

void Engine::on_delivered(Connection& c, int d, uint64_t offset, std::span<const uint8_t> bytes) {
  if (egress::Session* e = slot_of(c)->egress.get()) e->data(d, offset, bytes, now_);
}

void Engine::on_acknowledged(Connection& c, int d, uint64_t offset) {
  if (egress::Session* e = slot_of(c)->egress.get()) e->acknowledged(d, offset);
}

// Behind each packet: acknowledgements that no segment has carried, and the end where it has come.
void Engine::egress_settle(Slot& slot) {
  if (!slot.egress) return;
  egress::Session& e = *slot.egress;
  Connection& c = slot.connection;
  for (const int d : {0, 1}) {
    const stream::Stream* st = c.streams[d].get();
    if (!e.fin_sent(d) && st && st->finished()) e.fin(d, st->fin(), now_);
  }
  e.settle(now_);
  if (e.take_made_handshake()) on_anomaly(c, event::AnomalyType::kEgressHandshakeMade, nullptr, std::nullopt, {}, {});
  const auto was_reset = [](const auto& m) { return m->reset; };
  if (e.reset() || !(c.fast_closed || std::any_of(c.members.begin(), c.members.end(), was_reset))) return;
  const event::End end = c.end();
  // What waits behind a hole may still be delivered; then the end is told when the connection is closed.
  if ((end == event::End::kFastClose || end == event::End::kReset) && !is_waiting(slot)) e.rst(slot.ended_by, now_);
}

void Engine::egress_finish(Slot& slot) {
  egress_settle(slot);
  egress::Session& e = *slot.egress;
  const event::End end = slot.connection.end();
  if (end == event::End::kFastClose || end == event::End::kReset) e.rst(slot.ended_by, now_);
  e.finish(now_);
}

}  // namespace mptap::worker
