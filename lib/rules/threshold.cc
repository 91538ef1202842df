// SPDX-License-Identifier: Apache-2.0
#include "rules/threshold.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mptap::rules {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9e3779b97f4a7c15u;
  return h ^ h >> 29;
}

}  // namespace

Thresholds::Thresholds(size_t max_entries) : sets_(std::bit_ceil(std::max(max_entries, kWays)) / kWays) {}

bool Thresholds::allow(const Rule& rule, const packet::IpAddress& src, const packet::IpAddress& dst, uint64_t flow_id,
                       uint64_t time_ns) {
  if (!rule.threshold) return true;
  const Threshold& t = *rule.threshold;
  Key key;
  key.gid = rule.gid;
  key.sid = rule.sid;
  switch (t.track) {
    case Threshold::Track::kBySrc: key.address = src; break;
    case Threshold::Track::kByDst: key.address = dst; break;
    case Threshold::Track::kByFlow: key.flow = flow_id; break;
    case Threshold::Track::kByRule: break;
  }
  Entry& entry = entry_of(key, time_ns);
  // Packets may come a little out of order: earlier than the window's first counts as in it.
  if (entry.count == 0 || (time_ns > entry.window_start && time_ns - entry.window_start >= uint64_t{t.seconds} * kSecond)) {
    entry.window_start = time_ns;
    entry.count = 0;
  }
  if (entry.count < UINT32_MAX) ++entry.count;
  bool report = false;
  switch (t.type) {
    case Threshold::Type::kLimit: report = entry.count <= t.count; break;
    case Threshold::Type::kThreshold: report = entry.count % t.count == 0; break;
    case Threshold::Type::kBoth: report = entry.count == t.count; break;
  }
  if (!report) ++stats_.suppressed;
  return report;
}

Thresholds::Entry& Thresholds::entry_of(const Key& key, uint64_t time_ns) {
  if (entries_.empty()) entries_.resize(sets_ * kWays);
  uint64_t words[2];
  std::memcpy(words, key.address.bytes.data(), sizeof words);
  const uint64_t hash = mix(mix(mix(mix(0, words[0]), words[1]), key.flow), uint64_t{key.gid} << 32 | key.sid);
  Entry* const set = &entries_[(hash & (sets_ - 1)) * kWays];
  Entry* oldest = set;
  for (Entry* e = set; e != set + kWays; ++e) {
    if (e->count == 0) {
      e->key = key;
      return *e;
    }
    if (e->key == key) return *e;
    if (e->window_start < oldest->window_start) oldest = e;
  }
  ++stats_.evicted;
  *oldest = {key, time_ns, 0};
  return *oldest;
}

}  // namespace mptap::rules
