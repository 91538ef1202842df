// SPDX-License-Identifier: Apache-2.0
#include "naive.h"

#include <algorithm>
#include <optional>
#include <regex>

namespace mptap::rules {

namespace {

char fold(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

class Judge {
 public:
  Judge(const Rule& rule, const Piece& piece, bool last, const RuleOptions& options)
      : rule_(rule),
        piece_(piece),
        last_(last),
        options_(options),
        end_of_piece_(static_cast<int64_t>(piece.offset + piece.bytes.size())) {}

  Spans hits() {
    Spans out;
    int64_t last_from = -1;
    for (end_ = static_cast<int64_t>(piece_.offset) + 1; end_ <= end_of_piece_; ++end_) {
      floor_ = std::max(static_cast<int64_t>(piece_.offset), end_ - options_.confirm_window);
      best_ = -1;
      choose(0, std::nullopt, INT64_MAX, false);
      if (best_ < 0) continue;
      if (lead_ && best_ == last_from) continue;
      last_from = best_;
      out.insert({static_cast<uint64_t>(best_), static_cast<uint64_t>(end_)});
    }
    return out;
  }

 private:
  bool at(const Content& c, int64_t place) const {
    for (size_t i = 0; i < c.bytes.size(); ++i) {
      const int64_t p = place + static_cast<int64_t>(i);
      if (p < static_cast<int64_t>(piece_.offset) || p >= end_of_piece_) return false;
      const char have = piece_.bytes[static_cast<size_t>(p - static_cast<int64_t>(piece_.offset))];
      if ((c.nocase ? fold(have) : have) != c.bytes[i]) return false;
    }
    return true;
  }

  // previous: the end of the positive content before, if any.
  static bool placed(const Content& c, int64_t place, std::optional<int64_t> previous) {
    const int64_t end = place + static_cast<int64_t>(c.bytes.size());
    if (c.relative) {
      const int64_t base = previous.value_or(0);
      return place >= base + c.distance && (!c.within || end <= base + c.distance + *c.within);
    }
    return place >= c.offset && (!c.depth || end <= int64_t{c.offset} + *c.depth);
  }

  bool absent(const Content& c, std::optional<int64_t> previous) const {
    const bool bound_to_match = c.relative && previous;
    const int64_t reach = (bound_to_match ? *previous : end_) + options_.reach;
    const int64_t from = bound_to_match ? static_cast<int64_t>(piece_.offset) : floor_;
    for (int64_t place = from; place < end_of_piece_; ++place) {
      if (!at(c, place) || !placed(c, place, previous)) continue;
      const bool bounded = bound_to_match && c.within;
      if (bounded || place + static_cast<int64_t>(c.bytes.size()) <= reach) return false;
    }
    return true;
  }

  std::string text(int64_t from, int64_t to) const {
    to = std::min(to, end_of_piece_);
    if (to <= from) return "";
    return piece_.bytes.substr(static_cast<size_t>(from - static_cast<int64_t>(piece_.offset)), static_cast<size_t>(to - from));
  }

  bool search(const Pcre& p, std::optional<int64_t> previous) const {
    const bool relative = p.relative && previous;
    const int64_t from = relative ? *previous : floor_;
    const int64_t to = (relative ? *previous : end_) + options_.reach;
    auto flags = std::regex_constants::match_default;
    if (!relative && from > 0) flags |= std::regex_constants::match_not_bol;
    if (!(last_ && to >= end_of_piece_)) flags |= std::regex_constants::match_not_eol;
    // A subject that happens to end with the stream was cut there only if its reach is longer.
    if (to == end_of_piece_) flags |= std::regex_constants::match_not_eol;
    return std::regex_search(text(from, to), std::regex(p.pattern), flags);
  }

  // The pcre in a rule without contents: it matches [from, end_) exactly.
  void choose_lead(const Pcre& p, size_t next) {
    lead_ = true;
    const std::regex regex(p.pattern);
    for (int64_t from = floor_; from < end_; ++from) {
      if (!std::regex_match(text(from, end_), regex)) continue;
      choose(next, std::nullopt, from, true);
      return;  // the leftmost counts
    }
  }

  void choose(size_t next, std::optional<int64_t> previous, int64_t first, bool tight) {
    if (next == rule_.elements.size()) {
      if (tight) best_ = std::max(best_, first);
      return;
    }
    if (const auto* pcre = std::get_if<Pcre>(&rule_.elements[next])) {
      const bool contents = std::any_of(rule_.elements.begin(), rule_.elements.end(), [](const Element& e) {
        const auto* c = std::get_if<Content>(&e);
        return c != nullptr && !c->negated;
      });
      const bool lead =
          !contents && !pcre->negated &&
          std::none_of(rule_.elements.begin(), rule_.elements.begin() + static_cast<ptrdiff_t>(next), [](const Element& e) {
            const auto* p = std::get_if<Pcre>(&e);
            return p != nullptr && !p->negated;
          });
      if (lead) return choose_lead(*pcre, next + 1);
      if (search(*pcre, previous) != pcre->negated) choose(next + 1, previous, first, tight);
      return;
    }
    const Content& c = std::get<Content>(rule_.elements[next]);
    if (c.negated) {
      if (absent(c, previous)) choose(next + 1, previous, first, tight);
      return;
    }
    for (int64_t place = floor_; place < end_; ++place) {
      const int64_t end = place + static_cast<int64_t>(c.bytes.size());
      if (end > end_ || !at(c, place) || !placed(c, place, previous)) continue;
      if (c.endswith && !(last_ && end == end_of_piece_)) continue;
      choose(next + 1, end, std::min(first, place), tight || end == end_);
    }
  }

  const Rule& rule_;
  const Piece& piece_;
  const bool last_;
  const RuleOptions& options_;
  const int64_t end_of_piece_;
  int64_t end_ = 0, floor_ = 0, best_ = -1;
  bool lead_ = false;
};

}  // namespace

Spans naive_hits(const Rule& rule, const std::vector<Piece>& pieces, const RuleOptions& options) {
  Spans out;
  for (size_t i = 0; i < pieces.size(); ++i) out.merge(Judge(rule, pieces[i], i + 1 == pieces.size(), options).hits());
  return out;
}

}  // namespace mptap::rules
