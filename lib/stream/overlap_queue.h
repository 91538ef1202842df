// SPDX-License-Identifier: Apache-2.0
// Segments that arrived ahead of a stream's edge, and the policy that decides which copy of a byte is delivered. It serves
// both levels: TCP sequence numbers within a subflow, data sequence numbers within a connection.
//
// Offsets are 64-bit and do not wrap. Held segments are copies in a BlockPool. Policies (FACTS: "Overlaps at data level"):
//   linux  what tcp_data_queue_ofo() and mptcp_data_queue_ofo() do: a segment inside a held one is dropped; one with the
//          same start and longer replaces it; held ones inside it are removed; other overlaps keep both, and at delivery the
//          one that starts earlier gives the shared bytes.
//   first  held bytes stay.
//   bsd    a held segment that starts at or before the new one keeps its bytes, later ones lose theirs.
//   last   the new bytes replace held ones.
// A doubtful segment (the receiver probably dropped it) loses against every other copy, whichever came first.
#pragma once

#include <absl/container/btree_map.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "stream/account.h"
#include "stream/block_pool.h"

namespace mptap::stream {

enum class OverlapPolicy : uint8_t { kLinux, kFirst, kBsd, kLast };

template <class Meta>
class OverlapQueue {
 public:
  struct Held {
    uint64_t end = 0;
    uint8_t* block = nullptr;
    uint32_t block_size = 0;
    uint32_t skip = 0;  // the segment's first byte stands at block + skip
    bool doubtful = false;
    Meta meta;

    const uint8_t* bytes() const { return block + skip; }
  };
  // A copy that lost: reported once the place is decided, so that differences can be seen. No bytes: they were the same.
  struct Loser {
    uint64_t start = 0, end = 0;
    uint8_t* block = nullptr;
    uint32_t block_size = 0;
    Meta meta;
  };
  using Map = absl::btree_map<uint64_t, Held>;

  // Whom what is held here is charged to; nullptr: nobody, which is what an owner that ends before the queue says.
  void set_account(Account* account) {
    if (account_ != nullptr) account_->remove(memory_);
    account_ = account;
    if (account_ != nullptr) account_->add(memory_);
  }

  bool empty() const { return map_.empty(); }
  size_t size() const { return map_.size(); }
  uint64_t held_bytes() const { return held_bytes_; }
  uint64_t memory() const { return memory_; }
  uint64_t first_start() const { return map_.begin()->first; }
  const Held& first() const { return map_.begin()->second; }
  uint64_t last_end() const {
    uint64_t e = 0;
    for (auto it = map_.rbegin(); it != map_.rend(); ++it) {
      e = std::max(e, it->second.end);
      if (it->first + (1u << 20) < e) break;
    }
    return e;
  }
  bool has_losers() const { return !losers_.empty(); }
  bool overlapping() const { return overlapping_; }

  void insert(uint64_t start, std::span<const uint8_t> bytes, const Meta& meta, bool doubtful, OverlapPolicy policy,
              BlockPool& pool) {
    const uint64_t end = start + bytes.size();
    auto next = map_.lower_bound(start);
    const bool touches_next = next != map_.end() && next->first < end;
    bool touches_previous = false;
    if (next != map_.begin()) {
      // Under linux held segments overlap one another; an earlier one than the neighbour may reach further.
      auto p = std::prev(next);
      touches_previous = p->second.end > start || (overlapping_ && reaches(p, start));
    }
    if (!touches_next && !touches_previous) {
      add(next, start, end, bytes.data(), meta, doubtful, pool);
      return;
    }
    if (doubtful) {
      fill_gaps(start, end, bytes.data(), meta, true, pool);
      return;
    }
    yield_doubtful(start, end, pool);
    switch (policy) {
      case OverlapPolicy::kLinux: insert_linux(start, end, bytes.data(), meta, pool); break;
      case OverlapPolicy::kFirst: fill_gaps(start, end, bytes.data(), meta, false, pool); break;
      case OverlapPolicy::kBsd: insert_bsd(start, end, bytes.data(), meta, pool); break;
      case OverlapPolicy::kLast:
        cut(start, end, bytes.data(), start, pool);
        add(map_.end(), start, end, bytes.data(), meta, false, pool);
        break;
    }
  }

  // Removes the first segment and hands it over; the caller releases its block.
  std::pair<uint64_t, Held> pop_first() {
    auto it = map_.begin();
    std::pair<uint64_t, Held> r{it->first, it->second};
    held_bytes_ -= r.second.end - r.first;
    shrink(BlockPool::cost(r.second.block_size));
    map_.erase(it);
    if (map_.empty()) overlapping_ = false;
    return r;
  }

  // A copy that cannot win, whatever is held.
  void add_loser(uint64_t start, std::span<const uint8_t> bytes, const Meta& meta, BlockPool& pool) {
    lose(start, start + bytes.size(), bytes.data(), meta, false, pool);
  }

