// SPDX-License-Identifier: Apache-2.0
#include "detect/detector.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace mptap::detect {

using event::AnomalyType;
using packet::IpAddress;

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// What one party is usually given: a /24, or a /48.
packet::Prefix network_of(const IpAddress& address) {
  const unsigned length = address.is_v4() ? 24 : 48;
  return {packet::masked(address, length + (address.is_v4() ? 96 : 0)), length};
}

uint64_t hash(const IpAddress& address, uint64_t seed) {
  uint64_t h = 0xcbf29ce484222325ull ^ seed;
  for (const uint8_t b : address.bytes) h = (h ^ b) * 0x100000001b3ull;
  return h ^ h >> 29;
}

// True the first time within a window that it is asked.
bool once(uint64_t& told_ns, uint64_t now, uint64_t window) {
  if (told_ns != 0 && now < told_ns + window) return false;
  told_ns = now;
  return true;
}

}  // namespace

Detector::Detector(const Options& options)
    : options_(options),
      join_window_ns_(options.limits.join_window_s * kSecond),
      flux_window_ns_(options.limits.flux_window_s * kSecond),
      table_(options.limits.join_table) {}

void Detector::mptcp_seen(Watch& w, const IpAddress& one, const IpAddress& other, uint32_t subflow, Sink& sink) {
  for (size_t i = 0; i < options_.critical.size(); ++i) {
    const config::NamedPrefix& network = options_.critical[i];
    const uint64_t bit = 1ull << i % 64;
    if ((w.critical_told & bit) != 0 || !(network.prefix.contains(one) || network.prefix.contains(other))) continue;
    w.critical_told |= bit;
    const std::string prefix = network.prefix.to_string();
    sink.found(AnomalyType::kCriticalNetwork, subflow, {},
               network.name == prefix ? prefix : fmt::format("{} ({})", network.name, prefix));
  }
}

bool Detector::is_new(Watch& w, const IpAddress& address) {
  const uint64_t network = hash(network_of(address).base, address.is_v4() ? 4 : 6);
  const size_t kept = std::min<size_t>(w.networks_seen, w.networks.size());
  if (std::find(w.networks.begin(), w.networks.begin() + static_cast<ptrdiff_t>(kept), network) !=
      w.networks.begin() + static_cast<ptrdiff_t>(kept)) {
    return false;
  }
  w.networks[w.networks_seen++ % w.networks.size()] = network;
  return true;
}

void Detector::opened(Watch& w, const IpAddress& client, const IpAddress& server) {
  is_new(w, client);
  is_new(w, server);
}

void Detector::joined(Watch& w, const JoinSeen& j, Sink& sink) {
  const auto& l = options_.limits;
  const uint32_t joins = w.joins.add(j.now_ns, join_window_ns_);
  if (l.joins_per_connection != 0 && joins > l.joins_per_connection && once(w.joins_told_ns, j.now_ns, join_window_ns_))
    sink.found(AnomalyType::kJoinStorm, j.subflow, {{"joins", joins}, {"seconds", l.join_window_s}}, "in one connection");

  const auto across = [&](JoinTable::Role role, const IpAddress& who, uint64_t limit, const auto& where) {
    const JoinTable::Result r = table_.count(role, who, j.now_ns, join_window_ns_, limit);
    if (r.crossed) sink.found(AnomalyType::kJoinStorm, j.subflow, {{"joins", r.joins}, {"seconds", l.join_window_s}}, where());
  };
  const packet::Prefix network = network_of(j.from);
  using Role = JoinTable::Role;
  across(Role::kSource, j.from, l.joins_per_source, [&] { return "from " + j.from.to_string(); });
  across(Role::kSourceNetwork, network.base, l.joins_per_network, [&] { return "from network " + network.to_string(); });
  across(Role::kTarget, j.to, l.joins_per_target, [&] { return "to " + j.to.to_string(); });

  // Either end may be the one that moves about.
  for (const IpAddress* end : {&j.from, &j.to}) {
    if (!is_new(w, *end)) continue;
    const uint32_t fresh = w.new_networks.add(j.now_ns, flux_window_ns_);
    if (l.flux_networks != 0 && fresh > l.flux_networks && once(w.networks_told_ns, j.now_ns, flux_window_ns_)) {
      sink.found(AnomalyType::kFastFlux, j.subflow, {{"networks", fresh}, {"seconds", l.flux_window_s}},
                 "joins with new networks, the last " + network_of(*end).to_string());
    }
  }
}

