// SPDX-License-Identifier: Apache-2.0
#include "worker/router.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mptcp/crypto.h"

namespace mptap::worker {

using connection::Candidate;
using connection::TokenMap;
using mptcp::Options;
using packet::TcpSegment;
using subflow::FlowKey;

namespace {

// Shard's worker, claimer, owner: a packet that has passed more is on a circle of stale entries.
constexpr unsigned kMaxHops = 3;
constexpr size_t kMaxHeldPackets = 64, kMaxUntold = 4096;
constexpr unsigned kUndecided = ~0u;
// No slot has this number: the handle of a claim.
constexpr uint32_t kClaimSlot = ~0u;

}  // namespace

struct Router::Foreign : Timer {
  FlowKey key;
  unsigned owner = 0;  // or kUndecided
  uint64_t last_ns = 0;
  // While undecided.
  mptcp::Join syn;
  struct Held {
    TcpSegment segment;
    std::vector<uint8_t> bytes;
    unsigned hops;
    uint64_t order;
  };
  std::vector<Held> held;
  uint64_t held_bytes = 0;
};

Router::Router(Fabric& fabric, unsigned self, Counters& counters, const RouterOptions& options)
    : fabric_(fabric), self_(self), counters_(counters), options_(options) {}
Router::~Router() = default;

Router::Verdict Router::route(const TcpSegment& s, const FlowKey& key, unsigned hops, uint64_t order) {
  if (!foreign_.empty()) {
    if (const auto it = foreign_.find(key); it != foreign_.end()) {
      if (hops > 0 && fabric_.shard(s) == self_) {
        // Sent away from here and come back: it went to a claimer, and the connection turned out to be here, or elsewhere.
        forget(FlowKey(key));
        return route(s, key, hops, order);
      }
      Foreign& f = *it->second;
      f.last_ns = std::max(f.last_ns, s.timestamp_ns);
      if (f.owner != kUndecided) return send(f.owner, s, hops, order);
      hold(f, s, hops, order);
      return Verdict::kGone;
    }
  }
  const bool opens = (s.flags & (packet::kSyn | packet::kAck | packet::kRst)) == packet::kSyn;
  if (opens && s.options_size != 0) return route_join(s, key, hops, order);
  return Verdict::kOurs;
}

Router::Verdict Router::route_join(const TcpSegment& s, const FlowKey& key, unsigned hops, uint64_t order) {
  Options options;
  mptcp::parse_options(s.option_bytes(), s.flags, s.payload_size > 0, options);
  if (!options.has(Options::kJoin)) return Verdict::kOurs;
  // In the order of the packets, a join meets the connections that those before it have made and ended.
  if (fabric_.ordered() && fabric_.all_processed() + 1 < order) return Verdict::kStall;

  std::array<Candidate, TokenMap::kMaxCandidates> candidates;
  size_t count = fabric_.tokens().find(options.join.token, candidates);
  if (count == 0) {
    bool refused = false;
    candidates[0] = fabric_.tokens().claim(options.join.token, {.handle = handle(kClaimSlot, 0)}, &refused);
    if (refused) hit(Limit::kTokens);
    count = 1;
  }
  const unsigned owner = candidates[0].handle.worker;
  const bool several = std::any_of(candidates.begin(), candidates.begin() + static_cast<long>(count),
                                   [&](const Candidate& c) { return c.handle.worker != owner; });
  if (!several && owner == self_) return Verdict::kOurs;
  Foreign* f = add(key, several ? kUndecided : owner, s.timestamp_ns);
  if (f == nullptr) {
    hit(Limit::kForeignSubflows);
    return Verdict::kOurs;
  }
  if (!several) {
    const Verdict verdict = send(owner, s, hops, order);
    if (verdict == Verdict::kStall) forget(key);
    return verdict;
  }
  counters_.add(kJoinsHeld);
  f->syn = options.join;
  hold(*f, s, hops, order);
  return Verdict::kGone;
}

Router::Verdict Router::send(unsigned to, const TcpSegment& s, unsigned hops, uint64_t order, bool decided) {
  if (hops >= kMaxHops) {
    counters_.add(kHandoffLooped);
    return Verdict::kOurs;
  }
  Parcel* parcel = fabric_.segments(self_, to).acquire();
  if (parcel == nullptr) {
    if (fabric_.ordered()) return Verdict::kStall;
    counters_.add(kHandoffDropped);
    hit(Limit::kSegmentLane);
    return Verdict::kGone;
  }
  parcel->kind = Parcel::Kind::kSegment;
  parcel->hops = static_cast<uint8_t>(hops + 1);
  parcel->decided = decided;
  parcel->order = order;
  parcel->load(s);
  fabric_.segments(self_, to).send(parcel);
  counters_.add(kHandedOff);
  return Verdict::kGone;
}

Router::Foreign* Router::add(const FlowKey& key, unsigned owner, uint64_t now) {
  if (foreign_.size() >= options_.foreign) return nullptr;
  auto entry = std::make_unique<Foreign>();
  entry->key = key;
  entry->owner = owner;
  entry->last_ns = now;
  wheel_.arm(*entry, now + (owner == kUndecided ? options_.hold_ns : options_.idle_ns));
  Foreign* f = entry.get();
  foreign_[key] = std::move(entry);
  counters_.set(kForeignSubflows, foreign_.size());
  return f;
}

void Router::hold(Foreign& f, const TcpSegment& s, unsigned hops, uint64_t order) {
  Foreign::Held held{s, {}, hops, order};
  held.bytes.assign(s.options, s.options + s.options_size);
  held.bytes.insert(held.bytes.end(), s.payload, s.payload + s.payload_size);
  held_count_ += f.held.empty();
  f.held_bytes += sizeof(Foreign::Held) + held.bytes.size();
  held_bytes_ += sizeof(Foreign::Held) + held.bytes.size();
  f.held.push_back(std::move(held));

  Options options;
  const bool synack = (s.flags & packet::kSyn) && (s.flags & packet::kAck);
  if (synack) mptcp::parse_options(s.option_bytes(), s.flags, s.payload_size > 0, options);
  const bool decides = synack && options.has(Options::kJoin) && options.join.length == 16;
  const bool full = held_count_ > options_.max_held || held_bytes_ > options_.held_bytes;
  if (!decides && !full && f.held.size() < kMaxHeldPackets) return;
  if (!decides) hit(Limit::kHeldJoins);

  std::array<Candidate, TokenMap::kMaxCandidates> candidates;
  const size_t count = fabric_.tokens().find(f.syn.token, candidates);
  unsigned owner = count == 0 ? self_ : candidates[0].handle.worker;
  for (size_t i = 0; decides && i < count; ++i) {
    const Candidate& c = candidates[i];
    if (!c.keys_known) continue;
    // The responder is the host whose token the SYN bore.
    const int responder = c.client_token ? 0 : 1;
    const auto hmac = mptcp::join_hmac(c.version, c.keys[responder], c.keys[1 - responder], options.join.nonce, f.syn.nonce);
    if (std::memcmp(hmac.data(), options.join.hmac.data(), 8) != 0) continue;
    owner = c.handle.worker;
    break;
  }
  decide(f, owner);
}

void Router::decide(Foreign& f, unsigned owner) {
  f.owner = owner;
  wheel_.arm(f, f.last_ns + options_.idle_ns);
  held_count_ -= !f.held.empty();
  held_bytes_ -= std::exchange(f.held_bytes, 0);
  const auto held = std::move(f.held);
  for (const Foreign::Held& h : held) {
    TcpSegment s = h.segment;
    s.options = h.bytes.data();
    s.payload = h.bytes.data() + s.options_size;
    // To ourselves as well: what is held comes back through the lane, behind nothing that it was before. The receiver must not
    // ask the token map again.
    if (send(owner, s, h.hops, h.order, true) != Verdict::kGone) counters_.add(kHandoffDropped);
  }
  if (owner == self_) forget(f.key);
}

void Router::redirect(const TcpSegment& s, const FlowKey& key, unsigned owner) {
  if (!foreign_.contains(key) && add(key, owner, s.timestamp_ns) == nullptr) {
    hit(Limit::kForeignSubflows);
    counters_.add(kForeignDropped);
    return;
  }
  foreign_[key]->owner = owner;
  if (send(owner, s, 1, 0) != Verdict::kGone) counters_.add(kHandoffDropped);
}

void Router::welcome(const FlowKey& key, unsigned origin) {
  if (origin != self_ && guests_.size() < options_.foreign) guests_[key] = static_cast<uint16_t>(origin);
}

void Router::forget(const FlowKey& key) {
  foreign_.erase(key);
  counters_.set(kForeignSubflows, foreign_.size());
}

void Router::advance(uint64_t now_ns) {
  wheel_.advance(now_ns, [&](Timer& timer) {
    auto& f = static_cast<Foreign&>(timer);
    if (f.owner == kUndecided) {
      decide(f, likely_owner(f));
    } else if (f.last_ns + options_.idle_ns <= now_ns) {
      forget(FlowKey(f.key));
    } else {
      wheel_.arm(f, f.last_ns + options_.idle_ns);
    }
  });
  flush();
}

unsigned Router::likely_owner(const Foreign& f) const {
  Candidate newest;
  return fabric_.tokens().find(f.syn.token, {&newest, 1}) != 0 ? newest.handle.worker : self_;
}

void Router::decide_all() {
  if (held_count_ == 0) return;
  std::vector<Foreign*> undecided;
  for (auto& [key, f] : foreign_)
    if (f->owner == kUndecided) undecided.push_back(f.get());
  for (Foreign* f : undecided) decide(*f, likely_owner(*f));
}

void Router::tell(const Message& message) {
  if (untold_.size() < kMaxUntold) untold_.push_back(message);
  flush();
}

void Router::flush() {
  size_t told = 0;
  for (; told < untold_.size(); ++told) {
    const Message& m = untold_[told];
    Parcel* parcel = fabric_.segments(self_, m.to).acquire();
    if (parcel == nullptr) break;
    parcel->kind = m.kind;
    parcel->token = m.token;
    parcel->key = m.key;
    fabric_.segments(self_, m.to).send(parcel);
  }
  untold_.erase(untold_.begin(), untold_.begin() + static_cast<long>(told));
}

bool Router::publish(const connection::Connection& c, uint32_t token, uint32_t slot, uint64_t serial) {
  bool shared = false;
  for (const int side : {0, 1}) {
    if (!c.token_known[side]) continue;
    const bool fresh = c.tokens[side] == token;
    const bool keys = c.key_known[0] && c.key_known[1];
    // The other token went out before this key was known: now a join can be judged by both.
    if (!fresh && !keys) continue;
    Candidate displaced;
    const auto inserted = fabric_.tokens().insert(
        c.tokens[side],
        {.handle = handle(slot, serial), .version = c.version, .client_token = side == 0, .keys_known = keys, .keys = c.keys},
        &displaced);
    if (inserted == TokenMap::Inserted::kFull) hit(Limit::kTokens);
    if (fresh) shared = inserted == TokenMap::Inserted::kShared;
    if (displaced.claim && displaced.handle.worker != self_)
      tell({displaced.handle.worker, Parcel::Kind::kTokenKnown, c.tokens[side], {}});
  }
  return shared;
}

void Router::withdraw(uint32_t token, uint32_t slot, uint64_t serial) {
  fabric_.tokens().erase(token, handle(slot, serial));
}

void Router::unclaim(uint32_t token) {
  fabric_.tokens().erase(token, handle(kClaimSlot, 0));
}

void Router::flow_ended(const FlowKey& key) {
  if (guests_.empty()) return;
  const auto guest = guests_.find(key);
  if (guest == guests_.end()) return;
  const unsigned origin = guest->second;
  guests_.erase(guest);
  tell({origin, Parcel::Kind::kFlowEnded, 0, key});
}

}  // namespace mptap::worker
