// SPDX-License-Identifier: Apache-2.0
#include "connection/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mptap::connection {

using event::AnomalyType;
using event::Join;
using subflow::Doubt;
using subflow::Unit;
using subflow::UnitKind;

Connection::Connection(const ConnectionConfig& config, stream::BlockPool& pool, stream::WorkerAccount& worker, Observer& observer,
                       uint64_t flow)
    : flow_id(flow), account(config.hold_bytes, worker), config_(config), pool_(pool), observer_(observer) {}

Connection::~Connection() = default;

void Connection::on_unit(Member& m, const Unit& u) {
  const int dir = u.direction ^ (m.reversed ? 1 : 0);
  if (picked_up && (m.map[0].shift | m.map[1].shift) != 0 && !u.shifted) {
    Unit shifted = u;
    shifted.shifted = true;
    shifted.ssn += m.map[dir].shift;
    shifted.ack += m.map[1 - dir].shift;
    return on_unit(m, shifted);
  }
  if (m.join != Join::kFailed && u.kind != UnitKind::kRst && u.kind != UnitKind::kTapLoss) direction_seen[dir] = true;
  if (m.join != Join::kInitial && u.direction == 1 && m.has_third_ack && u.kind != UnitKind::kRst) m.confirmed = true;
  if (late && u.has_dss && u.doubt == Doubt::kNone && (u.dss.has_ack || u.dss.has_map)) pick_up();
  if (u.options && u.kind == UnitKind::kSignal) {
    on_handshake(m, u);
    on_options(m, dir, u);
  }
  if (mode == Mode::kUndecided && m.join == Join::kInitial && u.kind != UnitKind::kRst && m.has_synack + m.has_third_ack > 0)
    on_first_ack(m, u);
  if (u.has_dss && u.dss.has_ack && u.doubt == Doubt::kNone && mode == Mode::kMptcp && m.join != Join::kFailed &&
      !m.map[1 - dir].infinite) {
    on_data_ack(dir, u);
  }
  if (u.tcp_ack && m.map[1 - dir].infinite) {
    const MapState& s = m.map[1 - dir];
    acks_seen_[1 - dir] = true;
    if (u.ack >= s.ssn) stream(1 - dir).acknowledge(s.offset + (u.ack - s.ssn), u.timestamp_ns);
  }
  switch (u.kind) {
    case UnitKind::kSignal:
      // RFC 8684 section 3.3.3: a DATA_FIN alone rides on a packet without data.
      if (u.has_dss && u.dss.has_map && u.dss.data_fin && u.dss.length == 1 && u.doubt == Doubt::kNone && mode == Mode::kMptcp &&
          m.join != Join::kFailed && !m.map[dir].infinite) {
        data_fin(m, dir, u.dss, carrier(m, u, u.ssn));
      }
      return;
    case UnitKind::kRst:
      if (u.options) on_options(m, dir, u);
      observer_.on_change(*this);
      m.reset = true;
      m.end_ns = u.timestamp_ns;
      if (m.join != Join::kInitial && !m.confirmed)
        fail_join(m, AnomalyType::kJoinRefused, m.has_synack ? "after SYN/ACK" : "SYN");
      return;
    case UnitKind::kFastOpen: return on_fast_open(m, dir, u);
    default: break;
  }
  if (mode == Mode::kUndecided) {
    if (u.kind == UnitKind::kFin && !synack_seen_ && !first_ack_seen_) return;
    return hold_undecided(m, u);
  }
  if (mode == Mode::kMptcp && without_key_ && !fallback && !key_known[0] && u.kind == UnitKind::kData && !acks_seen_[0]) {
    for (int d = 0; d < 2; ++d) fall_back(m, d, 1, "handshake_without_key");
  }
  switch (u.kind) {
    case UnitKind::kData:
      if (m.reset) {
        m.reset = false;
        m.end_ns = 0;
      }
      on_data(m, dir, u);
      break;
    case UnitKind::kRepeat: on_repeat(m, dir, u); break;
    case UnitKind::kTapLoss: on_tap_loss(m, dir, u); break;
    case UnitKind::kFin: on_fin(m, dir, u); break;
    default: break;
  }
}

void Connection::on_report(Member& m, const subflow::TcpReport& r) {
  using subflow::TcpFinding;
  const int dir = r.direction ^ (m.reversed ? 1 : 0);
  AnomalyType type{};
  switch (r.finding) {
    case TcpFinding::kNoAckFlag: type = AnomalyType::kTcpNoAckFlag; break;
    case TcpFinding::kPaws: type = AnomalyType::kTcpPaws; break;
    case TcpFinding::kOutOfWindow: type = AnomalyType::kTcpOutOfWindow; break;
    case TcpFinding::kBadAck: type = AnomalyType::kTcpBadAck; break;
    case TcpFinding::kTtlJump: type = AnomalyType::kTcpTtlJump; break;
    case TcpFinding::kUnexpectedMd5: type = AnomalyType::kTcpUnexpectedMd5; break;
    case TcpFinding::kRstOutOfPlace: type = AnomalyType::kTcpRstOutOfPlace; break;
    case TcpFinding::kSynInEstablished: type = AnomalyType::kTcpSynInEstablished; break;
    case TcpFinding::kDataAfterFin: type = AnomalyType::kDataAfterFin; break;
    case TcpFinding::kUrgentData: type = AnomalyType::kUrgentData; break;
    case TcpFinding::kHoldLimit: type = AnomalyType::kReassemblyLimit; break;
    case TcpFinding::kMalformedOption: type = AnomalyType::kMalformedOption; break;
  }
  tell(type, &m, dir, {{"a", r.a}, {"b", r.b}});
}

