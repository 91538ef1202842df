// SPDX-License-Identifier: Apache-2.0
#include "reference/overlap.h"

#include <algorithm>

namespace mptap::test {

namespace {

// The part of a chunk in [start, end).
Chunk part(const Chunk& c, uint64_t start, uint64_t end) {
  start = std::max(start, c.start);
  end = std::min(end, c.end());
  if (start >= end) return {start, {}};
  return {start, Bytes(c.bytes.begin() + static_cast<ptrdiff_t>(start - c.start),
                       c.bytes.begin() + static_cast<ptrdiff_t>(end - c.start))};
}

}  // namespace

std::vector<Chunk> Overlap::insert(Chunk chunk) {
  std::vector<Chunk> out;
  if (chunk.bytes.empty()) return out;
  if (chunk.start < edge_) late(part(chunk, chunk.start, edge_), out);
  chunk = part(chunk, edge_, UINT64_MAX);
  if (chunk.bytes.empty()) return out;
  switch (policy_) {
    // These two take what is next in order at once, whatever is held behind it.
    case Policy::kLinux:
      if (chunk.start == edge_) {
        deliver(chunk, out);
      } else {
        hold_linux(chunk);
      }
      break;
    case Policy::kBsd:
      if (chunk.start == edge_) {
        deliver(chunk, out);
      } else {
        hold_bsd(chunk);
      }
      break;
    case Policy::kFirst: hold_first(chunk); break;
    case Policy::kLast: hold_last(chunk); break;
  }
  drain(out);
  return out;
}

// tcp_data_queue_ofo() and mptcp_data_queue_ofo() without coalescing. No held segment lies inside another one.
void Overlap::hold_linux(const Chunk& chunk) {
  for (const auto& [start, bytes] : held_) {
    if (start <= chunk.start && start + bytes.size() >= chunk.end()) return;
  }
  std::erase_if(held_, [&chunk](const auto& h) { return h.first >= chunk.start && h.first + h.second.size() <= chunk.end(); });
  held_[chunk.start] = chunk.bytes;
}

// tcp_reass(): the held one before it (that starts earlier or at the same place) wins; what the new one overlaps behind is cut.
void Overlap::hold_bsd(const Chunk& whole) {
  uint64_t before = 0;  // where the held one before it ends
  for (const auto& [start, bytes] : held_) {
    if (start <= whole.start) before = start + bytes.size();
  }
  const Chunk chunk = part(whole, before, UINT64_MAX);
  if (chunk.bytes.empty()) return;
  std::map<uint64_t, Bytes> kept;
  for (const auto& [start, bytes] : held_) {
    const Chunk old{start, bytes};
    const Chunk rest = start >= chunk.start ? part(old, chunk.end(), UINT64_MAX) : old;
    if (!rest.bytes.empty()) kept[rest.start] = rest.bytes;
  }
  kept[chunk.start] = chunk.bytes;
  held_ = kept;
}

void Overlap::hold_first(const Chunk& chunk) {
  uint64_t at = chunk.start;
  std::vector<Chunk> gaps;
  for (const auto& [start, bytes] : held_) {
    if (start + bytes.size() <= at) continue;
    if (start >= chunk.end()) break;
    gaps.push_back(part(chunk, at, start));
    at = start + bytes.size();
  }
  gaps.push_back(part(chunk, at, chunk.end()));
  for (const Chunk& g : gaps) {
    if (!g.bytes.empty()) held_[g.start] = g.bytes;
  }
}

void Overlap::hold_last(const Chunk& chunk) {
  std::map<uint64_t, Bytes> kept;
  for (const auto& [start, bytes] : held_) {
    const Chunk old{start, bytes};
    for (const Chunk& rest : {part(old, 0, chunk.start), part(old, chunk.end(), UINT64_MAX)}) {
      if (!rest.bytes.empty()) kept[rest.start] = rest.bytes;
    }
  }
  kept[chunk.start] = chunk.bytes;
  held_ = kept;
}

void Overlap::drain(std::vector<Chunk>& out) {
  while (!held_.empty() && held_.begin()->first <= edge_) {
    Chunk next{held_.begin()->first, held_.begin()->second};
    held_.erase(held_.begin());
    next = part(next, edge_, UINT64_MAX);
    if (!next.bytes.empty()) deliver(next, out);
  }
}

void Overlap::deliver(Chunk chunk, std::vector<Chunk>& out) {
  delivered_.add(chunk.start, chunk.end());
  edge_ = chunk.end();
  out.push_back(std::move(chunk));
}

// Bytes of a hole that was given up.
void Overlap::late(const Chunk& chunk, std::vector<Chunk>& out) {
  for (uint64_t at = chunk.start; at < chunk.end();) {
    const uint64_t known = delivered_.edge(at);
    if (known > at) {
      at = known;
      continue;
    }
    uint64_t end = at + 1;
    while (end < chunk.end() && delivered_.edge(end) == end) ++end;
    delivered_.add(at, end);
    out.push_back(part(chunk, at, end));
    at = end;
  }
}

std::vector<Chunk> Overlap::skip_to(uint64_t end) {
  std::vector<Chunk> out;
  while (edge_ < end) {
    edge_ = held_.empty() ? end : std::min(end, std::max(edge_, held_.begin()->first));
    drain(out);
  }
  return out;
}

}  // namespace mptap::test
