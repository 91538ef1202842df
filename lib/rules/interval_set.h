// SPDX-License-Identifier: Apache-2.0
// A set of unsigned values as sorted, disjoint, closed ranges. Rule headers are algebra over such sets: a list is the union
// of its members (of everything, when all of them are negated) without the negated ones; a `!` takes the complement.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace mptap::rules {

template <typename T, T kMax>
class IntervalSet {
 public:
  struct Range {
    T first, last;
    auto operator<=>(const Range&) const = default;
  };

  static IntervalSet all() { return IntervalSet(0, kMax); }
  IntervalSet() = default;
  IntervalSet(T first, T last) : ranges_{{first, last}} {}

  void add(const IntervalSet& other) {
    ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
    std::sort(ranges_.begin(), ranges_.end());
    std::vector<Range> merged;
    for (const Range& r : ranges_) {
      if (!merged.empty() && (merged.back().last == kMax || r.first <= merged.back().last + 1)) {
        merged.back().last = std::max(merged.back().last, r.last);
      } else {
        merged.push_back(r);
      }
    }
    ranges_ = std::move(merged);
  }

  IntervalSet complement() const {
    IntervalSet out;
    T next = 0;
    for (const Range& r : ranges_) {
      if (r.first > next) out.ranges_.push_back({next, static_cast<T>(r.first - 1)});
      if (r.last == kMax) return out;
      next = static_cast<T>(r.last + 1);
    }
    out.ranges_.push_back({next, kMax});
    return out;
  }

  void remove(const IntervalSet& other) {
    IntervalSet gone = complement();
    gone.add(other);
    *this = gone.complement();
  }

  bool contains(T value) const {
    auto it = std::upper_bound(ranges_.begin(), ranges_.end(), value, [](T v, const Range& r) { return v < r.first; });
    return it != ranges_.begin() && value <= std::prev(it)->last;
  }

  bool empty() const { return ranges_.empty(); }
  bool is_all() const { return ranges_.size() == 1 && ranges_[0].first == 0 && ranges_[0].last == kMax; }
  const std::vector<Range>& ranges() const { return ranges_; }
  bool operator==(const IntervalSet&) const = default;

 private:
  std::vector<Range> ranges_;
};

}  // namespace mptap::rules
