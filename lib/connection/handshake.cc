// SPDX-License-Identifier: Apache-2.0
// MP_CAPABLE and MP_JOIN (RFC 8684 sections 3.1 and 3.2; RFC 6824 for version 0): is it MPTCP, which keys, does the join hold.
#include <algorithm>
#include <cstring>

#include "connection/connection.h"
#include "mptcp/crypto.h"

namespace mptap::connection {

using event::AnomalyType;
using event::Join;
using mptcp::Options;
using subflow::Unit;
using subflow::UnitKind;

void Connection::learn_key(int side, uint64_t key) {
  if (key_known[side]) return;
  const mptcp::KeyDigest d = mptcp::digest_key(version, key);
  key_known[side] = true;
  keys[side] = key;
  tokens[side] = d.token;
  token_known[side] = true;
  // DSNs of a direction start at its sender's IDSN.
  if (!origin_known_[side]) {
    const uint64_t origin = d.idsn + 1 - fast_open_[side];
    if (origin_[side] != 0 && streams[side] && !streams[side]->anchored()) {
      // Bytes came before the key: they stand at kFloat and up. Where the first one was not the stream's first, the rest is a
      // hole.
      const uint64_t first = origin_[side] + kFloat;
      const uint64_t ahead = narrow_[side] ? static_cast<uint32_t>(first) - static_cast<uint32_t>(origin) : first - origin;
      if (ahead < kFloat) streams[side]->anchor(kFloat - ahead);
      origin_[side] = origin - (kFloat - ahead);
    } else {
      origin_[side] = origin;
    }
    narrow_[side] = false;
    origin_known_[side] = true;
  }
  for (const auto& m : members) verify_join(*m);
  observer_.on_token(*this, d.token);
}

void Connection::set_orphan(uint32_t token) {
  orphan = true;
  mode = Mode::kMptcp;
  tokens[1] = token;
  token_known[1] = true;
}

void Connection::decide(Mode decided) {
  if (mode != Mode::kUndecided) return;
  mode = decided;
  if (mode == Mode::kPlain) {
    for (int dir = 0; dir < 2; ++dir) {
      MapState& s = members.front()->map[dir];
      s.valid = s.infinite = true;
      s.ssn = 1;
      s.offset = fast_open_[dir];
    }
  }
  if (!undecided_) return;
  const auto held = std::move(undecided_);
  undecided_bytes_ = 0;
  undecided_charge_.reset();
  for (auto& h : *held) {
    h.unit.bytes = h.bytes.data();
    on_unit(*h.member, h.unit);
  }
}

void Connection::hold_undecided(Member& m, const Unit& u) {
  if (!undecided_) undecided_ = std::make_unique<std::vector<Undecided>>();
  undecided_->push_back({u, {u.bytes, u.bytes + (u.bytes ? u.size : 0)}, &m});
  undecided_->back().unit.options = nullptr;
  undecided_bytes_ += u.size;
  if (!undecided_charge_) undecided_charge_ = std::make_unique<stream::Charge>(account);
  const bool room = u.bytes == nullptr || undecided_charge_->add(u.size);
  if (room && undecided_bytes_ <= config_.undecided_bytes && undecided_->size() < 256) return;
  // No answer for so long: what Linux does with what it has seen.
  const bool taken = synack_capable_;
  decide(taken ? Mode::kMptcp : Mode::kPlain);
  if (taken) {
    for (int dir = 0; dir < 2; ++dir) {
      if (!m.map[dir].infinite) fall_back(m, dir, 1, "handshake_without_key");
    }
  }
}

void Connection::on_handshake(Member& m, const Unit& u) {
  const bool join = u.options->has(Options::kJoin) || m.join != Join::kInitial;
  if (join) {
    on_join(m, u);
  } else {
    on_capable(m, u);
  }
}

void Connection::on_capable(Member& m, const Unit& u) {
  const Options& o = *u.options;
  const int dir = u.direction;
  const bool has = o.has(Options::kCapable);
  // SYN and SYN/ACK come as signals at SSN 0; later packets have their place.
  if (dir == 0 && !m.has_synack && u.ssn == 0) {
    m.has_syn = true;
    syn_capable_ = has;
    if (!has) return decide(Mode::kPlain);
    syn_version_ = o.capable.version;
    version = std::min<uint8_t>(syn_version_, 1);
    if (version == 0) syn_key_ = o.capable.sender_key;
    checksum = checksum || (o.capable.flags & mptcp::kFlagChecksum) != 0;
    return;
  }
  if (dir == 1 && u.ssn == 0) {
    synack_seen_ = true;
    m.has_synack = true;
    if (m.has_syn && !syn_capable_) return decide(Mode::kPlain);
    if (!has) {
      fallback_reason = m.has_syn ? "no_capable_in_synack" : "";
      return decide(Mode::kPlain);
    }
    const mptcp::Capable& c = o.capable;
    const bool mirrored = c.length == 4 || (m.has_syn && syn_version_ == 0 && c.length == 12 && c.sender_key == syn_key_);
    if (mirrored) {
      tell(AnomalyType::kMirroredOptions, &m, dir, {{"version", c.version}});
      fallback_reason = "mirrored_options";
      return decide(Mode::kPlain);
    }
    version = std::min<uint8_t>(c.version, 1);
    checksum = checksum || (c.flags & mptcp::kFlagChecksum) != 0;
    synack_capable_ = true;
    learn_key(1, c.sender_key);
    if (version == 0 && m.has_syn && syn_version_ == 0) learn_key(0, syn_key_);
    return;
  }
  if (has && o.capable.length >= 20 && dir == 0) {
    const mptcp::Capable& c = o.capable;
    first_ack_seen_ = true;
    m.has_third_ack = true;
    if (mode == Mode::kPlain) return;
    version = std::min<uint8_t>(c.version, 1);
    if (!synack_seen_) checksum = checksum || (c.flags & mptcp::kFlagChecksum) != 0;
    learn_key(0, c.sender_key);
    learn_key(1, c.receiver_key);
    decide(Mode::kMptcp);
  }
}

void Connection::on_first_ack(Member& m, const Unit& u) {
  if (mode != Mode::kUndecided) return;
  if (u.direction == 0) {
    if (u.options && u.options->has(Options::kCapable)) return;
    if (!first_ack_seen_) {
      // The first packet behind the SYN/ACK must bear both keys, or the host falls back; but the tap may have lost it.
      first_ack_seen_ = true;
      without_key_ = true;
      bare_ack_ = !u.has_dss;
    }
    return;
  }
  // The server's answer shows what it made of it.
  if (!first_ack_seen_ && u.kind == UnitKind::kSignal && !u.has_dss) return;
  if (u.has_dss) {
    without_key_ = false;  // it was the tap that lost the keys
    decide(Mode::kMptcp);
  } else if (without_key_ && (u.kind == UnitKind::kData || u.tcp_ack)) {
    if (synack_capable_) {
      // Not even a DSS: the client has not seen the server's key.
      tell(bare_ack_ ? AnomalyType::kOptionStripped : AnomalyType::kHandshakeWithoutKey, &m, 0, {{"packet", u.number}});
      decide(Mode::kMptcp);
    } else {
      decide(Mode::kPlain);
    }
  }
}

Member& Connection::open(const packet::Endpoint& client, const packet::Endpoint& server, uint64_t now, uint64_t number, Mode m) {
  auto member = std::make_unique<Member>();
  member->id = static_cast<uint32_t>(members.size());
  member->client = client;
  member->server = server;
  member->start_ns = now;
  start_ns = now;
  first_number = number;
  members.push_back(std::move(member));
  if (m == Mode::kPlain) decide(m);
  if (m == Mode::kMptcp) pick_up();
  return *members.back();
}

// A capture that begins in mid-connection: no keys, no token, DSNs from the first one seen on.
void Connection::pick_up() {
  picked_up = orphan = true;
  late = false;
  mode = Mode::kMptcp;
  fallback_reason.clear();
  Member& m = *members.front();
  m.join = Join::kUnverified;
  for (MapState& s : m.map) {
    s = {};
    s.aligned = m.has_synack;
  }
}

std::optional<bool> Connection::reversed_for(uint32_t token) const {
  if (token_known[1] && tokens[1] == token) return false;
  if (token_known[0] && tokens[0] == token) return true;
  return std::nullopt;
}

bool Connection::accepts(const mptcp::Join& synack, uint32_t syn_nonce, bool reversed) const {
  if (!key_known[0] || !key_known[1]) return false;
  const int responder = reversed ? 0 : 1;
  const auto right = mptcp::join_hmac(version, keys[responder], keys[1 - responder], synack.nonce, syn_nonce);
  return std::memcmp(right.data(), synack.hmac.data(), 8) == 0;
}

Member* Connection::join(const packet::Endpoint& client, const packet::Endpoint& server, bool reversed, const mptcp::Join& syn,
                         uint64_t now) {
  if (members.size() >= config_.max_members) {
    tell(AnomalyType::kSubflowLimit, nullptr, std::nullopt, {{"limit", config_.max_members}});
    return nullptr;
  }
  observer_.on_change(*this);
  auto member = std::make_unique<Member>();
  member->id = static_cast<uint32_t>(members.size());
  member->client = client;
  member->server = server;
  member->reversed = reversed;
  member->join = Join::kUnverified;
  member->address_id = syn.address_id;
  member->backup = syn.backup;
  member->nonce_initiator = syn.nonce;
  member->has_syn = true;
  member->start_ns = now;
  if (members.empty()) start_ns = now;
  if (version == 0) check_announced(*member);
  members.push_back(std::move(member));
  observer_.on_member(*this, *members.back());
  return members.back().get();
}

void Connection::fail_join(Member& m, AnomalyType why, std::string_view detail) {
  if (m.join == Join::kFailed) return;
  m.join = Join::kFailed;
  tell(why, &m, std::nullopt, {{"address_id", m.address_id}}, detail);
}

void Connection::on_join(Member& m, const Unit& u) {
  const Options& o = *u.options;
  if (m.has_syn && !m.has_synack && u.direction == 1 && u.ssn == 0 && !o.has(Options::kAnyMptcp))
    tell(AnomalyType::kOptionStripped, &m, std::nullopt, {{"packet", u.number}}, "SYN/ACK of a join");
  if (!o.has(Options::kJoin) || m.join == Join::kFailed) return;
  const mptcp::Join& j = o.join;
  if (j.length == 16 && u.direction == 1) {
    m.has_synack = true;
    m.nonce_responder = j.nonce;
    std::memcpy(m.responder_hmac.data(), j.hmac.data(), m.responder_hmac.size());
  } else if (j.length == 24 && u.direction == 0) {
    m.has_third_ack = true;
    m.initiator_hmac = j.hmac;
  }
  verify_join(m);
}

// As far as keys and HMACs are known: also of a join that was seen before its connection's keys were.
void Connection::verify_join(Member& m) {
  if (!key_known[0] || !key_known[1] || !m.has_synack || m.join == Join::kInitial || m.join == Join::kFailed) return;
  const int initiator = m.reversed ? 1 : 0;
  const uint64_t mine = keys[initiator], other = keys[1 - initiator];
  const auto responder = mptcp::join_hmac(version, other, mine, m.nonce_responder, m.nonce_initiator);
  if (!std::equal(m.responder_hmac.begin(), m.responder_hmac.end(), responder.begin())) {
    return fail_join(m, AnomalyType::kJoinBadHmac, "SYN/ACK");
  }
  if (m.has_third_ack && mptcp::join_hmac(version, mine, other, m.nonce_initiator, m.nonce_responder) != m.initiator_hmac) {
    return fail_join(m, AnomalyType::kJoinBadHmac, "third ACK");
  }
  m.join = Join::kVerified;
}

}  // namespace mptap::connection
