// SPDX-License-Identifier: Apache-2.0
#include "stream/stream.h"

#include <algorithm>
#include <cstring>

namespace mptap::stream {
namespace {

constexpr size_t kMaxRanges = 1024;

// Adds [from, to) to sorted, disjoint ranges; returns how much of it is new.
uint64_t add_range(std::vector<std::pair<uint64_t, uint64_t>>& ranges, uint64_t from, uint64_t to) {
  if (from >= to) return 0;
  auto it = std::lower_bound(ranges.begin(), ranges.end(), from, [](const auto& r, uint64_t v) { return r.second < v; });
  uint64_t fresh = to - from, a = from, b = to;
  auto last = it;
  for (; last != ranges.end() && last->first <= to; ++last) {
    const uint64_t x = std::max(last->first, from), y = std::min(last->second, to);
    if (y > x) fresh -= y - x;
    a = std::min(a, last->first);
    b = std::max(b, last->second);
  }
  if (it == last) {
    if (ranges.size() >= kMaxRanges) ranges.erase(ranges.begin());
    it = std::lower_bound(ranges.begin(), ranges.end(), from, [](const auto& r, uint64_t v) { return r.second < v; });
    ranges.insert(it, {a, b});
  } else {
    *it = {a, b};
    ranges.erase(std::next(it), last);
  }
  return fresh;
}

}  // namespace

Stream::Stream(int direction, const StreamConfig& config, BlockPool& pool, Account& account, StreamListener& listener)
    : direction_(direction), config_(config), pool_(pool), account_(account), listener_(listener), history_(pool) {
  queue_.set_account(&account);
}

Stream::~Stream() {
  queue_.clear(pool_);
}

void Stream::float_start() {
  if (edge_ == 0 && queue_.empty()) anchored_ = false;
}

void Stream::anchor(uint64_t offset) {
  anchored_ = true;
  edge_ = start_ = flushed_ = offset;
  data_ack_ = std::max(data_ack_, offset);
  drain();
}

void Stream::insert(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier, InsertFlags flags) {
  if (bytes.empty()) return;
  uint64_t end = offset + bytes.size();
  if (fin_ != kNone && end > fin_) {
    listener_.on_finding(direction_, Finding::kDataAfterFin, std::max(offset, fin_), end - std::max(offset, fin_), carrier);
    if (offset >= fin_) return;
    bytes = bytes.first(fin_ - offset);
    end = fin_;
  }
  if (anchored_) {
    if (end <= edge_) return repeat(offset, bytes, carrier, flags);
    if (offset < edge_) {
      repeat(offset, bytes.first(edge_ - offset), carrier, flags);
      bytes = bytes.subspan(edge_ - offset);
      offset = edge_;
    }
    if (offset == edge_ && queue_.empty() && !flags.doubtful) {
      deliver(offset, bytes, carrier);
      return;
    }
  } else if (queue_.empty()) {
    float_since_ns_ = carrier.timestamp_ns;
  }
  if (offset > edge_ && window_edge_ != 0 && end > window_edge_ && anchored_) {
    listener_.on_finding(direction_, Finding::kOutOfWindow, offset, bytes.size(), carrier);
    flags.doubtful = true;
  }
  const uint32_t cost = BlockPool::cost(static_cast<uint32_t>(bytes.size()));
  const auto own_over = [&] { return queue_.memory() + cost > config_.hold_bytes; };
  const auto over = [&] { return own_over() || !account_.has_room(cost); };
  if (over() && (offset > edge_ || !anchored_)) {
    if (!anchored_ && !queue_.empty()) {
      anchor(queue_.first_start());
      return insert(offset, bytes, carrier, flags);
    }
    // What the peer has acknowledged is delivered at once; what it has not may be a hole opened on purpose.
    if (!resolve(data_ack_, false) || over()) {
      account_.refused(own_over(), cost);
      listener_.on_finding(direction_, Finding::kHoldLimit, offset, bytes.size(), carrier);
      return;
    }
    return insert(offset, bytes, carrier, flags);
  }
  queue_.insert(offset, bytes, {carrier, flags.span_copy, flags.above_hole}, flags.doubtful, config_.policy, pool_);
  drain();
}

void Stream::deliver(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier) {
  history_.append(offset, bytes, carrier);
  totals_.delivered += bytes.size();
  edge_ = offset + bytes.size();
  if (config_.report_progress) listener_.on_delivered(direction_, offset, bytes);
}

void Stream::drain() {
  if (!anchored_) return;
  while (!queue_.empty() && queue_.first_start() <= edge_ && !queue_.first().doubtful) {
    auto [start, h] = queue_.pop_first();
    if (start < edge_) {
      repeat(start, {h.bytes(), std::min(h.end, edge_) - start}, h.meta.carrier, {.span_copy = h.meta.span_copy});
    }
    if (h.end > edge_) {
      Carrier c = h.meta.carrier;
      c.ssn += edge_ - start;
      deliver(edge_, {h.bytes() + (edge_ - start), h.end - edge_}, c);
    }
    pool_.release(h.block, h.block_size);
  }
  if (queue_.has_losers()) report_losers(edge_);
}

void Stream::report_losers(uint64_t edge, const History* pending) {
  totals_.duplicate += queue_.take_uncounted();
  queue_.take_losers(edge, [&](auto& l) {
    if (!l.meta.span_copy) totals_.duplicate += l.end - l.start;
    Carrier c = l.meta.carrier;
    history_.note_repeat(l.start, static_cast<uint32_t>(l.end - l.start), c);
    if (l.block) {
      compare(history_, l.start, {l.block, l.end - l.start}, c);
      if (pending) compare(*pending, l.start, {l.block, l.end - l.start}, c);
      pool_.release(l.block, l.block_size);
    }
  });
}

void Stream::repeat(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier, InsertFlags flags) {
  const uint64_t end = offset + bytes.size();
  // Bytes of a hole that was given up are new to the scanner, but it has gone on.
  uint64_t late = 0;
  for (const auto& [a, b] : gaps_) {
    if (b <= offset || a >= end) continue;
    const uint64_t x = std::max(a, offset), y = std::min(b, end);
    late += y - x;
    if (flags.span_copy || flags.doubtful) continue;
    listener_.on_finding(direction_, Finding::kLateFill, x, y - x, carrier);
    listener_.on_late_fill(direction_, x, bytes.subspan(x - offset, y - x), carrier);
  }
  if (!flags.span_copy) totals_.duplicate += bytes.size() - late;
  history_.note_repeat(offset, static_cast<uint32_t>(bytes.size()), carrier);
  compare(history_, offset, bytes, carrier);
}

void Stream::compare_copy(uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier, bool span_copy) {
  if (fin_ != kNone && offset + bytes.size() > fin_) {
    if (offset >= fin_) return;
    bytes = bytes.first(fin_ - offset);
  }
  if (anchored_ && offset < edge_) {
    const uint64_t n = std::min<uint64_t>(bytes.size(), edge_ - offset);
    repeat(offset, bytes.first(n), carrier, {.span_copy = span_copy});
    bytes = bytes.subspan(n);
    offset += n;
  }
  // The first copy is held itself: compare when the place is decided.
  if (!bytes.empty()) queue_.add_loser(offset, bytes, {carrier, span_copy, false}, pool_);
}

void Stream::place_tap_loss(uint64_t from, uint64_t to) {
  tap_unplaced_ -= std::min(tap_unplaced_, to - from);
  lost_by_tap(from, to);
}

void Stream::count_duplicate(uint64_t offset, uint64_t size, const Carrier& carrier, bool span_copy) {
  if (!span_copy) totals_.duplicate += size;
  history_.note_repeat(offset, static_cast<uint32_t>(size), carrier);
}

void Stream::compare(const History& history, uint64_t offset, std::span<const uint8_t> bytes, const Carrier& carrier) {
  history.visit(offset, offset + bytes.size(), [&](uint64_t at, std::span<const uint8_t> kept) {
    const uint8_t* other = bytes.data() + (at - offset);
    if (std::memcmp(kept.data(), other, kept.size()) == 0) return;
    uint64_t differing = 0, first = 0;
    bool seen = false;
    for (size_t i = 0; i < kept.size();) {
      if (kept[i] == other[i]) {
        ++i;
        continue;
      }
      size_t j = i;
      while (j < kept.size() && kept[j] != other[j]) ++j;
      if (!seen) first = at + i;
      seen = true;
      differing += j - i;
      totals_.conflicting += add_range(conflicts_, at + i, at + j);
      i = j;
    }
    Carrier keeper;
    for (const Piece& p : history.pieces()) {
      if (!p.repeat && p.offset <= first && first < p.offset + p.size) keeper = p.carrier;
    }
    listener_.on_conflict(direction_, at, {other, kept.size()}, first, differing, keeper, carrier);
  });
}

void Stream::acknowledge(uint64_t offset, uint64_t now) {
  if (offset <= data_ack_) return;
  data_ack_ = offset;
  if (config_.report_progress) listener_.on_acknowledged(direction_, offset);
  if (!queue_.empty()) tick(now);
}

void Stream::finish_at(uint64_t offset, const Carrier& carrier) {
  if (fin_ != kNone) {
    if (fin_ != offset) listener_.on_finding(direction_, Finding::kFinChanged, fin_, offset, carrier);
    return;
  }
  if (anchored_ && offset < edge_) {
    listener_.on_finding(direction_, Finding::kFinBeforeEdge, offset, edge_, carrier);
    return;
  }
  fin_ = offset;
}

void Stream::lost_by_tap(uint64_t from, uint64_t to) {
  if (anchored_) from = std::max(from, edge_);
  add_range(tap_losses_, from, to);
}

void Stream::skip_to(uint64_t offset) {
  if (offset > edge_) give_up(offset);
  drain();
}

void Stream::give_up(uint64_t until) {
  uint64_t tap = 0;
  for (const auto& [a, b] : tap_losses_) {
    const uint64_t x = std::max(a, edge_), y = std::min(b, until);
    if (y > x) tap += y - x;
  }
  std::erase_if(tap_losses_, [&](const auto& r) { return r.second <= until; });
  const uint64_t size = until - edge_;
  const uint64_t unplaced = std::min(tap_unplaced_, size - tap);
  tap_unplaced_ -= unplaced;
  tap += unplaced;
  totals_.missing += size;
  totals_.missing_tap += tap;
  gaps_.push_back({edge_, until});
  if (gaps_.size() > 64) gaps_.erase(gaps_.begin());
  listener_.on_gap(direction_, edge_, size, tap);
  edge_ = until;
  flushed_ = until;
}

// Ends the first hole where acknowledged allows it, again and again. True where the edge has moved.
bool Stream::resolve(uint64_t acknowledged, bool assume) {
  const uint64_t before = edge_;
  while (!queue_.empty()) {
    const uint64_t start = queue_.first_start();
    if (start > edge_) {
      if (acknowledged < start && !assume) break;
      if (assume && acknowledged < start) totals_.assumed = true;
      give_up(start);
    } else if (queue_.first().doubtful) {
      if (acknowledged <= edge_ && !assume) break;
      auto [s, h] = queue_.pop_first();
      // Only what is acknowledged has been read for sure; the rest waits on.
      const uint64_t end = assume ? h.end : std::min(h.end, acknowledged);
      if (end > edge_) {
        Carrier c = h.meta.carrier;
        c.ssn += edge_ - s;
        deliver(edge_, {h.bytes() + (edge_ - s), end - edge_}, c);
      }
      if (end < h.end) {
        HeldMeta rest = h.meta;
        rest.carrier.ssn += end - s;
        queue_.insert(end, {h.bytes() + (end - s), h.end - end}, rest, true, config_.policy, pool_);
      }
      pool_.release(h.block, h.block_size);
    }
    drain();
  }
  return edge_ != before;
}

void Stream::tick(uint64_t now) {
  if (!anchored_) {
    if (queue_.empty() || now < float_since_ns_ + config_.hole_grace_ns) return;
    anchor(queue_.first_start());
  }
  if (queue_.empty()) {
    if (queue_.has_losers()) report_losers(edge_);
    return;
  }
  if (now >= ack_slot_ns_ + config_.hole_grace_ns) {
    settled_ack_ = ack_slot_ns_ == 0 ? 0 : pending_ack_;
    pending_ack_ = data_ack_;
    ack_slot_ns_ = now;
  }
  if (settled_ack_ > edge_) resolve(settled_ack_, false);
}

void Stream::close(bool acks_seen, bool sender_closed) {
  if (closed_) return;
  closed_ = true;
  if (!anchored_ && !queue_.empty()) anchor(queue_.first_start());
  resolve(data_ack_, !acks_seen);
  History pending(pool_);
  count_pending(pending);
  uint64_t acked = data_ack_;
  if (fin_ != kNone) acked = std::min(acked, fin_);
  // The last number acknowledged is that of a DATA_FIN that was not seen. Without the FINs nothing shows whether one was sent.
  else if (sender_closed && queue_.empty() && acked > edge_)
    --acked;
  if (anchored_ && acked > edge_) give_up(acked);
  report_losers(kNone, &pending);
}

// Held bytes above a hole that nobody acknowledged were never given to the application. Their copies are compared all the same.
void Stream::count_pending(History& pending) {
  const bool copies = queue_.has_losers() || queue_.overlapping();
  uint64_t pos = edge_;
  for (const auto& [start, h] : queue_.map()) {
    if (h.doubtful && !h.meta.above_hole) continue;
    if (start < pos) {
      const uint64_t shared = std::min(h.end, pos) - start;
      if (!h.meta.span_copy) totals_.duplicate += shared;
      compare(pending, start, {h.bytes(), shared}, h.meta.carrier);
    }
    if (h.end <= pos) continue;
    const uint64_t from = std::max(start, pos);
    totals_.pending += h.end - from;
    if (copies) pending.append(from, {h.bytes() + (from - start), h.end - from}, h.meta.carrier);
    pos = h.end;
  }
}

void Stream::drop_history() {
  history_.clear();
  flushed_ = history_.end();
}

}  // namespace mptap::stream
