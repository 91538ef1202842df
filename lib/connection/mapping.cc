// SPDX-License-Identifier: Apache-2.0
// SSN -> DSN -> stream offset, as the receiving host does it. The order of the checks follows Linux's get_mapping_status(),
// validate_mapping() and subflow_check_data_avail(), because an attacker can make each of them decide.
#include <algorithm>
#include <cstring>

#include "connection/connection.h"
#include "mptcp/sequence.h"
#include "mptcp/wire.h"
#include "packet/checksum.h"

namespace mptap::connection {

using event::AnomalyType;
using stream::Carrier;
using subflow::Unit;

// Payload in TCP order on its way to the stream.
struct Connection::Chunk {
  uint64_t ssn = 0;
  std::span<const uint8_t> bytes;
  uint64_t timestamp_ns = 0, number = 0;
  bool doubtful = false, above_hole = false;

  uint64_t end() const { return ssn + bytes.size(); }
  Chunk part(uint64_t from, uint64_t size) const {
    Chunk c = *this;
    c.ssn = ssn + from;
    c.bytes = bytes.subspan(from, size);
    return c;
  }
};

stream::Stream& Connection::stream(int dir) {
  if (!streams[dir]) streams[dir] = std::make_unique<stream::Stream>(dir, config_.stream, pool_, account, *this);
  return *streams[dir];
}

uint64_t Connection::dsn_base(int dir) const {
  const uint64_t edge =
      streams[dir] && streams[dir]->anchored() ? streams[dir]->edge() : (origin_known_[dir] ? fast_open_[dir] : kFloat);
  return origin_[dir] + edge;
}

// nullopt: before the first byte of the stream.
std::optional<uint64_t> Connection::offset_of(int dir, uint64_t dsn, bool wide, bool starts) {
  if (!origin_known_[dir] && origin_[dir] == 0) {
    // A capture that begins late: the first DSN seen stands for all.
    if (!starts) return std::nullopt;
    narrow_[dir] = !wide;
    stream::Stream& st = stream(dir);
    // What came as plain TCP before the first mapping was seen stands before it.
    const bool goes_on = picked_up && (st.edge() > 0 || st.waiting());
    origin_[dir] = (wide ? dsn : static_cast<uint32_t>(dsn)) - (goes_on ? st.edge() : kFloat);
    if (origin_[dir] == 0) origin_[dir] = 1;
    st.float_start();
  }
  if (!wide || narrow_[dir]) dsn = mptcp::expand(dsn_base(dir), static_cast<uint32_t>(dsn));
  const int64_t offset = static_cast<int64_t>(dsn - origin_[dir]);
  if (offset < static_cast<int64_t>(fast_open_[dir])) return std::nullopt;
  return static_cast<uint64_t>(offset);
}

// Linux's mptcp_try_fallback(): neither with other subflows nor while data waits behind a hole.
bool Connection::may_fall_back(const Member& m, int dir) const {
  if (m.join != event::Join::kInitial && !(picked_up && members.size() == 1)) return false;
  for (const auto& other : members) {
    if (other.get() != &m && other->join != event::Join::kFailed) return false;
  }
  return !(streams[dir] && streams[dir]->waits_for_sender());
}

void Connection::on_data(Member& m, int dir, const Unit& u) {
  MapState& s = m.map[dir];
  if (m.join == event::Join::kFailed || s.broken) return;
  if (m.join != event::Join::kInitial && m.has_synack && !m.confirmed && !m.early_data_told && dir == (m.reversed ? 1 : 0)) {
    m.early_data_told = true;
    tell(AnomalyType::kJoinDataEarly, &m, dir, {{"ssn", u.ssn}, {"size", u.size}});
  }
  if (u.after_loss) s.lost = true;
  Chunk chunk{u.ssn, {u.bytes, u.size}, u.timestamp_ns, u.number, u.above_hole, u.above_hole};
  if (s.other_number == u.number && s.other_number != 0) {
    // Two DSS options: Linux takes the last, others the first. The stream follows Linux, the scanner sees both.
    s.other_number = 0;
    if (const auto offset = offset_of(dir, s.other.dsn, s.other.dsn8, false)) {
      observer_.on_alternative(*this, dir, *offset, chunk.bytes);
    }
  }
  mptcp::Dss dss = u.dss;
  if (!s.gone.empty()) std::erase_if(s.gone, [&](const auto& g) { return g.first < chunk.end() && chunk.ssn < g.second; });
  if (!s.aligned) {
    if (align(m, dir, chunk, u.has_dss && dss.has_map ? &dss : nullptr)) return observer_.on_stir(*this);
    chunk.ssn += s.shift;
  }
  map_chunk(m, dir, chunk, u.has_dss && dss.has_map && !s.infinite ? &dss : nullptr);
  observer_.on_stir(*this);
}

void Connection::map_chunk(Member& m, int dir, Chunk chunk, mptcp::Dss* dss) {
  MapState& s = m.map[dir];
  while (!chunk.bytes.empty()) {
    if (s.broken) return;
    if (s.infinite) return deliver(m, dir, s.offset + (chunk.ssn - s.ssn), chunk);
    if (dss) {
      bool used = true;
      if (!take_mapping(m, dir, *dss, chunk, used)) continue;
      if (used) dss = nullptr;
    }
    if (!s.valid) return unmapped(m, dir, chunk);
    const uint64_t end = s.ssn + s.length;
    if (chunk.ssn < s.ssn || chunk.ssn >= end) {
      if (chunk.ssn >= end && s.lost) {
        if (s.unverified && !s.unverified->incomplete) let_go_unverified(m, dir);
        s.unverified.reset();
        s.valid = false;
        continue;
      }
      invalid_mapping(m, dir, chunk, AnomalyType::kMappingAheadOfData, "mapping_ahead_of_data");
      continue;
    }
    s.lost = false;
    const Chunk now = chunk.part(0, std::min<uint64_t>(chunk.bytes.size(), end - chunk.ssn));
    const uint64_t offset = s.offset + (now.ssn - s.ssn);
    if (s.checksum) {
      if (!s.unverified) {
        s.unverified = std::make_unique<MapState::Waiting>(account);
        s.unverified->ssn = now.ssn;
        s.unverified->incomplete = now.ssn != s.ssn;
      }
      if (!s.unverified->incomplete && s.unverified->ssn + s.unverified->bytes.size() != now.ssn) {
        let_go_unverified(m, dir);
        s.unverified = std::make_unique<MapState::Waiting>(account);
        s.unverified->incomplete = true;
      }
      if (!s.unverified->incomplete && !hold(*s.unverified, now)) {
        tell(AnomalyType::kReassemblyLimit, &m, dir, {{"offset", offset}, {"size", now.bytes.size()}});
        give_up_verifying(m, dir);
      }
      if (s.unverified->incomplete) deliver(m, dir, offset, now);
    } else {
      deliver(m, dir, offset, now);
    }
    chunk = chunk.part(now.bytes.size(), chunk.bytes.size() - now.bytes.size());
    if (now.end() == end) end_of_mapping(m, dir);
  }
}

// False: the mapping was refused and the state has changed, look again.
bool Connection::take_mapping(Member& m, int dir, const mptcp::Dss& dss, Chunk& chunk, bool& used) {
  MapState& s = m.map[dir];
  const Carrier c{m.id, chunk.ssn, chunk.number, chunk.timestamp_ns};
  if (dss.length == 0) {
    tell(AnomalyType::kInfiniteMapping, &m, dir, {{"ssn", chunk.ssn}});
    if (may_fall_back(m, dir)) {
      fall_back(m, dir, chunk.ssn, "infinite_mapping");
    } else {
      break_member(m, dir);
    }
    return false;
  }
  uint32_t length = dss.length;
  if (dss.data_fin) {
    data_fin(m, dir, dss, c);
    if (--length == 0) return true;  // a DATA_FIN alone: the current mapping goes on
  }
  std::optional<uint64_t> offset;
  if (dss.from_capable) {
    if (origin_known_[dir]) {
      offset = fast_open_[dir];
    } else {
      // The key is not known, the place is: the stream's first byte.
      offset = stream(dir).anchored() ? 0 : kFloat;
    }
  } else {
    offset = offset_of(dir, dss.dsn, dss.dsn8, true);
  }
  if (!offset) {
    // Before the first byte: the host takes it for old data and drops it.
    tell(AnomalyType::kDsnOutOfWindow, &m, dir, {{"dsn", dss.dsn}, {"ssn", dss.ssn}, {"size", length}});
    offset = ~0ull >> 1;
  }
  const uint64_t ssn = (chunk.ssn & ~0xffffffffull) | dss.ssn;
  // The SSN is 32 bits wide as well; it lies near the data.
  const uint64_t near = mptcp::expand(chunk.ssn, dss.ssn);
  const uint64_t start = static_cast<int64_t>(near) < 0 ? ssn : near;
  if (s.valid) {
    const bool same_place = s.offset == *offset && s.ssn == start;
    if (same_place && s.length == length && s.checksum == dss.has_checksum) return true;
    if (chunk.end() <= s.ssn + s.length && chunk.ssn >= s.ssn) {
      if (s.offset - s.ssn == *offset - start) {
        tell(AnomalyType::kMappingChanged, &m, dir, {{"ssn", dss.ssn}, {"length", length}, {"before", s.length}});
      } else {
        observer_.on_alternative(*this, dir, *offset + (chunk.ssn - start), chunk.bytes);
      }
      if (dss.from_capable && chunk.ssn > 1) {
        invalid_mapping(m, dir, chunk, AnomalyType::kMpCapableMidStream, "mp_capable_mid_stream");
      } else {
        invalid_mapping(m, dir, chunk, AnomalyType::kRemappedSsn, "remapped_ssn");
      }
      return false;
    }
    used = false;  // comes into force when the current one is used up
    return true;
  }
  if (orphan && !checksum_known_) {
    checksum_known_ = true;
    checksum = dss.has_checksum;
  }
  if (dss.has_checksum != checksum) {
    const bool unexpected = dss.has_checksum;
    s.valid = true;
    s.ssn = start;
    s.offset = *offset;
    s.length = length;
    invalid_mapping(m, dir, chunk, unexpected ? AnomalyType::kDssChecksumUnexpected : AnomalyType::kDssChecksumMissing,
                    unexpected ? "dss_checksum_unexpected" : "dss_checksum_missing");
    return false;
  }
  s.valid = true;
  s.ssn = start;
  s.offset = *offset;
  s.length = length;
  s.dsn = origin_[dir] + *offset;
  s.checksum = dss.has_checksum;
  s.checksum_value = dss.checksum;
  s.data_fin = dss.data_fin;
  if (s.loss_to > s.loss_from && s.loss_to > start && s.loss_from < start + length) {
    const uint64_t a = std::max(s.loss_from, start), b = std::min(s.loss_to, start + length);
    stream(dir).place_tap_loss(*offset + (a - start), *offset + (b - start));
    s.loss_from = b;
  }
  if (s.unmapped) {
    // Bytes that came before their mapping.
    const auto waiting = std::move(s.unmapped);
    if (waiting->ssn >= start && waiting->ssn + waiting->bytes.size() <= start + length) {
      for_segments(*waiting, [&](const Chunk& held) { map_chunk(m, dir, held, nullptr); });
    } else {
      tell(AnomalyType::kUnmappedData, &m, dir, {{"ssn", waiting->ssn}, {"size", waiting->bytes.size()}});
    }
  } else if (dss.from_capable && chunk.ssn >= start + length && !s.lost) {
    invalid_mapping(m, dir, chunk, AnomalyType::kMpCapableMidStream, "mp_capable_mid_stream");
    return false;
  }
  return true;
}

void Connection::deliver(Member& m, int dir, uint64_t offset, const Chunk& chunk) {
  MapState& s = m.map[dir];
  if (offset >= ~0ull >> 1) return;
  remember(s, chunk.ssn, chunk.bytes.size(), offset);
  stream::Stream& st = stream(dir);
  if (s.infinite && offset > st.edge() && !chunk.above_hole) st.skip_to(offset);
  st.insert(offset, chunk.bytes, {m.id, chunk.ssn, chunk.number, chunk.timestamp_ns},
            {.doubtful = chunk.doubtful, .above_hole = chunk.above_hole});
}

bool Connection::hold(MapState::Waiting& waiting, const Chunk& chunk) {
  if (!waiting.charge.add(chunk.bytes.size())) return false;
  waiting.bytes.insert(waiting.bytes.end(), chunk.bytes.begin(), chunk.bytes.end());
  waiting.segments.push_back(
      {static_cast<uint32_t>(chunk.bytes.size()), chunk.doubtful, chunk.above_hole, chunk.timestamp_ns, chunk.number});
  return true;
}

template <class F>
void Connection::for_segments(const MapState::Waiting& waiting, F&& f) {
  uint64_t at = 0;
  for (const MapState::Waiting::Segment& s : waiting.segments) {
    f(Chunk{waiting.ssn + at, std::span(waiting.bytes).subspan(at, s.size), s.timestamp_ns, s.number, s.doubtful, s.above_hole});
    at += s.size;
  }
}

void Connection::remember(MapState& s, uint64_t ssn, uint64_t size, uint64_t offset) {
  if (!s.past.empty()) {
    MapState::Past& last = s.past.back();
    if (last.end == ssn && last.offset + (last.end - last.ssn) == offset) {
      last.end += size;
      return;
    }
  }
  if (s.past.size() >= 64) s.past.erase(s.past.begin(), s.past.begin() + 16);
  s.past.push_back({ssn, ssn + size, offset});
}

// What came of the mapping cannot be verified any more; the host could.
void Connection::give_up_verifying(Member& m, int dir) {
  MapState& s = m.map[dir];
  const auto waiting = std::move(s.unverified);
  for_segments(*waiting, [&](const Chunk& c) { deliver(m, dir, s.offset + (c.ssn - s.ssn), c); });
  s.unverified = std::make_unique<MapState::Waiting>(account);
  s.unverified->incomplete = true;
}

void Connection::end_of_mapping(Member& m, int dir) {
  MapState& s = m.map[dir];
  s.valid = false;
  if (!s.unverified) return;
  const auto waiting = std::move(s.unverified);
  if (waiting->incomplete) return;
  const uint64_t ssn = waiting->ssn, offset = s.offset + (ssn - s.ssn);
  // RFC 8684 section 3.3.1: over the data and a pseudo header of 64-bit DSN, SSN, length and zeros.
  std::array<uint8_t, 16> pseudo;
  uint8_t* p = mptcp::store64(pseudo.data(), s.dsn);
  p = mptcp::store32(p, static_cast<uint32_t>(s.ssn));
  p = mptcp::store16(p, static_cast<uint16_t>(s.length + (s.data_fin ? 1 : 0)));
  std::memcpy(p, &s.checksum_value, 2);
  // Where only the low half of the DSN is known the checksum cannot be judged.
  const uint64_t sum = packet::checksum::sum(pseudo) + packet::checksum::sum(waiting->bytes);
  const auto hand_on = [&](uint64_t place) {
    for_segments(*waiting, [&](const Chunk& c) { deliver(m, dir, place + (c.ssn - ssn), c); });
  };
  if (narrow_[dir] || packet::checksum::verifies(sum)) {
    m.valid_checksums = 1;
    return hand_on(offset);
  }
  tell(AnomalyType::kDssChecksumBad, &m, dir, {{"offset", offset}, {"size", waiting->bytes.size()}});
  observer_.on_alternative(*this, dir, offset, waiting->bytes);
  if (may_fall_back(m, dir)) {
    // The only subflow: the host sends MP_FAIL and delivers the bytes all the same.
    if (m.valid_checksums == 0) fall_back(m, dir, ssn, "checksum");
    hand_on(s.infinite ? s.offset + (ssn - s.ssn) : offset);
  } else {
    break_member(m, dir);
  }
}

void Connection::invalid_mapping(Member& m, int dir, const Chunk& chunk, AnomalyType why, const char* reason) {
  tell(why, &m, dir, {{"ssn", chunk.ssn}, {"size", chunk.bytes.size()}});
  if (may_fall_back(m, dir)) {
    fall_back(m, dir, chunk.ssn, reason);
  } else {
    break_member(m, dir);
  }
}

void Connection::unmapped(Member& m, int dir, const Chunk& chunk) {
  MapState& s = m.map[dir];
  if (s.lost) {
    // The mapping was in a packet that the tap lost: the host has it, mptap does not. Above a hole the host has not either.
    if (!chunk.above_hole) stream(dir).lost_by_tap_somewhere(chunk.bytes.size());
    return;
  }
  if (may_fall_back(m, dir)) {
    tell(AnomalyType::kUnmappedData, &m, dir, {{"ssn", chunk.ssn}, {"size", chunk.bytes.size()}});
    fall_back(m, dir, chunk.ssn, "unmapped_data");
    return map_chunk(m, dir, chunk, nullptr);
  }
  if (!s.unmapped) {
    s.unmapped = std::make_unique<MapState::Waiting>(account);
    s.unmapped->ssn = chunk.ssn;
    tell(AnomalyType::kUnmappedData, &m, dir, {{"ssn", chunk.ssn}, {"size", chunk.bytes.size()}});
  }
  if (s.unmapped->bytes.size() + chunk.bytes.size() > config_.unmapped_bytes) return break_member(m, dir);
  if (hold(*s.unmapped, chunk)) return;
  tell(AnomalyType::kReassemblyLimit, &m, dir, {{"ssn", chunk.ssn}, {"size", chunk.bytes.size()}});
  break_member(m, dir);
}

void Connection::fall_back(Member& m, int dir, uint64_t ssn, const char* reason) {
  if (!fallback) {
    fallback = true;
    fallback_reason = reason;
    tell(AnomalyType::kFallback, &m, dir, {{"ssn", ssn}}, reason);
  }
  MapState& s = m.map[dir];
  s.valid = true;
  s.infinite = true;
  s.checksum = false;
  s.ssn = ssn;
  s.offset = stream(dir).edge();
  if (!stream(dir).anchored()) {
    stream(dir).anchor(kFloat);
    s.offset = kFloat;
  }
}

void Connection::break_member(Member& m, int dir) {
  MapState& s = m.map[dir];
  s.broken = true;
  s.valid = false;
  s.unverified.reset();
  s.unmapped.reset();
}

void Connection::data_fin(Member& m, int dir, const mptcp::Dss& dss, const Carrier& c) {
  const auto offset = offset_of(dir, dss.dsn + dss.length - 1, dss.dsn8, false);
  if (!offset) {
    if (origin_known_[dir]) tell(AnomalyType::kDsnOutOfWindow, &m, dir, {{"dsn", dss.dsn}});
    return;
  }
  stream(dir).finish_at(*offset, c);
}

void Connection::on_repeat(Member& m, int dir, const Unit& u) {
  MapState& s = m.map[dir];
  if (m.join == event::Join::kFailed || s.broken) return;
  const Carrier c{m.id, u.ssn, u.number, u.timestamp_ns};
  if (u.has_dss && u.dss.has_map && !s.infinite && u.dss.length > 0) {
    if (u.dss.data_fin) data_fin(m, dir, u.dss, c);
    const uint64_t start = mptcp::expand(u.ssn, u.dss.ssn);
    const auto offset = u.dss.from_capable ? std::optional(fast_open_[dir]) : offset_of(dir, u.dss.dsn, u.dss.dsn8, false);
    const bool data = u.dss.length > (u.dss.data_fin ? 1 : 0);
    for (const auto& p : s.past) {
      if (!data || !offset || u.ssn < p.ssn || u.ssn >= p.end) continue;
      if (*offset - start != p.offset - p.ssn) {
        tell(AnomalyType::kRemappedSsn, &m, dir,
             {{"ssn", u.ssn}, {"offset", p.offset + (u.ssn - p.ssn)}, {"other", *offset + (u.ssn - start)}});
        if (u.bytes) observer_.on_alternative(*this, dir, *offset + (u.ssn - start), {u.bytes, u.size});
      }
      break;
    }
  }
  stream::Stream& st = stream(dir);
  uint64_t from = u.ssn;
  const uint64_t end = u.ssn + u.size;
  if (!s.gone.empty() && u.bytes && u.doubt == subflow::Doubt::kNone) fill_gone(m, dir, u);
  for (auto it = s.past.begin(); it != s.past.end() && from < end; ++it) {
    if (it->end <= from || it->ssn >= end) continue;
    const uint64_t a = std::max(from, it->ssn), b = std::min(end, it->end);
    Carrier piece = c;
    piece.ssn = a;
    const uint64_t offset = it->offset + (a - it->ssn);
    if (u.bytes) {
      st.compare_copy(offset, {u.bytes + (a - u.ssn), b - a}, piece, u.span_copy);
    } else {
      st.count_duplicate(offset, b - a, piece, u.span_copy);
    }
    from = b;
  }
  if (s.valid && s.unverified && from < end) {
    // A copy of bytes that wait for the rest of their mapping, and with it for the checksum.
    const uint64_t a = std::max(from, s.unverified->ssn), b = std::min(end, s.unverified->ssn + s.unverified->bytes.size());
    if (a < b) {
      Carrier piece = c;
      piece.ssn = a;
      const uint64_t offset = s.offset + (a - s.ssn);
      if (u.bytes) {
        st.compare_copy(offset, {u.bytes + (a - u.ssn), b - a}, piece, u.span_copy);
      } else {
        st.count_duplicate(offset, b - a, piece, u.span_copy);
      }
    }
  }
  observer_.on_stir(*this);
}

// Bytes that come after TCP went on without them, by another port for instance. The stream may still wait for them.
void Connection::fill_gone(Member& m, int dir, const Unit& u) {
  MapState& s = m.map[dir];
  if (!u.has_dss || !u.dss.has_map || s.infinite) return;
  const uint64_t start = mptcp::expand(u.ssn, u.dss.ssn), length = u.dss.length - (u.dss.data_fin ? 1u : 0u);
  const auto offset = u.dss.from_capable ? std::optional(fast_open_[dir]) : offset_of(dir, u.dss.dsn, u.dss.dsn8, false);
  if (!offset) return;
  const auto gone = std::move(s.gone);
  s.gone.clear();
  for (const auto& [a, b] : gone) {
    const uint64_t from = std::max({a, u.ssn, start}), to = std::min({b, u.ssn + u.size, start + length});
    if (from >= to) {
      s.gone.emplace_back(a, b);
      continue;
    }
    if (a < from) s.gone.emplace_back(a, from);
    if (to < b) s.gone.emplace_back(to, b);
    const Carrier c{m.id, from, u.number, u.timestamp_ns};
    stream(dir).insert(*offset + (from - start), {u.bytes + (from - u.ssn), to - from}, c, {.span_copy = u.span_copy});
  }
}

void Connection::on_tap_loss(Member& m, int dir, const Unit& u) {
  MapState& s = m.map[dir];
  if (m.join == event::Join::kFailed || s.broken) return;
  if (!s.aligned) return stream(dir).lost_by_tap_somewhere(u.size);
  uint64_t from = u.ssn;
  const uint64_t end = u.ssn + u.size;
  if (s.gone.size() >= 16) s.gone.erase(s.gone.begin());
  s.gone.emplace_back(from, end);
  stream::Stream& st = stream(dir);
  if (s.infinite) {
    const uint64_t offset = s.offset + (from - s.ssn);
    st.lost_by_tap(offset, offset + u.size);
    return;
  }
  if (s.unverified) give_up_verifying(m, dir);
  if (s.valid && from >= s.ssn && from < s.ssn + s.length) {
    const uint64_t stop = std::min(end, s.ssn + s.length);
    const uint64_t offset = s.offset + (from - s.ssn);
    st.lost_by_tap(offset, offset + (stop - from));
    from = stop;
    if (stop == s.ssn + s.length) {
      s.valid = false;
      s.unverified.reset();
    }
  }
  s.lost = true;
  if (from < end) {
    s.loss_from = from;
    s.loss_to = end;
    st.lost_by_tap_somewhere(end - from);
  }
}

// Where no SYN was seen: which SSN of the mappings is that of the first byte? A mapping repeats on all segments of its burst, so
// the first segment seen may be any of them; but where it has all of its bytes, or the next one begins, that is known.
// True: the chunk waits, or nothing shows where it belongs.
bool Connection::align(Member& m, int dir, const Chunk& chunk, const mptcp::Dss* dss) {
  MapState& s = m.map[dir];
  const uint32_t length = dss ? dss->length - (dss->data_fin ? 1u : 0u) : 0;
  if (!s.unplaced) {
    if (!dss) return true;
    if (dss->length == 0) {
      s.aligned = true;
      return false;
    }
    s.first = *dss;
    s.unplaced = std::make_unique<MapState::Waiting>(account);
    s.unplaced->ssn = chunk.ssn;
  }
  const uint64_t first = s.unplaced->ssn, there = s.unplaced->bytes.size();
  const uint32_t whole = s.first.length - (s.first.data_fin ? 1u : 0u);
  const bool another = dss && length > 0 && dss->ssn != s.first.ssn;
  if (another || chunk.ssn != first + there || there + chunk.bytes.size() > whole) {
    // Either mapping began with the first segment seen of it or before: the one that says more is right.
    const uint64_t by_first = s.first.ssn - first, by_next = another ? dss->ssn - chunk.ssn : by_first;
    place(m, dir, static_cast<int64_t>(by_next - by_first) > 0 ? by_next : by_first);
    return false;
  }
  if (!hold(*s.unplaced, chunk)) {
    tell(AnomalyType::kReassemblyLimit, &m, dir, {{"ssn", chunk.ssn}, {"size", chunk.bytes.size()}});
    place(m, dir, s.first.ssn - first);
    return false;
  }
  if (there + chunk.bytes.size() == whole) place(m, dir, s.first.ssn - first);
  return true;
}

void Connection::place(Member& m, int dir, uint64_t shift) {
  MapState& s = m.map[dir];
  s.aligned = true;
  s.shift = shift;
  s.gone.clear();
  const auto waiting = std::move(s.unplaced);
  for_segments(*waiting, [&](Chunk c) {
    c.ssn += shift;
    mptcp::Dss dss = s.first;
    map_chunk(m, dir, c, s.infinite ? nullptr : &dss);
  });
}

// At the end: what waits for the rest of its mapping has not been handed up, as far as the capture shows.
void Connection::close_map(Member& m, int dir) {
  MapState& s = m.map[dir];
  if (m.join == event::Join::kFailed || s.broken) return;
  if (s.unplaced) place(m, dir, s.first.ssn - s.unplaced->ssn);
  if (s.valid && s.unverified && !s.unverified->incomplete) let_go_unverified(m, dir);
}

// The rest of the mapping never came: they count only where a DATA_ACK passes them.
void Connection::let_go_unverified(Member& m, int dir) {
  MapState& s = m.map[dir];
  const auto waiting = std::move(s.unverified);
  for_segments(*waiting, [&](Chunk c) {
    c.doubtful = c.above_hole = true;
    deliver(m, dir, s.offset + (c.ssn - s.ssn), c);
  });
}

void Connection::on_fast_open(Member& m, int dir, const Unit& u) {
  // Appendix B: delivered first, outside the DSN space.
  stream::Stream& st = stream(dir);
  st.insert(0, {u.bytes, u.size}, carrier(m, u, 0), {});
  fast_open_[dir] = u.size;
  if (origin_known_[dir]) origin_[dir] -= u.size;
  if (m.map[dir].infinite) m.map[dir].offset = u.size;
  observer_.on_stir(*this);
}

void Connection::on_fin(Member& m, int dir, const Unit& u) {
  observer_.on_change(*this);
  m.fin[dir] = true;
  m.end_ns = u.timestamp_ns;
  MapState& s = m.map[dir];
  if (s.infinite) stream(dir).finish_at(s.offset + (u.ssn - s.ssn), carrier(m, u, u.ssn));
  observer_.on_stir(*this);
}

stream::Carrier Connection::carrier(const Member& m, const Unit& u, uint64_t ssn) const {
  return {m.id, ssn, u.number, u.timestamp_ns};
}

}  // namespace mptap::connection