void Connection::tick(uint64_t now) {
  for (auto& s : streams) {
    if (s && s->waiting()) s->tick(now);
  }
}

void Connection::close(bool by_timeout) {
  if (closed) return;
  timed_out = by_timeout;
  if (mode == Mode::kUndecided) {
    // Nothing showed that both hosts took MPTCP up; with a SYN/ACK that did, the first packets say fallback.
    const bool taken = synack_capable_;
    decide(taken ? Mode::kMptcp : Mode::kPlain);
  }
  for (const auto& m : members) {
    for (int dir = 0; dir < 2; ++dir) close_map(*m, dir);
  }
  for (int dir = 0; dir < 2; ++dir) {
    const bool sender_closed =
        std::all_of(members.begin(), members.end(), [&](const auto& m) { return m->join == Join::kFailed || m->fin[dir]; });
    if (streams[dir]) streams[dir]->close(direction_seen[1 - dir], sender_closed);
  }
  closed = true;
}

bool Connection::all_members_closed() const {
  return !members.empty() && std::all_of(members.begin(), members.end(), [](const auto& m) { return m->closed(); });
}

event::End Connection::end() const {
  if (fast_closed) return event::End::kFastClose;
  const auto finished = [&](int dir) { return streams[dir] && streams[dir]->finished(); };
  const bool tcp_only = mode == Mode::kPlain || fallback;
  const auto fin = [&](int dir) {
    if (finished(dir)) return true;
    return tcp_only && std::any_of(members.begin(), members.end(), [&](const auto& m) { return m->fin[dir]; });
  };
  if (fin(0) && fin(1)) return event::End::kDataFin;
  if ((fin(0) || fin(1)) && all_members_closed()) return event::End::kDataFin;
  const bool any =
      std::any_of(members.begin(), members.end(), [](const auto& m) { return m->reset && m->join != Join::kFailed; });
  if (any && all_members_closed()) return event::End::kReset;
  if (!members.empty() && all_members_closed() && members.front()->reset) return event::End::kReset;
  return timed_out ? event::End::kTimeout : event::End::kOpen;
}

event::State Connection::state() const {
  const event::End e = end();
  if (e != event::End::kOpen) return event::State::kClosed;
  const auto finished = [&](int dir) { return streams[dir] && streams[dir]->finished(); };
  if (finished(0) || finished(1)) return event::State::kClosing;
  for (const auto& m : members) {
    if (m->fin[0] || m->fin[1]) return event::State::kClosing;
  }
  const bool data = streams[0] || streams[1];
  const bool established = data || (!members.empty() && members.front()->has_third_ack) || key_known[0];
  return established ? event::State::kEstablished : event::State::kHandshake;
}

event::Head Connection::head() const {
  event::Head h;
  h.timestamp_ns = last_ns;
  h.flow_id = flow_id;
  h.packet_number = last_number;
  h.serial = serial;
  if (!members.empty()) {
    h.src = members.front()->client;
    h.dst = members.front()->server;
  }
  return h;
}

std::vector<event::SubflowRecord> Connection::member_records() const {
  std::vector<event::SubflowRecord> records;
  for (const auto& m : members) {
    event::SubflowRecord s;
    s.id = m->id;
    s.src = m->client;
    s.dst = m->server;
    s.address_id = m->address_id;
    s.backup = m->backup;
    s.opened_by_server = m->reversed;
    s.join = m->join;
    s.bytes = m->bytes;
    s.packets = m->packets;
    if (m->reset_reason_seen) s.reset_reason = mptcp::reset_reason_name(m->reset_reason);
    s.start_ns = m->start_ns;
    s.end_ns = m->closed() && m->end_ns != 0 ? m->end_ns : std::max(m->start_ns, m->last_ns);
    records.push_back(std::move(s));
  }
  return records;
}

Connection::Acknowledged Connection::acknowledged() const {
  Acknowledged a;
  for (const auto& s : streams) {
    if (!s) continue;
    a.seen += s->totals().delivered;
    a.missing += s->totals().missing;
    a.missing_tap += s->totals().missing_tap;
  }
  return a;
}

