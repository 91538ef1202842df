// SPDX-License-Identifier: Apache-2.0
// What the detector is told, and what becomes of its findings.
#include <algorithm>
#include <bit>

#include "worker/engine_state.h"

namespace mptap::worker {

using connection::Connection;
using connection::Member;
using event::AnomalyType;
using mptcp::Options;

namespace {

// Alerts that no rule file makes: the generator and its only signature so far.
constexpr uint32_t kDetectGid = 2, kCriticalSid = 1;

}  // namespace

// Findings become anomalies of the connection. MPTCP on a critical network is an alert, too: it is for whoever watches those.
class Engine::Finder final : public detect::Sink {
 public:
  Finder(Engine& engine, Slot& slot) : engine_(engine), slot_(slot) {}

  void found(AnomalyType type, std::optional<uint32_t> subflow, std::initializer_list<std::pair<const char*, uint64_t>> numbers,
             std::string_view detail) override {
    Connection& c = slot_.connection;
    c.report(type, subflow, numbers, detail);
    if (type != AnomalyType::kCriticalNetwork) return;
    event::Alert a;
    a.head = c.head();
    a.gid = kDetectGid;
    a.sid = kCriticalSid;
    a.rev = 1;
    a.signature = "MPTCP on critical network ";
    a.signature += detail;
    a.category = "Potential Corporate Privacy Violation";
    a.severity = 1;
    a.mptcp = c.mode != connection::Mode::kPlain;
    a.connection_id = c.id;
    a.version = c.version;
    if (subflow) a.subflows.push_back(*subflow);
    ++c.alerts;
    ++engine_.counters_.alerts;
    engine_.listener_.on_alert(a);
  }

 private:
  Engine& engine_;
  Slot& slot_;
};

// Once per packet with MPTCP options.
void Engine::count_options(Slot& slot, const Member& m, uint32_t present) {
  for (uint32_t left = present; left != 0; left &= left - 1) {
    const auto subtype = static_cast<size_t>(std::countr_zero(left));
    ++slot.connection.options[subtype];
    ++counters_.options[subtype];
  }
  if ((present & ~slot.subtypes) == 0) return;
  slot.subtypes |= present;
  watch_network(slot, m);
  const Connection& c = slot.connection;
  if (slot.started_told || c.mode != connection::Mode::kMptcp || c.orphan) return;
  slot.started_told = true;
  tell_joined(c, c.start_ns, true);
}

detect::Watch& Engine::watch(Slot& slot) {
  if (!slot.watch) {
    slot.watch = std::make_unique<detect::Watch>();
    const Member& first = *slot.connection.members.front();
    detector_.opened(*slot.watch, first.client.address, first.server.address);
  }
  return *slot.watch;
}

void Engine::watch_network(Slot& slot, const Member& m) {
  if (!detector_.has_critical()) return;
  Finder finder(*this, slot);
  detector_.mptcp_seen(watch(slot), m.client.address, m.server.address, m.id, finder);
}

void Engine::watch_join(Slot& slot, const Flow& f, uint64_t now) {
  if (slot.connection.members.empty()) return;
  Finder finder(*this, slot);
  detect::Watch& w = watch(slot);
  const std::optional<uint32_t> subflow = f.member ? std::optional(f.member->id) : std::nullopt;
  detector_.joined(w, {f.initiator.address, f.responder.address, subflow, now}, finder);
  counters_.detect_evicted = detector_.evicted();
  if (!f.member) return;
  const auto& members = slot.connection.members;
  if (members.size() > config_.detect.limits.subflows) {
    const auto open = std::count_if(members.begin(), members.end(), [](const auto& m) { return !m->closed(); });
    detector_.subflows(w, static_cast<uint64_t>(open), f.member->id, finder);
  }
  watch_network(slot, *f.member);
}

void Engine::watch_paths(Slot& slot) {
  const auto& members = slot.connection.members;
  if (members.size() < 2) return;
  uses_.clear();
  for (const auto& m : members) uses_.push_back({m->bytes[0] + m->bytes[1], m->backup, !m->closed()});
  Finder finder(*this, slot);
  detector_.carried(watch(slot), uses_, finder);
}

void Engine::watch_visibility(Slot& slot, bool at_end) {
  const Connection& c = slot.connection;
  if (c.mode != connection::Mode::kMptcp) return;
  const auto [seen, missing, missing_tap] = c.acknowledged();
  if (missing == 0) return;
  Finder finder(*this, slot);
  detector_.visibility(watch(slot), {seen, missing, missing_tap}, at_end, finder);
}

void Engine::on_address(Connection& c, const Member& m, int direction, const Options& o, uint64_t now) {
  if (o.has(Options::kAddAddr) && o.add_addr.echo && !o.has(Options::kRemoveAddr)) return;
  Slot& slot = *slot_of(c);
  Finder finder(*this, slot);
  detect::Watch& w = watch(slot);
  if (o.has(Options::kAddAddr) && !o.add_addr.echo) {
    detector_.address(w, {direction, o.add_addr.address_id, false, o.add_addr.address, o.add_addr.port, now}, m.id, finder);
  }
  if (!o.has(Options::kRemoveAddr)) return;
  for (size_t i = 0; i < o.remove_addr.count && i < o.remove_addr.ids.size(); ++i)
    detector_.address(w, {direction, o.remove_addr.ids[i], true, {}, 0, now}, m.id, finder);
}

void Engine::on_change(Connection& c) {
  watch_paths(*slot_of(c));
}

}  // namespace mptap::worker
