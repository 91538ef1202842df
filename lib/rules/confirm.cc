// SPDX-License-Identifier: Apache-2.0
#include "rules/confirm.h"

#include <algorithm>
#include <limits>

#include "rules/find.h"

namespace mptap::rules {

namespace {

// Steps of one confirmation, occurrences visited in the main, and pcre calls.
constexpr uint64_t kMaxWork = 1u << 22;
constexpr uint32_t kMaxPcreCalls = 256;

uint64_t end_of(const Node& node, uint64_t start) {
  return start + node.content->bytes.size();
}

// lo + by, which stays at or above floor.
uint64_t shifted(uint64_t at, int64_t by, uint64_t floor) {
  const int64_t to = static_cast<int64_t>(at) + by;
  return to < static_cast<int64_t>(floor) ? floor : static_cast<uint64_t>(to);
}

}  // namespace

bool Confirmer::possible(const Program& program, Armed& armed, const View& view, uint64_t upto) const {
  if (program.lead != nullptr) return !armed.lead_ends.empty();
  const bool fresh = armed.seen.empty();
  if (fresh) {
    for (const Chain& chain : program.chains) armed.seen.resize(armed.seen.size() + chain.nodes.size(), kNoEnd);
    armed.seen_to = view.base;
  }
  const uint64_t searched = armed.seen_to;
  const uint64_t floor = shifted(armed.decided_to + 1, -int64_t{program.window}, 0);
  bool ends = !fresh && armed.decided_to < searched;  // some wait undecided
  bool all_seen = true;
  size_t k = 0;
  for (const Chain& chain : program.chains) {
    for (size_t i = 0; i < chain.nodes.size(); ++i, ++k) {
      const Node& node = chain.nodes[i];
      const bool last = !chain.ascending || i + 1 == chain.nodes.size();
      const uint64_t lo = std::max(view.base, shifted(searched, 1 - static_cast<int64_t>(node.content->bytes.size()), 0));
      const std::span<const uint8_t> in{view.data + (lo - view.base), view.end() - lo};
      for (size_t at = find(*node.content, in, 0); at != kNotFound; at = find(*node.content, in, at + 1)) {
        armed.seen[k] = lo + at;
        const uint64_t end = end_of(node, lo + at);
        ends |= last && end > armed.decided_to && end <= upto;
      }
      all_seen &= armed.seen[k] != kNoEnd && armed.seen[k] >= floor;
    }
  }
  armed.seen_to = view.end();
  return ends && all_seen;
}

void Confirmer::confirm(const Program& program, Armed& armed, const View& view, uint64_t run_start, RunEnd run_end, uint64_t upto,
                        PcreScratch& pcre, Scratch::Stats& stats, std::vector<MatchSpan>& out) {
  program_ = &program;
  view_ = view;
  run_start_ = run_start;
  run_end_ = run_end;
  pcre_ = &pcre;
  stats_ = &stats;
  work_ = 0;
  pcre_calls_ = 0;
  ++stats.confirmed;

  const uint64_t after = armed.decided_to;
  lo_ = std::max({view.base, run_start, shifted(after + 1, -int64_t{program.back}, 0)});
  ends_.clear();
  if (program.lead != nullptr) {
    for (const uint64_t end : armed.lead_ends) {
      if (end > after && end <= upto) ends_.push_back(end);
    }
  } else if (find_nodes()) {
    collect_ends(after, upto);
  }
  pcre_found_.assign(program.pcres.size(), {1, 0});
  negated_rows_.resize(std::max(negated_rows_.size(), program.negated.size()));
  if (!ends_.empty()) {
    for (size_t i = 0; i < program.negated.size(); ++i) find_all(*program.negated[i].content, lo_, view.end(), negated_rows_[i]);
  }

  uint64_t decided_to = upto;
  for (const uint64_t end : ends_) {
    uint64_t from = 0;
    if (std::binary_search(armed.reported.begin(), armed.reported.end(), end)) continue;
    if (!decide(end, from)) {
      decided_to = std::min(decided_to, end - 1);
      if (program.lead != nullptr) break;  // whether the next one is new depends on this one
    } else if (from != kNoEnd && (program.lead == nullptr || from != armed.last_from)) {
      out.push_back({from, end});
      armed.last_from = from;
      armed.reported.insert(std::upper_bound(armed.reported.begin(), armed.reported.end(), end), end);
    }
    if (work_ > kMaxWork) {
      ++stats.work_limit;
      decided_to = upto;
      break;
    }
  }
  armed.decided_to = decided_to;
  std::erase_if(armed.reported, [&](uint64_t end) { return end <= decided_to; });
  std::erase_if(armed.lead_ends, [&](uint64_t end) { return end <= decided_to; });
}

// True: decided; from is kNoEnd when there is no match.
bool Confirmer::decide(uint64_t end, uint64_t& from) {
  int64_t found[2] = {-1, -1};
  if (program_->lead != nullptr) {
    const Truth truth = lead_truth(end, from);
    if (truth == kOpen) return false;
    if (truth == kYes) found[0] = found[1] = static_cast<int64_t>(from);
  } else {
    contents_at(end, found);
  }
  from = kNoEnd;
  if (found[0] < 0) return true;
  const Truth truth = rule_truth(end);
  if (truth == kNo) return true;
  if (truth == kOpen || found[0] != found[1]) return false;
  from = static_cast<uint64_t>(found[0]);
  return true;
}

void Confirmer::find_all(const Content& content, uint64_t lo, uint64_t hi, Row& row) const {
  row.clear();
  if (lo >= hi) return;
  const std::span<const uint8_t> in = bytes(lo, hi);
  for (size_t at = find(content, in, 0); at != kNotFound; at = find(content, in, at + 1)) row.push_back({lo + at, kUnasked, {}});
}

// False: some content is nowhere.
bool Confirmer::find_nodes() {
  rows_.resize(std::max(rows_.size(), program_->chains.size()));
  cursors_.assign(program_->chains.size(), 0);
  running_.assign(program_->chains.size(), {});
  for (size_t c = 0; c < program_->chains.size(); ++c) {
    const Chain& chain = program_->chains[c];
    rows_[c].resize(std::max(rows_[c].size(), chain.nodes.size()));
    for (size_t i = 0; i < chain.nodes.size(); ++i) {
      const Node& node = chain.nodes[i];
      find_all(*node.content, std::max(lo_, node.min_start), std::min(view_.end(), node.max_end), rows_[c][i]);
      if (rows_[c][i].empty()) return false;
    }
    if (chain.ascending) solve(chain, rows_[c], kNoEnd, false);
  }
  return true;
}

// Only a chain's last node can be the one that ends last, unless a negative distance lets it fall back.
void Confirmer::collect_ends(uint64_t after, uint64_t upto) {
  for (size_t c = 0; c < program_->chains.size(); ++c) {
    const Chain& chain = program_->chains[c];
    for (size_t i = chain.ascending ? chain.nodes.size() - 1 : 0; i < chain.nodes.size(); ++i) {
      for (const Occurrence& o : rows_[c][i]) {
        const uint64_t end = end_of(chain.nodes[i], o.start);
        if (end > after && end <= upto && (!chain.ascending || o.best.any[0] >= 0)) ends_.push_back(end);
      }
    }
  }
  std::sort(ends_.begin(), ends_.end());
  ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
}

void Confirmer::best_before(const Node& node, size_t before_bytes, const Row& before, size_t before_count, const Row& row,
                            size_t count) {
  const Content& content = *node.content;
  const auto size = static_cast<int64_t>(content.bytes.size());
  const auto before_size = static_cast<int64_t>(before_bytes);
  before_.assign(count, {});
  const auto pass = [&](int64_t(Best::*kind)[2], int which) {
    const auto value = [&](uint32_t i) { return (before[i].best.*kind)[which]; };
    const auto end = [&](uint32_t i) { return static_cast<int64_t>(before[i].start) + before_size; };
    queue_.clear();  // predecessors in the window, best first, each better than all after it
    size_t head = 0;
    uint32_t next = 0;
    for (size_t i = 0; i < count; ++i) {
      const auto start = static_cast<int64_t>(row[i].start);
      const int64_t last = start - content.distance;
      const int64_t first =
          content.within ? start + size - content.distance - *content.within : std::numeric_limits<int64_t>::min();
      for (; next < before_count && end(next) <= last; ++next) {
        if (value(next) < 0) continue;
        while (queue_.size() > head && value(queue_.back()) <= value(next)) queue_.pop_back();
        queue_.push_back(next);
      }
      while (head < queue_.size() && end(queue_[head]) < first) ++head;
      if (head < queue_.size()) (before_[i].*kind)[which] = value(queue_[head]);
    }
  };
  for (int which = 0; which < 2; ++which) {
    pass(&Best::any, which);
    pass(&Best::tight, which);
  }
}

// Fills the best choices of all occurrences that end at limit or before.
void Confirmer::solve(const Chain& chain, std::span<Row> rows, uint64_t limit, bool tight) {
  size_t before_count = 0;
  for (size_t i = 0; i < chain.nodes.size(); ++i) {
    const Node& node = chain.nodes[i];
    Row& row = rows[i];
    size_t count = row.size();
    if (limit != kNoEnd) {
      count = static_cast<size_t>(
          std::partition_point(row.begin(), row.end(), [&](const Occurrence& o) { return end_of(node, o.start) <= limit; }) -
          row.begin());
    }
    work_ += count + 1;
    if (i > 0) best_before(node, chain.nodes[i - 1].content->bytes.size(), rows[i - 1], before_count, row, count);
    for (size_t o = 0; o < count; ++o) {
      Occurrence& occurrence = row[o];
      const auto start = static_cast<int64_t>(occurrence.start);
      Best best = i == 0 ? Best{{start, start}, {-1, -1}} : before_[o];
      if (best.any[0] >= 0 && node.conditional()) {
        if (occurrence.truth == kUnasked) occurrence.truth = node_truth(node, end_of(node, occurrence.start));
        if (occurrence.truth == kNo) best = {};
        if (occurrence.truth == kOpen) best.any[1] = best.tight[1] = -1;
      }
      for (int which = 0; which < 2; ++which) {
        best.any[which] = std::min(best.any[which], start);
        best.tight[which] = std::min(best.tight[which], start);
        if (tight && end_of(node, occurrence.start) == limit) best.tight[which] = best.any[which];
      }
      occurrence.best = best;
    }
    before_count = count;
  }
}

Confirmer::Best Confirmer::best_of(size_t c, uint64_t end) {
  const Chain& chain = program_->chains[c];
  const Node& node = chain.nodes.back();
  const Row& row = rows_[c][chain.nodes.size() - 1];
  Best out;
  if (!chain.ascending) {
    solve(chain, rows_[c], end, true);
    for (const Occurrence& o : row) {
      if (end_of(node, o.start) > end) break;
      for (int which = 0; which < 2; ++which) {
        out.any[which] = std::max(out.any[which], o.best.any[which]);
        out.tight[which] = std::max(out.tight[which], o.best.tight[which]);
      }
    }
    return out;
  }
  for (size_t& i = cursors_[c]; i < row.size() && end_of(node, row[i].start) <= end; ++i) {
    for (int which = 0; which < 2; ++which) running_[c].any[which] = std::max(running_[c].any[which], row[i].best.any[which]);
  }
  out = running_[c];
  if (const size_t seen = cursors_[c]; seen > 0 && end_of(node, row[seen - 1].start) == end) {
    for (int which = 0; which < 2; ++which) out.tight[which] = row[seen - 1].best.any[which];
  }
  return out;
}

// Chains are free of each other: the match begins with the earliest of them, and one of them has to reach the end.
void Confirmer::contents_at(uint64_t end, int64_t (&from)[2]) {
  const auto floor = static_cast<int64_t>(window_start(end));
  int64_t any[2] = {std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max()};
  int64_t tight[2] = {-1, -1};  // of the chains so far, with one of them tight
  for (size_t c = 0; c < program_->chains.size(); ++c) {
    const Best best = best_of(c, end);
    for (int which = 0; which < 2; ++which) {
      tight[which] = std::max(std::min(tight[which], best.any[which]), std::min(any[which], best.tight[which]));
      any[which] = std::min(any[which], best.any[which]);
    }
  }
  for (int which = 0; which < 2; ++which) from[which] = tight[which] >= floor ? tight[which] : -1;
}

uint64_t Confirmer::window_start(uint64_t end) const {
  return std::max({run_start_, view_.base, end > program_->window ? end - program_->window : 0});
}

Confirmer::Truth Confirmer::node_truth(const Node& node, uint64_t node_end) {
  Truth truth = kYes;
  if (node.content->endswith) {
    if (node_end < view_.end() || run_end_ == RunEnd::kGap) return kNo;
    if (run_end_ == RunEnd::kOpen) truth = kOpen;
  }
  for (const Content* content : node.negated) {
    const uint64_t floor = std::max(run_start_, view_.base);
    const uint64_t lo = shifted(node_end, content->distance, floor);
    const uint64_t hi =
        content->within ? shifted(node_end, int64_t{content->distance} + *content->within, floor) : node_end + program_->reach;
    truth = std::min(truth, negated_truth(*content, lo, hi));
    if (truth == kNo) return kNo;
  }
  for (const Pcre* pcre : node.pcres) {
    truth = std::min(truth, pcre_truth(*pcre, node_end, true, node_end + program_->reach, SIZE_MAX));
    if (truth == kNo) return kNo;
  }
  return truth;
}

Confirmer::Truth Confirmer::negated_truth(const Content& content, uint64_t lo, uint64_t hi) const {
  const uint64_t have = std::min(hi, view_.end());
  if (lo < have && find(content, bytes(lo, have), 0) != kNotFound) return kNo;
  return hi <= view_.end() || run_end_ != RunEnd::kOpen ? kYes : kOpen;
}

Confirmer::Truth Confirmer::rule_truth(uint64_t end) {
  Truth truth = kYes;
  const uint64_t limit = end + program_->reach;
  for (size_t i = 0; i < program_->negated.size(); ++i) {
    const NegatedContent& negated = program_->negated[i];
    const uint64_t lo = std::max(negated.min_start, window_start(end));
    const uint64_t hi = std::min(negated.max_end, limit);
    const Row& row = negated_rows_[i];
    const auto it = std::partition_point(row.begin(), row.end(), [&](const Occurrence& o) { return o.start < lo; });
    if (it != row.end() && it->start + negated.content->bytes.size() <= hi) return kNo;
    if (hi > view_.end() && run_end_ == RunEnd::kOpen) truth = kOpen;
  }
  for (size_t i = 0; i < program_->pcres.size() && truth != kNo; ++i) {
    truth = std::min(truth, pcre_truth(*program_->pcres[i], window_start(end), false, limit, i));
  }
  return truth;
}

Confirmer::Truth Confirmer::pcre_truth(const Pcre& pcre, uint64_t from, bool at_from, uint64_t limit, size_t memo) {
  const PcreCode& code = *pcre.code;
  const bool reuse = memo != SIZE_MAX && !code.looks_ahead();
  if (reuse && pcre_found_[memo].to > pcre_found_[memo].from && pcre_found_[memo].from >= from) return pcre.negated ? kNo : kYes;
  if (++pcre_calls_ > kMaxPcreCalls) {
    ++stats_->pcre_limit;
    return kNo;
  }
  const uint64_t to = std::min(limit, view_.end());
  const SubjectEnd end = limit <= view_.end() || run_end_ == RunEnd::kGap ? SubjectEnd::kDecided
                         : run_end_ == RunEnd::kStream                    ? SubjectEnd::kStreamEnd
                                                                          : SubjectEnd::kOpen;
  // Relative ones see nothing before their place; the others see the byte before, so that \b and lookbehind can hold.
  const bool anchor = at_from || from == 0;
  const size_t before = anchor ? 0 : 1;
  PcreSpan span;
  work_ += (to - from) / 16;
  const PcreAnswer answer =
      code.search({view_.data + (from - view_.base) - before, to - from + before}, before, anchor, end, *pcre_, span);
  switch (answer) {
    case PcreAnswer::kMatch:
      if (reuse) pcre_found_[memo] = {from + span.from - before, from + span.to - before};
      return pcre.negated ? kNo : kYes;
    case PcreAnswer::kNoMatch: return pcre.negated ? kYes : kNo;
    case PcreAnswer::kUndecided: return kOpen;
    case PcreAnswer::kLimit: ++stats_->pcre_limit; return kNo;
  }
  return kNo;
}

Confirmer::Truth Confirmer::lead_truth(uint64_t end, uint64_t& from) {
  if (++pcre_calls_ > kMaxPcreCalls) {
    ++stats_->pcre_limit;
    return kNo;
  }
  const uint64_t start = window_start(end), limit = end + program_->reach, to = std::min(limit, view_.end());
  const SubjectEnd subject_end = limit <= view_.end() || run_end_ == RunEnd::kGap ? SubjectEnd::kDecided
                                 : run_end_ == RunEnd::kStream                    ? SubjectEnd::kStreamEnd
                                                                                  : SubjectEnd::kOpen;
  const size_t before = start == 0 ? 0 : 1;
  PcreSpan span;
  work_ += (end - start) / 16;
  switch (program_->lead->code->search_ending({view_.data + (start - view_.base) - before, to - start + before}, before,
                                              start == 0, end - start + before, subject_end, *pcre_, span)) {
    case PcreAnswer::kMatch: from = start + span.from - before; return kYes;
    case PcreAnswer::kNoMatch: return kNo;
    case PcreAnswer::kUndecided: return kOpen;
    case PcreAnswer::kLimit: ++stats_->pcre_limit; return kNo;
  }
  return kNo;
}

}  // namespace mptap::rules