event::ConnectionRecord Connection::record() const {
  event::ConnectionRecord r;
  r.head = head();
  r.head.timestamp_ns = start_ns;
  r.head.packet_number = first_number;
  r.end_ns = last_ns;
  r.connection_id = id;
  r.mptcp = mode == Mode::kMptcp;
  r.version = version;
  r.state = state();
  r.end = end();
  r.fallback = fallback;
  r.fallback_reason = fallback_reason;
  r.checksum = checksum;
  if (r.mptcp) {
    if (token_known[0]) r.token_client = tokens[0];
    if (token_known[1]) r.token_server = tokens[1];
  }
  r.options = options;
  r.subflows = member_records();
  for (int dir = 0; dir < 2; ++dir) {
    if (!streams[dir]) continue;
    const auto& t = streams[dir]->totals();
    event::StreamRecord& s = r.stream[dir];
    s.bytes = t.delivered;
    s.missing_bytes = t.missing;
    s.missing_tap_bytes = t.missing_tap;
    s.duplicate_bytes = t.duplicate;
    s.conflicting_bytes = t.conflicting;
    s.pending_bytes = t.pending;
    s.assumed = t.assumed;
  }
  const auto [seen, missing, missing_tap] = acknowledged();
  if (seen + missing > 0)
    r.visibility = std::round(1000.0 * static_cast<double>(seen) / static_cast<double>(seen + missing)) / 1000.0;
  r.packets = packets;
  r.span_duplicates = span_duplicates;
  r.alerts = alerts;
  r.anomalies = anomalies;
  return r;
}

void Connection::report(AnomalyType type, std::optional<uint32_t> subflow, std::initializer_list<Number> numbers,
                        std::string_view detail) {
  const bool known = subflow && *subflow < members.size();
  tell(type, known ? members[*subflow].get() : nullptr, std::nullopt, numbers, detail);
}

void Connection::tell(AnomalyType type, const Member* m, std::optional<int> dir, std::initializer_list<Number> numbers,
                      std::string_view detail) {
  ++anomalies;
  auto it = std::find_if(told_.begin(), told_.end(), [&](const auto& t) { return t.first == type; });
  if (it == told_.end()) it = told_.insert(told_.end(), {type, uint16_t{0}});
  if (it->second >= config_.anomalies_per_type) return;
  ++it->second;
  observer_.on_anomaly(*this, type, m, dir, numbers, detail);
}

void Connection::on_gap(int dir, uint64_t offset, uint64_t size, uint64_t tap_bytes) {
  tell(tap_bytes > 0 ? AnomalyType::kHoleTapLoss : AnomalyType::kHoleUnseenPath, nullptr, dir,
       {{"offset", offset}, {"size", size}, {"tap_bytes", tap_bytes}});
  observer_.on_gap(*this, dir, offset, size);
}

void Connection::on_conflict(int dir, uint64_t offset, std::span<const uint8_t> bytes, uint64_t first_difference,
                             uint64_t differing, const stream::Carrier& kept, const stream::Carrier& other) {
  const Member* m = other.subflow < members.size() ? members[other.subflow].get() : nullptr;
  const bool same_subflow = kept.subflow == other.subflow && kept.number != 0;
  tell(same_subflow ? AnomalyType::kSubflowConflict : AnomalyType::kStreamConflict, m, dir,
       {{"offset", first_difference},
        {"size", differing},
        {"kept_subflow", kept.subflow},
        {"kept_packet", kept.number},
        {"kept_ssn", kept.ssn},
        {"other_subflow", other.subflow},
        {"other_packet", other.number},
        {"other_ssn", other.ssn}});
  observer_.on_alternative(*this, dir, offset, bytes);
}

void Connection::on_finding(int dir, stream::Finding finding, uint64_t a, uint64_t b, const stream::Carrier& c) {
  const Member* m = c.subflow < members.size() ? members[c.subflow].get() : nullptr;
  switch (finding) {
    case stream::Finding::kDataAfterFin: return tell(AnomalyType::kDataAfterDataFin, m, dir, {{"offset", a}, {"size", b}});
    case stream::Finding::kFinChanged:
    case stream::Finding::kFinBeforeEdge: return tell(AnomalyType::kDataFinChanged, m, dir, {{"offset", a}, {"other", b}});
    case stream::Finding::kOutOfWindow: return tell(AnomalyType::kDsnOutOfWindow, m, dir, {{"offset", a}, {"size", b}});
    case stream::Finding::kHoldLimit: return tell(AnomalyType::kReassemblyLimit, m, dir, {{"offset", a}, {"size", b}});
    case stream::Finding::kLateFill: return tell(AnomalyType::kLateFill, m, dir, {{"offset", a}, {"size", b}});
  }
}

void Connection::on_delivered(int dir, uint64_t offset, std::span<const uint8_t> bytes) {
  observer_.on_delivered(*this, dir, offset, bytes);
}

void Connection::on_acknowledged(int dir, uint64_t offset) {
  observer_.on_acknowledged(*this, dir, offset);
}

void Connection::on_late_fill(int dir, uint64_t offset, std::span<const uint8_t> bytes, const stream::Carrier&) {
  observer_.on_alternative(*this, dir, offset, bytes);
}

}  // namespace mptap::connection
