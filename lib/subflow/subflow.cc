// SPDX-License-Identifier: Apache-2.0
#include "subflow/subflow.h"

#include <algorithm>

#include "mptcp/sequence.h"

namespace mptap::subflow {

using packet::kAck;
using packet::kFin;
using packet::kRst;
using packet::kSyn;

int64_t Half::distance(uint32_t seq) const {
  return static_cast<int64_t>(mptcp::expand(next, seq - isn));
}

uint64_t Half::relative(uint32_t seq) const {
  // Below the ISN: an old segment, kept apart from the huge numbers that a wrap would make.
  return static_cast<uint64_t>(std::max<int64_t>(distance(seq), 0));
}

Subflow::~Subflow() {
  for (Half& h : half) {
    h.queue.clear(pool_);
    pool_.release(h.syn_data, h.syn_data_size);
  }
}

void Subflow::set_account(stream::Account* account) {
  account_ = account;
  for (Half& h : half) h.queue.set_account(account);
}

bool Subflow::is_new_connection(const packet::TcpSegment& syn) const {
  if (half[0].isn_known && half[0].syn_seen && syn.seq == half[0].isn) return false;
  if (phase == Phase::kClosed || phase == Phase::kSynSent) return true;
  if (half[0].fin_delivered && half[1].fin_delivered) return true;
  return syn.timestamp_ns > last_ns + config_.syn_reuse_ns;
}

void Subflow::on_syn(const packet::TcpSegment& s, const mptcp::Options& o, int d, Outbox& out) {
  Half& h = half[d];
  Half& r = half[1 - d];
  if (h.isn_known && s.seq != h.isn) {
    out.reports.push_back({TcpFinding::kSynInEstablished, static_cast<uint8_t>(d), s.seq, h.isn});
    return;
  }
  const bool first = !h.syn_seen;
  h.syn_seen = h.isn_known = true;
  h.isn = s.seq;
  h.timestamps = o.has(mptcp::Options::kTimestamps);
  h.md5 = o.has(mptcp::Options::kMd5OrAo);
  h.window_scale_seen = o.has(mptcp::Options::kWindowScale);
  h.window_scale = h.window_scale_seen ? o.window_scale : 0;
  if (h.timestamps && first) h.ts_recent = o.tsval;
  if (first) h.ttl = s.ttl;
  if (s.flags & kAck) {
    if (phase == Phase::kSynSent) phase = Phase::kSynReceived;
    if (!r.isn_known) {
      r.isn_known = true;
      r.isn = s.ack - 1;
    }
    const uint64_t acked = r.relative(s.ack);
    r.acks_seen = true;
    r.acked = std::max(r.acked, acked);
    r.window_edge = std::max<uint64_t>(r.window_edge, acked + s.window);
    if (r.syn_data && acked == 1ull + r.syn_data_size) {
      Unit u;
      u.kind = UnitKind::kFastOpen;
      u.direction = static_cast<uint8_t>(1 - d);
      u.bytes = r.syn_data;
      u.size = r.syn_data_size;
      u.timestamp_ns = s.timestamp_ns;
      u.number = s.number;
      out.units.push_back(u);
      out.blocks.push_back({r.syn_data, r.syn_data_size});
      r.fast_open = r.syn_data_size;
      r.next = r.highest = acked;
      r.syn_data = nullptr;
      r.syn_data_size = 0;
    }
  } else if (s.payload_size > 0 && !h.syn_data) {
    h.syn_data_size = s.payload_size;
    h.syn_data = pool_.allocate(s.payload_size);
    std::memcpy(h.syn_data, s.payload, s.payload_size);
  }
  Unit u;
  u.direction = static_cast<uint8_t>(d);
  u.options = &o;
  u.timestamp_ns = s.timestamp_ns;
  u.number = s.number;
  out.units.push_back(u);
}

void Subflow::on_rst(const packet::TcpSegment& s, const mptcp::Options& o, int d, Outbox& out) {
  Half& h = half[d];
  const Half& r = half[1 - d];
  bool hits;
  if (!h.isn_known || (phase == Phase::kSynSent && d == 1)) {
    hits = (s.flags & kAck) && r.isn_known && (s.ack == r.isn + 1 || s.ack == r.isn + 1 + r.syn_data_size);
  } else {
    // RFC 5961: exactly the next number. The tap may be ahead of the receiver by what was lost behind it, or behind it by
    // what itself lost.
    const uint64_t at = h.relative(s.seq);
    hits = at == h.next || at == h.acked || at == h.highest;
  }
  if (!hits) {
    out.reports.push_back({TcpFinding::kRstOutOfPlace, static_cast<uint8_t>(d), h.isn_known ? h.relative(s.seq) : s.seq, h.next});
    rst_pending = true;
    return;
  }
  phase = Phase::kClosed;
  Unit u;
  u.kind = UnitKind::kRst;
  u.direction = static_cast<uint8_t>(d);
  u.options = &o;
  u.timestamp_ns = s.timestamp_ns;
  u.number = s.number;
  out.units.push_back(u);
}

bool Subflow::is_copy(const packet::TcpSegment& s, const mptcp::Options& o, Half& h) const {
  const bool has_id = !s.v6 && s.ip_id != 0;
  if (!has_id && s.payload_size == 0 && !(s.flags & (kSyn | kFin | kRst))) return false;
  uint64_t x = static_cast<uint64_t>(s.seq) << 32 | s.ack;
  x ^= (static_cast<uint64_t>(s.tcp_checksum) << 48 | static_cast<uint64_t>(s.ip_id) << 32 | s.payload_size) *
       0x9e3779b97f4a7c15ull;
  x ^= (static_cast<uint64_t>(s.flags) << 32 | s.window) * 0xc2b2ae3d27d4eb4full;
  if (o.has(mptcp::Options::kTimestamps)) x ^= o.tsval * 0x165667b19e3779f9ull;
  x *= 0xff51afd7ed558ccdull;
  const uint32_t hash = static_cast<uint32_t>(x >> 32) | 1;
  const uint32_t now = static_cast<uint32_t>(s.timestamp_ns / 1000);
  // Without an IP id only the millisecond of the TCP timestamp tells a copy from a retransmission.
  const uint32_t window = static_cast<uint32_t>(has_id ? config_.span_window_ns / 1000 : 1000);
  for (const auto& p : h.prints) {
    if (p.hash == hash && now - p.time_us <= window) return true;
  }
  h.prints[h.print_at] = {hash, now};
  h.print_at = static_cast<uint8_t>((h.print_at + 1) % h.prints.size());
  return false;
}

void Subflow::on_ack(const packet::TcpSegment& s, int d, Outbox& out) {
  Half& h = half[d];
  Half& r = half[1 - d];
  const uint64_t acked = r.relative(s.ack);
  r.acks_seen = true;
  if (acked > r.acked) r.acked = acked;
  if (phase == Phase::kSynReceived && d == 0) phase = Phase::kEstablished;
  const uint32_t window = static_cast<uint32_t>(s.window) << (scaled() ? h.window_scale : 0);
  h.max_window = std::max(h.max_window, window);
  r.window_edge = std::max(r.window_edge, acked + window);
  if (!r.queue.empty()) {
    if (s.timestamp_ns >= r.ack_slot_ns + config_.loss_grace_ns) {
      r.settled_ack = r.ack_slot_ns == 0 ? 0 : r.pending_ack;
      r.pending_ack = r.acked;
      r.ack_slot_ns = s.timestamp_ns;
    }
    if (r.settled_ack > r.next) settle(1 - d, r.settled_ack, false, out);
  }
}

Doubt Subflow::doubt(const packet::TcpSegment& s, const mptcp::Options& o, int d, uint64_t start, uint64_t end, Outbox& out) {
  Half& h = half[d];
  const Half& r = half[1 - d];
  const auto report = [&](TcpFinding f, uint64_t a, uint64_t b) { out.reports.push_back({f, static_cast<uint8_t>(d), a, b}); };
  if (phase == Phase::kClosed) return Doubt::kAfterRst;
  if (h.timestamps && r.timestamps && o.has(mptcp::Options::kTimestamps)) {
    if (static_cast<int32_t>(h.ts_recent - o.tsval) > 1) {
      report(TcpFinding::kPaws, h.ts_recent, o.tsval);
      return Doubt::kPaws;
    }
    if (start <= std::max(h.acked, h.next) && start <= h.next && static_cast<int32_t>(o.tsval - h.ts_recent) > 0)
      h.ts_recent = o.tsval;
  }
  if (h.syn_seen && r.syn_seen && r.seen && h.window_edge != 0 && end > h.window_edge) {
    if (start >= h.window_edge && end > start) report(TcpFinding::kOutOfWindow, start, h.window_edge);
    return Doubt::kOutOfWindow;
  }
  if (r.seen && r.isn_known) {
    // Who acknowledges a segment with a low TTL has got it.
    const int64_t highest = static_cast<int64_t>(std::max(r.highest, r.low_ttl_to));
    const int64_t ack = r.distance(s.ack), acked = static_cast<int64_t>(r.acked);
    if (ack > highest || acked - ack > std::max(h.max_window, 1u << 16)) {
      if (s.payload_size > 0) report(TcpFinding::kBadAck, static_cast<uint64_t>(std::max<int64_t>(ack, 0)), r.highest);
      return Doubt::kBadAck;
    }
  }
  if (h.ttl != 0 && s.ttl != h.ttl && s.payload_size > 0) {
    report(TcpFinding::kTtlJump, h.ttl, s.ttl);
    if (s.ttl < h.ttl) return Doubt::kTtl;
  }
  return Doubt::kNone;
}

void Subflow::advance(const packet::TcpSegment& s, const mptcp::Options& o, int d, Outbox& out) {
  Half& h = half[d];
  Half& r = half[1 - d];
  out.span_copy = is_copy(s, o, h);
  if (out.span_copy && s.payload_size == 0) return;
  h.seen = true;
  if (s.flags & kSyn) {
    if (!out.span_copy) on_syn(s, o, d, out);
    last_ns = s.timestamp_ns;
    return;
  }
  if (s.flags & kRst) {
    on_rst(s, o, d, out);
    return;
  }
  last_ns = s.timestamp_ns;
  if (!(s.flags & kAck)) {
    out.reports.push_back({TcpFinding::kNoAckFlag, static_cast<uint8_t>(d), s.seq, s.payload_size});
    return;
  }
  if (o.has(mptcp::Options::kMd5OrAo) != h.md5 && h.syn_seen) {
    out.reports.push_back({TcpFinding::kUnexpectedMd5, static_cast<uint8_t>(d), s.seq, s.payload_size});
    return;
  }
  if (!h.isn_known) {
    h.isn_known = true;
    h.isn = s.seq - 1;
  }
  if (!r.isn_known) {
    r.isn_known = true;
    r.isn = s.ack - 1;
  }
  if (h.ttl == 0) h.ttl = s.ttl;
  if ((s.flags & packet::kUrg) && s.payload_size > 0) {
    out.reports.push_back({TcpFinding::kUrgentData, static_cast<uint8_t>(d), h.relative(s.seq), s.payload_size});
  }
  const uint64_t start = h.relative(s.seq);
  std::span<const uint8_t> payload = s.payload_bytes();
  // What lies before the ISN is nothing of the stream.
  if (const int64_t before = -h.distance(s.seq); before > 0) {
    payload = payload.subspan(std::min(payload.size(), static_cast<size_t>(before)));
  }
  const uint64_t end = start + payload.size();

  Unit unit;
  unit.direction = static_cast<uint8_t>(d);
  unit.timestamp_ns = s.timestamp_ns;
  unit.number = s.number;
  unit.span_copy = out.span_copy;
  if (o.has(mptcp::Options::kDss)) {
    unit.has_dss = true;
    unit.dss = o.dss;
  }
  if (!out.span_copy) {
    unit.doubt = doubt(s, o, d, start, end, out);
    if (unit.doubt == Doubt::kNone || unit.doubt == Doubt::kTtl || unit.doubt == Doubt::kAfterRst) {
      on_ack(s, d, out);
      unit.tcp_ack = true;
      unit.ack = r.relative(s.ack) - r.fast_open;
      unit.window = static_cast<uint32_t>(s.window) << (scaled() ? h.window_scale : 0);
    }
    if (unit.doubt == Doubt::kTtl) h.low_ttl_to = std::max(h.low_ttl_to, end);
    if (unit.doubt == Doubt::kBadAck) {
      const int64_t acked = r.distance(s.ack);
      unit.ack = r.relative(s.ack);
      if (acked > static_cast<int64_t>(r.highest)) claim(unit, static_cast<uint64_t>(acked));
      if ((s.flags & kFin) && r.claimed && h.claimed_fin == ~0ull) h.claimed_fin = end;
    }
    if (unit.doubt == Doubt::kNone) {
      if (r.claimed) answer_claim(1 - d, r.relative(s.ack), out);
      rst_pending = rst_pending && d == 0 ? rst_pending : false;
      if (s.flags & kFin) {
        if (h.fin_at == ~0ull) h.fin_at = end;
      }
      h.highest = std::max(h.highest, end + ((s.flags & kFin) ? 1 : 0));
    }
  }
  // An option of an old pure ACK comes too late for the host.
  const bool old = s.payload_size == 0 && end < h.acked && unit.doubt == Doubt::kNone;
  constexpr uint32_t kSignals = mptcp::Options::kAnyMptcp & ~mptcp::Options::kDss;
  const bool signals = !out.span_copy && o.has(kSignals | mptcp::Options::kMalformedMptcp | mptcp::Options::kUnknownSubtype |
                                               mptcp::Options::kSeveralDss | mptcp::Options::kMalformedTcp);
  if (signals || s.payload_size == 0) {
    Unit signal = unit;
    signal.kind = UnitKind::kSignal;
    signal.options = signals ? &o : nullptr;
    signal.ssn = start >= h.fast_open ? start - h.fast_open : 0;
    if (old) signal.doubt = Doubt::kOutOfWindow;
    if (s.payload_size > 0) signal.has_dss = signal.tcp_ack = false;
    out.units.push_back(signal);
  }
  if (s.payload_size > 0) on_payload(payload, start, d, unit, out);
  check_fin(d, s.timestamp_ns, s.number, out);
}

void Subflow::on_payload(std::span<const uint8_t> payload, uint64_t start, int d, Unit& unit, Outbox& out) {
  Half& h = half[d];
  // A copy of what was acknowledged before it came: the host had taken what the doubtful segments brought.
  const uint64_t taken = std::min(h.acked, h.fin_at);
  while (start < taken && !h.queue.empty() && h.queue.first().doubtful && h.queue.first_start() <= h.next &&
         h.queue.first().end <= taken) {
    take_doubtful(d, out);
    drain(d, out);
  }
  uint64_t end = start + payload.size();
  if (h.fin_at != ~0ull && end > h.fin_at && unit.doubt == Doubt::kNone) {
    if (start >= h.fin_at || end > h.fin_at) {
      out.reports.push_back(
          {TcpFinding::kDataAfterFin, static_cast<uint8_t>(d), std::max(start, h.fin_at), end - std::max(start, h.fin_at)});
    }
    if (start >= h.fin_at) return;
    payload = payload.first(h.fin_at - start);
    end = h.fin_at;
  }
  if (start < h.next) {
    const uint64_t stop = std::min(end, h.next);
    // A keep-alive or window probe repeats a byte below the first one as well: nothing of the stream.
    const uint64_t from = std::max<uint64_t>(start, 1 + h.fast_open);
    if (stop > from) {
      Unit u = unit;
      u.kind = UnitKind::kRepeat;
      u.ssn = from - h.fast_open;
      u.bytes = payload.data() + (from - start);
      u.size = static_cast<uint32_t>(stop - from);
      if (end > h.next) u.tcp_ack = false;
      out.units.push_back(u);
    } else if (end <= h.next) {
      Unit u = unit;
      u.kind = UnitKind::kSignal;
      out.units.push_back(u);
    }
    if (end <= h.next) return;
    payload = payload.subspan(h.next - start);
    start = h.next;
  }
  if (unit.span_copy) {
    // The tap's second copy never takes the place of the first, whose doubts it has not been asked for.
    SegmentMeta copy;
    copy.span_copy = true;
    copy.timestamp_ns = unit.timestamp_ns;
    copy.number = unit.number;
    h.queue.add_loser(start, payload, copy, pool_);
    return;
  }
  if (start == h.next && h.queue.empty() && unit.doubt == Doubt::kNone) {
    unit.kind = UnitKind::kData;
    unit.ssn = start - h.fast_open;
    unit.bytes = payload.data();
    unit.size = static_cast<uint32_t>(payload.size());
    unit.after_loss = h.after_loss;
    h.after_loss = false;
    out.units.push_back(unit);
    h.next = end;
    return;
  }
  if (unit.tcp_ack || unit.has_dss) {
    // The packet's acknowledgements take effect now, whatever becomes of its payload.
    Unit signal = unit;
    signal.kind = UnitKind::kSignal;
    signal.dss.has_map = false;
    signal.dss.data_fin = false;
    out.units.push_back(signal);
  }
  const uint32_t cost = stream::BlockPool::cost(static_cast<uint32_t>(payload.size()));
  const auto own_over = [&] { return h.queue.memory() + cost > config_.hold_bytes; };
  const auto over = [&] { return own_over() || (account_ != nullptr && !account_->has_room(cost)); };
  if (start > h.next && over()) {
    settle(d, h.acks_seen ? h.acked : ~0ull, false, out);
    if (start > h.next && over()) {
      if (account_ != nullptr) account_->refused(own_over(), cost);
      out.reports.push_back({TcpFinding::kHoldLimit, static_cast<uint8_t>(d), start, payload.size()});
      return;
    }
    if (start < h.next) return;
  }
  SegmentMeta meta;
  meta.dss = unit.dss;
  meta.has_dss = unit.has_dss;
  meta.span_copy = unit.span_copy;
  meta.doubt = unit.doubt;
  meta.timestamp_ns = unit.timestamp_ns;
  meta.number = unit.number;
  if (unit.doubt == Doubt::kBadAck) meta.ack = unit.ack;
  h.queue.insert(start, payload, meta, unit.doubt != Doubt::kNone, config_.policy, pool_);
  drain(d, out);
}

void Subflow::emit_held(int d, uint64_t start, const Held& held, Outbox& out) {
  Half& h = half[d];
  out.blocks.push_back({held.block, held.block_size});
  Unit u;
  u.direction = static_cast<uint8_t>(d);
  u.has_dss = held.meta.has_dss;
  u.dss = held.meta.dss;
  u.dss.has_ack = false;
  u.timestamp_ns = held.meta.timestamp_ns;
  u.number = held.meta.number;
  if (start < h.next) {
    // It shared bytes with a held segment that starts earlier.
    u.kind = UnitKind::kRepeat;
    u.span_copy = held.meta.span_copy;
    u.ssn = start - h.fast_open;
    u.bytes = held.bytes();
    u.size = static_cast<uint32_t>(std::min(held.end, h.next) - start);
    out.units.push_back(u);
    u.span_copy = false;
  }
  if (held.end <= h.next) return;
  u.kind = UnitKind::kData;
  u.ssn = h.next - h.fast_open;
  u.bytes = held.bytes() + (h.next - start);
  u.size = static_cast<uint32_t>(held.end - h.next);
  u.after_loss = h.after_loss;
  u.above_hole = h.above_hole;
  if (held.meta.doubt == Doubt::kTtl) h.ttl = 0;  // the receiver took it: its route is the new normal
  h.after_loss = false;
  h.next = held.end;
  out.units.push_back(u);
}

void Subflow::drain(int d, Outbox& out) {
  Half& h = half[d];
  while (!h.queue.empty() && h.queue.first_start() <= h.next && !h.queue.first().doubtful) {
    const auto [start, held] = h.queue.pop_first();
    emit_held(d, start, held, out);
  }
  if (h.queue.has_losers()) report_losers(d, h.next, out);
}

void Subflow::report_losers(int d, uint64_t edge, Outbox& out) {
  Half& h = half[d];
  h.queue.take_losers(edge, [&](auto& l) {
    Unit u;
    u.kind = UnitKind::kRepeat;
    u.direction = static_cast<uint8_t>(d);
    u.span_copy = l.meta.span_copy;
    u.ssn = l.start - h.fast_open;
    u.size = static_cast<uint32_t>(l.end - l.start);
    u.bytes = l.block;
    u.timestamp_ns = l.meta.timestamp_ns;
    u.number = l.meta.number;
    if (l.meta.doubt == Doubt::kNone) {
      u.has_dss = l.meta.has_dss;
      u.dss = l.meta.dss;
      u.dss.has_ack = false;
    }
    u.doubt = l.meta.doubt;
    out.units.push_back(u);
    if (l.block) out.blocks.push_back({l.block, l.block_size});
  });
}

void Subflow::take_doubtful(int d, Outbox& out) {
  Half& h = half[d];
  const auto [start, held] = h.queue.pop_first();
  if (held.meta.doubt == Doubt::kBadAck) {
    // The receiver took it, so what it acknowledges was sent: the tap lost it.
    Half& r = half[1 - d];
    r.highest = std::max(r.highest, held.meta.ack);
    r.acked = std::max(r.acked, held.meta.ack);
  }
  emit_held(d, start, held, out);
}

void Subflow::settle(int d, uint64_t acknowledged, bool at_end, Outbox& out) {
  Half& h = half[d];
  acknowledged = std::min(acknowledged, h.fin_at);  // the FIN has a number of its own
  while (!h.queue.empty()) {
    const uint64_t start = h.queue.first_start();
    if (start > h.next) {
      if (acknowledged < start && !at_end) break;
      if (const uint64_t from = std::max(h.next, h.lost_to); from < start && (acknowledged >= start || !h.acks_seen)) {
        Unit u;
        u.kind = UnitKind::kTapLoss;
        u.direction = static_cast<uint8_t>(d);
        u.ssn = from - h.fast_open;
        u.size = static_cast<uint32_t>(start - from);
        out.units.push_back(u);
      }
      h.above_hole = h.above_hole || (h.acks_seen && acknowledged < start);
      h.after_loss = true;
      h.next = start;
    } else if (h.queue.first().doubtful) {
      if (acknowledged <= h.next && !at_end) break;
      if (acknowledged > h.next || !h.acks_seen) {
        take_doubtful(d, out);
      } else {
        const Held dropped = h.queue.pop_first().second;
        pool_.release(dropped.block, dropped.block_size);
      }
    }
    drain(d, out);
  }
}

void Subflow::check_fin(int d, uint64_t ts, uint64_t number, Outbox& out) {
  Half& h = half[d];
  if (h.fin_delivered || h.next < h.fin_at) return;
  h.fin_delivered = true;
  Unit u;
  u.kind = UnitKind::kFin;
  u.direction = static_cast<uint8_t>(d);
  u.ssn = h.fin_at - h.fast_open;
  u.timestamp_ns = ts;
  u.number = number;
  out.units.push_back(u);
}

// signal: of the side that acknowledges. Only what fits into the window that it granted can have been sent.
void Subflow::claim(const Unit& signal, uint64_t acked) {
  Half& h = half[1 - signal.direction];
  if (acked > h.window_edge + 1) return;
  if (!h.claim) h.claim = std::make_unique<Unit>();
  Unit u = signal;
  u.kind = UnitKind::kSignal;
  u.doubt = Doubt::kNone;
  u.tcp_ack = true;
  u.ack = acked;
  // A DATA_FIN alone stands as long as what it came with.
  if (!(u.has_dss && u.dss.data_fin && u.dss.length == 1)) u.dss.has_map = u.dss.data_fin = false;
  if (h.claimed && acked >= h.claim->ack && h.claim->has_dss) {
    // What the earlier claims said stands until a later one says it anew.
    mptcp::Dss dss = u.has_dss && u.dss.data_fin ? u.dss : h.claim->dss;
    const mptcp::Dss& ack = u.has_dss && u.dss.has_ack ? u.dss : h.claim->dss;
    dss.has_ack = ack.has_ack;
    dss.ack = ack.ack;
    dss.ack8 = ack.ack8;
    u.has_dss = true;
    u.dss = dss;
  }
  *h.claim = u;
  h.claimed = true;
}

// A later ACK of the same side: acknowledgements never go back.
void Subflow::answer_claim(int d, uint64_t acked, Outbox& out) {
  Half& h = half[d];
  h.claimed = false;
  if (acked < h.claim->ack) {
    half[1 - d].claimed_fin = ~0ull;
    out.reports.push_back({TcpFinding::kBadAck, static_cast<uint8_t>(1 - d), h.claim->ack, h.highest});
  } else if (h.claim->dss.data_fin) {
    accept_claim(d, out);
  }
}

void Subflow::accept_claim(int d, Outbox& out) {
  Half& h = half[d];
  believe_claim(d);
  h.claimed = false;
  // What this subflow's own numbers show as lost comes before the DATA_ACK that passes it.
  if (!h.queue.empty()) settle(d, h.acked, false, out);
  tell_lost_tail(d, out);
  Unit u = *h.claim;
  u.ack -= h.fast_open;
  out.units.push_back(u);
}

void Subflow::believe_claim(int d) {
  Half& h = half[d];
  Half& claimant = half[1 - d];
  h.acked = std::max(h.acked, h.claim->ack);
  h.highest = std::max(h.highest, h.claim->ack);
  if (claimant.fin_at == ~0ull) claimant.fin_at = claimant.claimed_fin;
}

// Acknowledged bytes behind the last ones seen. `next` stays: should the ACK have been forged, they still come.
void Subflow::tell_lost_tail(int d, Outbox& out) {
  Half& h = half[d];
  const uint64_t acked = std::min(h.acked, h.fin_at), from = std::max(h.next, h.lost_to);
  // The last number may be that of a FIN that was not seen either: where no byte is missing it does not count.
  if (!h.seen || acked <= from) return;
  Unit u;
  u.kind = UnitKind::kTapLoss;
  u.direction = static_cast<uint8_t>(d);
  u.ssn = from - h.fast_open;
  u.size = static_cast<uint32_t>(acked - from);
  out.units.push_back(u);
  h.lost_to = acked;
}

void Subflow::tick(uint64_t now, Outbox& out) {
  for (int d = 0; d < 2; ++d) {
    Half& h = half[d];
    if (h.claimed && now >= h.claim->timestamp_ns + config_.loss_grace_ns) {
      accept_claim(d, out);
      check_fin(1 - d, now, 0, out);
    }
    if (h.queue.empty()) continue;
    if (now >= h.ack_slot_ns + config_.loss_grace_ns) {
      h.settled_ack = h.ack_slot_ns == 0 ? 0 : h.pending_ack;
      h.pending_ack = h.acked;
      h.ack_slot_ns = now;
    }
    if (h.settled_ack > h.next) {
      settle(d, h.settled_ack, false, out);
      check_fin(d, now, 0, out);
    }
  }
}

void Subflow::close(Outbox& out) {
  for (int d = 0; d < 2; ++d) {
    if (half[d].claimed) believe_claim(d);
  }
  for (int d = 0; d < 2; ++d) {
    Half& h = half[d];
    const bool claimed = h.claimed;
    settle(d, h.acked, true, out);
    report_losers(d, ~0ull, out);
    tell_lost_tail(d, out);
    if (h.seen) h.next = std::max(h.next, std::min(h.acked, h.fin_at));
    check_fin(d, last_ns, 0, out);
    if (claimed) accept_claim(d, out);
  }
}

}  // namespace mptap::subflow