  // Losers whose place lies below edge, for the caller to report and release. Calls f(Loser&).
  template <class F>
  void take_losers(uint64_t edge, F&& f) {
    for (size_t i = 0; i < losers_.size();) {
      if (losers_[i].end > edge) {
        ++i;
        continue;
      }
      Loser l = losers_[i];
      losers_[i] = losers_.back();
      losers_.pop_back();
      if (l.block) shrink(BlockPool::cost(l.block_size));
      f(l);
    }
  }

  // Bytes of copies that were too many to be kept as losers.
  uint64_t take_uncounted() { return std::exchange(uncounted_, 0); }

  void clear(BlockPool& pool) {
    for (auto& [start, h] : map_) pool.release(h.block, h.block_size);
    map_.clear();
    for (auto& l : losers_) pool.release(l.block, l.block_size);
    losers_.clear();
    held_bytes_ = 0;
    shrink(memory_);
    overlapping_ = false;
  }

  const Map& map() const { return map_; }

 private:
  void grow(uint64_t bytes) {
    memory_ += bytes;
    if (account_ != nullptr) account_->add(bytes);
  }
  void shrink(uint64_t bytes) {
    memory_ -= bytes;
    if (account_ != nullptr) account_->remove(bytes);
  }

  using Iterator = typename Map::iterator;
  // Beyond these a storm of copies is only counted: neither memory nor the time of a packet may grow with it.
  static constexpr size_t kMaxLosers = 256, kMaxLosersWithBytes = 128;

  bool reaches(Iterator p, uint64_t start) {
    for (int i = 0; i < 64; ++i) {
      if (p->second.end > start) return true;
      if (p == map_.begin()) return false;
      --p;
    }
    return false;
  }

  void add(Iterator hint, uint64_t start, uint64_t end, const uint8_t* bytes, const Meta& meta, bool doubtful, BlockPool& pool) {
    if (start >= end) return;
    const uint32_t n = static_cast<uint32_t>(end - start);
    Held h;
    h.end = end;
    h.block = pool.allocate(n);
    h.block_size = n;
    h.doubtful = doubtful;
    h.meta = meta;
    std::memcpy(h.block, bytes, n);
    held_bytes_ += n;
    grow(BlockPool::cost(n));
    map_.emplace_hint(hint, start, h);
  }

  void lose(uint64_t start, uint64_t end, const uint8_t* bytes, const Meta& meta, bool same, BlockPool& pool) {
    if (start >= end) return;
    if (losers_.size() >= kMaxLosers) {
      uncounted_ += end - start;
      return;
    }
    Loser l{start, end, nullptr, 0, meta};
    const uint32_t cost = BlockPool::cost(static_cast<uint32_t>(end - start));
    if (!same && losers_.size() < kMaxLosersWithBytes && (account_ == nullptr || account_->has_room(cost))) {
      l.block_size = static_cast<uint32_t>(end - start);
      l.block = pool.allocate(l.block_size);
      std::memcpy(l.block, bytes, l.block_size);
      grow(cost);
    }
    losers_.push_back(l);
  }

  static bool same_bytes(const Held& h, uint64_t held_start, uint64_t start, uint64_t end, const uint8_t* bytes) {
    return std::memcmp(h.bytes() + (start - held_start), bytes, end - start) == 0;
  }

  // Removes [start, end) from held segments; what is removed loses against bytes (which stands at origin).
  void cut(uint64_t start, uint64_t end, const uint8_t* bytes, uint64_t origin, BlockPool& pool) {
    auto it = map_.lower_bound(start);
    while (it != map_.begin() && std::prev(it)->second.end > start) --it;
    while (it != map_.end() && it->first < end) {
      if (it->second.end <= start) {
        ++it;
        continue;
      }
      const uint64_t hs = it->first;
      Held h = it->second;
      const uint64_t a = std::max(hs, start), b = std::min(h.end, end);
      lose(a, b, h.bytes() + (a - hs), h.meta, same_bytes(h, hs, a, b, bytes + (a - origin)), pool);
      it = erase(it);
      if (hs < a) add(map_.end(), hs, a, h.bytes(), h.meta, h.doubtful, pool);
      if (b < h.end) add(map_.end(), b, h.end, h.bytes() + (b - hs), h.meta, h.doubtful, pool);
      pool.release(h.block, h.block_size);
      it = map_.lower_bound(b);
    }
  }

