// SPDX-License-Identifier: Apache-2.0
// What is done with delivered bytes: hash, hand out, scan; and what is said about matches and anomalies.
#include <algorithm>

#include "rules/rule.h"
#include "worker/engine_state.h"

namespace mptap::worker {

using connection::Connection;

namespace {

class HistoryView final : public rules::History {
 public:
  explicit HistoryView(const stream::History& h) : history_(h) {}
  size_t copy(uint64_t offset, std::span<uint8_t> out) const override { return history_.copy(offset, out); }
  uint64_t oldest() const override { return history_.oldest(); }

 private:
  const stream::History& history_;
};

constexpr size_t kCandidateContext = 1024;
constexpr size_t kFoundKept = 32;

}  // namespace

// offset: of the first byte that it will be given.
void Engine::open_scanner(Slot& slot, int d, uint64_t offset) {
  Side& side = slot.sides[d];
  const connection::Member& first = *slot.connection.members.front();
  const bool to_server = d == 0;
  side.scanner = std::make_unique<rules::Scanner>(
      rules_, rules::FlowContext{to_server ? first.client : first.server, to_server ? first.server : first.client, to_server});
  side.rules = rules_;
  // These point into the rules before.
  side.alerted.clear();
  side.found.clear();
  if (offset > 0) side.scanner->gap(offset);
}

void Engine::flush(Slot& slot, int d) {
  Connection& c = slot.connection;
  if (!c.streams[d] || !c.streams[d]->has_fresh()) return;
  stream::Stream& st = *c.streams[d];
  Side& side = slot.sides[d];
  if (side.scanner && side.rules != rules_ && now_ >= old_rules_until_) side.scanner.reset();
  if (rules_ && !side.scanner) open_scanner(slot, d, side.rules ? st.flushed() : st.start());
  if (config_.sha256 && !side.sha) {
    side.sha.reset(EVP_MD_CTX_new());
    EVP_DigestInit_ex(side.sha.get(), EVP_sha256(), nullptr);
  }
  const HistoryView view(st.history());
  const bool scan = side.scanner && side.scanner->active();
  st.take_fresh([&](uint64_t offset, std::span<const uint8_t> bytes) {
    if (side.sha) EVP_DigestUpdate(side.sha.get(), bytes.data(), bytes.size());
    if (config_.streams) listener_.on_stream(c, d, offset, bytes);
    if (!scan) return;
    hits_.clear();
    side.scanner->scan(offset, bytes, view, *scratch_, hits_);
    if (!hits_.empty()) report_hits(slot, d, false);
  });
  uint64_t memory = 0;
  for (const auto& s : c.streams) memory += s ? s->history().memory() : 0;
  history_total_ += memory - slot.history_memory;
  slot.history_memory = memory;
  if (slot.history_stamp != now_ >> 20) {
    slot.history_stamp = now_ >> 20;
    history_order_.push_back({slot.index, slot.serial, slot.history_stamp});
  }
}

// No byte will come any more: what waited for some is decided.
void Engine::finish_scan(Slot& slot, int d) {
  const stream::Stream* st = slot.connection.streams[d].get();
  if (!st || !slot.sides[d].scanner) return;
  const HistoryView view(st->history());
  hits_.clear();
  slot.sides[d].scanner->finish(st->history().end(), view, *scratch_, hits_);
  if (!hits_.empty()) report_hits(slot, d, false);
}

// The bytes at hand of all streams have one budget: the stream that has been silent longest gives its up.
void Engine::trim_histories() {
  while (history_total_ > config_.history_bytes && !history_order_.empty()) {
    const HistoryUse use = history_order_.front();
    history_order_.pop_front();
    Slot* slot = slots_[use.slot].get();
    if (!slot || slot->serial != use.serial || slot->history_stamp != use.stamp) continue;
    for (auto& s : slot->connection.streams) {
      if (s) s->drop_history();
    }
    history_total_ -= slot->history_memory;
    slot->history_memory = 0;
    slot->history_stamp = 0;
  }
  // Entries that later ones have replaced.
  while (history_order_.size() > 4 * (connections_open_ + 64)) {
    std::erase_if(history_order_, [this](const HistoryUse& u) {
      const Slot* s = slots_[u.slot].get();
      return !s || s->serial != u.serial || s->history_stamp != u.stamp;
    });
    if (history_order_.size() <= 4 * (connections_open_ + 64)) break;
    history_order_.pop_front();
  }
}

void Engine::on_gap(Connection& c, int d, uint64_t offset, uint64_t size) {
  Slot& slot = *slot_of(c);
  flush(slot, d);
  if (slot.egress) slot.egress->hole(d, offset, size, now_);
  if (config_.streams) listener_.on_stream_gap(c, d, offset, size);
  if (slot.sides[d].scanner) slot.sides[d].scanner->gap(offset + size);
  watch_visibility(slot, false);
}

void Engine::on_alternative(Connection& c, int d, uint64_t offset, std::span<const uint8_t> bytes) {
  if (!config_.candidates || !rules_) return;
  Slot& slot = *slot_of(c);
  flush(slot, d);
  Side& side = slot.sides[d];
  if (!side.scanner) open_scanner(slot, d, 0);
  if (!side.scanner->active()) return;
  // With what stands before and behind it in the delivered stream.
  candidate_bytes_.clear();
  uint64_t start = offset;
  if (c.streams[d]) {
    const stream::History& h = c.streams[d]->history();
    start = offset > kCandidateContext ? offset - kCandidateContext : 0;
    start = std::min(std::max(start, h.oldest()), offset);
    std::array<uint8_t, kCandidateContext> context;
    const size_t before = h.copy(start, std::span(context).first(offset - start));
    if (start + before != offset)
      start = offset;
    else
      candidate_bytes_.insert(candidate_bytes_.end(), context.begin(), context.begin() + static_cast<ptrdiff_t>(before));
    candidate_bytes_.insert(candidate_bytes_.end(), bytes.begin(), bytes.end());
    const size_t after = h.copy(offset + bytes.size(), context);
    candidate_bytes_.insert(candidate_bytes_.end(), context.begin(), context.begin() + static_cast<ptrdiff_t>(after));
  } else {
    candidate_bytes_.assign(bytes.begin(), bytes.end());
  }
  hits_.clear();
  side.scanner->scan_candidate(start, candidate_bytes_, *scratch_, hits_);
  std::erase_if(hits_, [&](const rules::Hit& h) { return h.to <= offset || h.from >= offset + bytes.size(); });
  if (!hits_.empty()) report_hits(slot, d, true);
}

void Engine::report_hits(Slot& slot, int d, bool candidate) {
  Connection& c = slot.connection;
  Side& side = slot.sides[d];
  stream::Stream* st = c.streams[d].get();
  for (const rules::Hit& hit : hits_) {
    if (hit.rule->action == rules::Action::kPass) continue;
    const auto same = [&](const rules::Hit& h) { return h.rule == hit.rule && h.from == hit.from && h.to == hit.to; };
    if (std::any_of(side.found.begin(), side.found.end(), same)) continue;
    if (side.found.size() >= kFoundKept) side.found.erase(side.found.begin());
    side.found.push_back(hit);
    if (hit.rule->threshold) {
      const event::Head head = c.head();
      const bool forth = d == 0;
      if (!thresholds_.allow(*hit.rule, (forth ? head.src : head.dst).address, (forth ? head.dst : head.src).address, c.flow_id,
                             now_)) {
        ++counters_.alerts_suppressed;
        continue;
      }
    }
    auto count = std::find_if(side.alerted.begin(), side.alerted.end(), [&](const auto& a) { return a.first == hit.rule; });
    if (count == side.alerted.end()) count = side.alerted.insert(side.alerted.end(), {hit.rule, 0u});
    if (++count->second > config_.alerts_per_rule) {
      ++counters_.alerts_suppressed;
      continue;
    }

    event::Alert a;
    a.head = c.head();
    a.gid = hit.rule->gid;
    a.sid = hit.rule->sid;
    a.rev = hit.rule->rev;
    a.signature = hit.rule->msg;
    a.category = hit.rule->category;
    a.severity = hit.rule->priority;
    a.metadata = hit.rule->metadata;
    for (const auto& [system, id] : hit.rule->references) a.references.push_back(system + "," + id);
    a.mptcp = c.mode == connection::Mode::kMptcp;
    a.connection_id = c.id;
    a.version = c.version;
    a.to_client = d == 1;
    const uint64_t origin = st ? st->start() : 0;
    a.stream_offset = hit.from - std::min(origin, hit.from);
    a.match_size = hit.to - hit.from;
    a.candidate = candidate;
    if (st) describe_carriers(*st, hit, a);
    if (st && config_.payload_context > 0) {
      const stream::History& h = st->history();
      const uint64_t from =
          std::max({hit.from > config_.payload_context ? hit.from - config_.payload_context : 0, h.oldest(), origin});
      const uint64_t to = hit.to + config_.payload_context;
      if (!candidate && from <= hit.from) {
        a.payload.resize(to - from);
        a.payload.resize(h.copy(from, {reinterpret_cast<uint8_t*>(a.payload.data()), a.payload.size()}));
        a.payload_offset = from - origin;
      } else if (candidate) {
        const size_t n = std::min<size_t>(candidate_bytes_.size(), 2 * config_.payload_context);
        a.payload.assign(candidate_bytes_.begin(), candidate_bytes_.begin() + static_cast<ptrdiff_t>(n));
      }
    }
    if (!a.mptcp) a.cross_subflow = false;
    ++c.alerts;
    ++counters_.alerts;
    listener_.on_alert(a);
  }
}

// Who carried the match, and whether one subflow's own TCP stream contains it: a piece of the stream's bytes whose SSNs run
// along with the offsets, retransmissions included.
void Engine::describe_carriers(const stream::Stream& st, const rules::Hit& hit, event::Alert& a) const {
  struct Run {
    uint32_t subflow;
    uint64_t delta;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
  };
  std::vector<Run> runs;
  uint64_t number = 0, timestamp = 0;
  for (const stream::Piece& p : st.history().pieces()) {
    if (p.offset >= hit.to || p.offset + p.size <= hit.from) continue;
    if (!p.repeat) {
      a.subflows.push_back(p.carrier.subflow);
      if (p.carrier.number >= number) {
        number = p.carrier.number;
        timestamp = std::max(timestamp, p.carrier.timestamp_ns);
      }
    }
    const uint64_t delta = p.carrier.ssn - p.offset;
    auto it =
        std::find_if(runs.begin(), runs.end(), [&](const Run& r) { return r.subflow == p.carrier.subflow && r.delta == delta; });
    if (it == runs.end()) it = runs.insert(runs.end(), {p.carrier.subflow, delta, {}});
    it->ranges.push_back({p.offset, p.offset + p.size});
  }
  std::sort(a.subflows.begin(), a.subflows.end());
  a.subflows.erase(std::unique(a.subflows.begin(), a.subflows.end()), a.subflows.end());
  bool alone = false;
  for (Run& r : runs) {
    std::sort(r.ranges.begin(), r.ranges.end());
    uint64_t covered = hit.from;
    for (const auto& [from, to] : r.ranges) {
      if (from <= covered) covered = std::max(covered, to);
    }
    alone = alone || covered >= hit.to;
  }
  a.cross_subflow = !alone && !runs.empty();
  if (number != 0) {
    a.head.packet_number = number;
    a.head.timestamp_ns = timestamp;
  }
}

void Engine::on_anomaly(Connection& c, event::AnomalyType type, const connection::Member* member, std::optional<int> direction,
                        std::initializer_list<connection::Number> numbers, std::string_view detail) {
  ++counters_.anomalies;
  event::Anomaly a;
  a.head = c.head();
  a.type = type;
  a.mptcp = c.mode != connection::Mode::kPlain;
  a.connection_id = c.id;
  if (member) a.subflow = member->id;
  if (direction) a.to_client = *direction == 1;
  for (const auto& [name, value] : numbers) a.numbers.emplace_back(name, value);
  a.detail = detail;
  listener_.on_anomaly(a);
}

std::string Engine::finish_sha(Side& side) {
  if (!side.sha) {
    side.sha.reset(EVP_MD_CTX_new());
    EVP_DigestInit_ex(side.sha.get(), EVP_sha256(), nullptr);
  }
  std::array<uint8_t, 32> digest;
  EVP_DigestFinal_ex(side.sha.get(), digest.data(), nullptr);
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t b : digest) {
    out += kHex[b >> 4];
    out += kHex[b & 15];
  }
  return out;
}

}  // namespace mptap::worker