void Detector::subflows(Watch& w, uint64_t open, uint32_t newest, Sink& sink) {
  const uint64_t limit = options_.limits.subflows;
  if (limit == 0 || open <= limit) w.subflows_told = false;
  if (limit == 0 || open <= limit || w.subflows_told) return;
  w.subflows_told = true;
  sink.found(AnomalyType::kManySubflows, newest, {{"subflows", open}, {"threshold", limit}}, {});
}

void Detector::address(Watch& w, const AddressSignal& s, uint32_t subflow, Sink& sink) {
  const auto& l = options_.limits;
  constexpr uint8_t kRemoved = 1;
  uint8_t& known = w.announced[static_cast<size_t>(s.direction & 1)][s.address_id];
  const auto now_known = s.removed ? kRemoved : static_cast<uint8_t>(2 + hash(s.address, s.port) % 254);
  // Hosts repeat what was not answered.
  if (known == now_known) return;
  known = now_known;
  const uint32_t changes = w.address_changes.add(s.now_ns, flux_window_ns_);
  if (l.flux_addresses == 0 || changes <= l.flux_addresses || !once(w.addresses_told_ns, s.now_ns, flux_window_ns_)) return;
  sink.found(AnomalyType::kFastFlux, subflow, {{"changes", changes}, {"seconds", l.flux_window_s}},
             "addresses added and removed");
}

void Detector::carried(Watch& w, std::span<const Use> uses, Sink& sink) {
  const auto& l = options_.limits;
  if (l.backup_percent == 0) return;
  uint64_t backup = 0, regular = 0;
  bool open = false;
  if (w.carried.size() < uses.size()) w.carried.resize(uses.size());
  for (size_t i = 0; i < uses.size(); ++i) {
    (uses[i].backup ? backup : regular) += uses[i].bytes - w.carried[i];
    w.carried[i] = uses[i].bytes;
    open = open || (!uses[i].backup && uses[i].open);
  }
  const bool was_open = std::exchange(w.regular_open, open);
  if (!was_open) {
    // A backup path alone is used as it should be.
    w.on_backup = w.on_regular = 0;
    return;
  }
  w.on_backup += backup;
  w.on_regular += regular;
  const uint64_t total = w.on_backup + w.on_regular;
  if (total < l.backup_bytes) return;
  const bool shifted = w.on_backup * 100 >= total * l.backup_percent;
  if (shifted && !w.backup_told) {
    sink.found(AnomalyType::kBackupShift, std::nullopt,
               {{"backup_bytes", w.on_backup}, {"bytes", total}, {"percent", w.on_backup * 100 / total}}, {});
  }
  w.backup_told = shifted;
  w.on_backup = w.on_regular = 0;
}

void Detector::visibility(Watch& w, const Seen& s, bool at_end, Sink& sink) {
  const auto& l = options_.limits;
  const uint64_t all = s.seen + s.missing;
  if (l.visibility_percent == 0 || w.visibility_told || s.missing == 0) return;
  if (!at_end && all < l.visibility_bytes) return;
  if (s.seen * 100 >= all * l.visibility_percent) return;
  w.visibility_told = true;
  sink.found(AnomalyType::kVisibilityLow, std::nullopt,
             {{"percent", s.seen * 100 / all}, {"seen", s.seen}, {"missing", s.missing}, {"missing_tap", s.missing_tap}},
             s.missing_tap * 2 > s.missing ? "the tap lost packets" : "a path that is not tapped carries the rest");
}

}  // namespace mptap::detect