  // Doubtful segments give way in [start, end); no other held segment shares bytes with them.
  void yield_doubtful(uint64_t start, uint64_t end, BlockPool& pool) {
    auto it = map_.lower_bound(start);
    if (it != map_.begin() && std::prev(it)->second.end > start) --it;
    while (it != map_.end() && it->first < end) {
      if (!it->second.doubtful || it->second.end <= start) {
        ++it;
        continue;
      }
      const uint64_t hs = it->first;
      const Held h = it->second;
      const uint64_t a = std::max(hs, start), b = std::min(h.end, end);
      lose(a, b, h.bytes() + (a - hs), h.meta, false, pool);
      erase(it);
      if (hs < a) add(map_.end(), hs, a, h.bytes(), h.meta, true, pool);
      if (b < h.end) add(map_.end(), b, h.end, h.bytes() + (b - hs), h.meta, true, pool);
      pool.release(h.block, h.block_size);
      it = map_.lower_bound(b);
    }
  }

  // Takes the segment out of the map; its block stays with the caller's copy of Held.
  Iterator erase(Iterator it) {
    held_bytes_ -= it->second.end - it->first;
    shrink(BlockPool::cost(it->second.block_size));
    return map_.erase(it);
  }

  void fill_gaps(uint64_t start, uint64_t end, const uint8_t* bytes, const Meta& meta, bool doubtful, BlockPool& pool) {
    uint64_t pos = start;
    while (pos < end) {
      auto next = map_.upper_bound(pos);
      uint64_t covered = pos;
      const Held* by = nullptr;
      uint64_t by_start = 0;
      auto p = next;
      for (int i = 0; i < 64 && p != map_.begin(); ++i) {
        --p;
        if (p->second.end > covered) {
          covered = p->second.end;
          by = &p->second;
          by_start = p->first;
        }
        if (!overlapping_) break;
      }
      if (by) {
        const uint64_t stop = std::min(covered, end);
        const bool same = same_bytes(*by, by_start, pos, stop, bytes + (pos - start));
        lose(pos, stop, bytes + (pos - start), meta, same, pool);
        pos = stop;
        continue;
      }
      const uint64_t stop = next == map_.end() ? end : std::min(end, next->first);
      add(next, pos, stop, bytes + (pos - start), meta, doubtful, pool);
      pos = stop;
    }
  }

  void insert_bsd(uint64_t start, uint64_t end, const uint8_t* bytes, const Meta& meta, BlockPool& pool) {
    uint64_t pos = start;
    auto next = map_.upper_bound(start);
    if (next != map_.begin()) {
      auto p = std::prev(next);
      if (p->second.end > start) {
        pos = std::min(end, p->second.end);
        lose(start, pos, bytes, meta, same_bytes(p->second, p->first, start, pos, bytes), pool);
      }
    }
    if (pos >= end) return;
    cut(pos, end, bytes, start, pool);
    add(map_.end(), pos, end, bytes + (pos - start), meta, false, pool);
  }

  void insert_linux(uint64_t start, uint64_t end, const uint8_t* bytes, const Meta& meta, BlockPool& pool) {
    // The kernel walks its tree from the root; which overlapping predecessor it meets first depends on the tree's shape. The
    // nearest one is what a lookup ends at.
    auto next = map_.lower_bound(start);
    if (next != map_.end() && next->first == start) {
      if (end <= next->second.end) {
        lose(start, end, bytes, meta, same_bytes(next->second, start, start, end, bytes), pool);
        return;
      }
      drop_covered(next, start, bytes, pool);
      next = map_.lower_bound(start);
    } else if (next != map_.begin()) {
      auto p = std::prev(next);
      for (int i = 0; i < 64; ++i) {
        if (p->second.end >= end) {
          lose(start, end, bytes, meta, same_bytes(p->second, p->first, start, end, bytes), pool);
          return;
        }
        if (!overlapping_ || p == map_.begin()) break;
        --p;
      }
      // Both stay; the earlier start gives the shared bytes. Whoever takes the later one out sees the copy then.
      overlapping_ = overlapping_ || std::prev(next)->second.end > start;
    }
    while (next != map_.end() && next->first < end) {
      if (next->second.end > end) {
        overlapping_ = true;
        break;
      }
      const uint64_t key = next->first;
      drop_covered(next, start, bytes, pool);
      next = map_.upper_bound(key);
    }
    add(map_.end(), start, end, bytes, meta, false, pool);
  }

  // A held segment that lies inside bytes (which stand at origin).
  void drop_covered(Iterator it, uint64_t origin, const uint8_t* bytes, BlockPool& pool) {
    const uint64_t hs = it->first;
    Held h = it->second;
    lose(hs, h.end, h.bytes(), h.meta, same_bytes(h, hs, hs, h.end, bytes + (hs - origin)), pool);
    erase(it);
    pool.release(h.block, h.block_size);
  }

  Map map_;
  std::vector<Loser> losers_;
  Account* account_ = nullptr;
  uint64_t held_bytes_ = 0, memory_ = 0, uncounted_ = 0;
  bool overlapping_ = false;  // linux: some held segments overlap one another
};

}  // namespace mptap::stream
