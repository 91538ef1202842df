// SPDX-License-Identifier: Apache-2.0
#include "detect/join_table.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mptap::detect {
namespace {

uint64_t mix(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdull;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ull;
  return h ^ h >> 33;
}

// Not seeded: a file gives the same result each time. Whoever aims at one set costs others' entries of it, no more.
uint64_t hash(JoinTable::Role role, const packet::IpAddress& who) {
  uint64_t halves[2];
  std::memcpy(halves, who.bytes.data(), sizeof halves);
  return mix(mix(halves[0] + static_cast<uint64_t>(role)) ^ halves[1]);
}

}  // namespace

JoinTable::JoinTable(uint64_t entries) : sets_(std::bit_ceil(std::max<uint64_t>(entries / kWays, 1))) {}

JoinTable::Result JoinTable::count(Role role, const packet::IpAddress& who, uint64_t now, uint64_t window, uint64_t limit) {
  if (limit == 0) return {};
  if (entries_.empty()) entries_.resize(sets_ * kWays);
  Entry* const set = &entries_[(hash(role, who) & (sets_ - 1)) * kWays];
  Entry* entry = std::find_if(set, set + kWays, [&](const Entry& e) { return e.role == role && e.who == who; });
  if (entry == set + kWays) {
    entry = std::min_element(set, set + kWays, [](const Entry& a, const Entry& b) { return a.last_ns < b.last_ns; });
    if (entry->role != Role::kNone && entry->last_ns + window > now) ++evicted_;
    *entry = {.who = who, .role = role};
  }
  entry->last_ns = std::max(entry->last_ns, now);
  Result result{.joins = entry->rate.add(now, window)};
  if (result.joins > limit && (entry->told_ns == 0 || now >= entry->told_ns + window)) {
    entry->told_ns = now;
    result.crossed = true;
  }
  return result;
}

}  // namespace mptap::detect
