// SPDX-License-Identifier: Apache-2.0
// The options that say something about the connection: DATA_ACK, ADD_ADDR, REMOVE_ADDR, MP_PRIO, MP_FAIL, MP_FASTCLOSE,
// MP_TCPRST (RFC 8684 sections 3.3.2 to 3.7).
#include <algorithm>

#include "connection/connection.h"
#include "mptcp/crypto.h"
#include "mptcp/sequence.h"

namespace mptap::connection {

using event::AnomalyType;
using mptcp::Options;
using subflow::Doubt;
using subflow::Unit;

void Connection::on_data_ack(int dir, const Unit& u) {
  // The ACK of this packet's direction speaks about the other one's stream.
  const int acked = 1 - dir;
  acks_seen_[acked] = true;
  const auto offset = offset_of(acked, u.dss.ack, u.dss.ack8, false);
  if (!offset) return;
  stream::Stream& st = stream(acked);
  // Where a path's ACKs are not seen, windows may have been granted on it.
  const bool all_seen = std::all_of(members.begin(), members.end(), [&](const auto& m) {
    return m->join == event::Join::kFailed || m->packets[dir] > 0 || m->packets[acked] == 0;
  });
  if (all_seen) {
    st.allow(*offset + u.window);
  } else {
    st.allow(~0ull >> 1);
  }
  st.acknowledge(*offset, u.timestamp_ns);
  if (st.waiting()) observer_.on_stir(*this);
}

void Connection::on_options(Member& m, int dir, const Unit& u) {
  const Options& o = *u.options;
  if (o.has(Options::kMalformedMptcp)) {
    tell(o.has(Options::kBadDss) ? AnomalyType::kDssBadLength : AnomalyType::kMalformedOption, &m, dir, {{"packet", u.number}});
  }
  if (o.has(Options::kUnknownSubtype)) tell(AnomalyType::kUnknownSubtype, &m, dir, {{"packet", u.number}});
  if (o.has(Options::kSeveralDss) && o.first_dss.has_map && !(o.first_dss == o.dss)) {
    tell(AnomalyType::kDuplicateDss, &m, dir, {{"dsn", o.dss.dsn}, {"other", o.first_dss.dsn}});
    m.map[dir].other_number = u.number;
    m.map[dir].other = o.first_dss;
  }
  if (o.has(Options::kFastClose)) on_fast_close(m, dir, u);
  if (u.doubt != Doubt::kNone) return;
  if (o.has(Options::kAddAddr)) on_add_addr(m, dir, o.add_addr);
  if (o.has(Options::kAddAddr | Options::kRemoveAddr)) observer_.on_address(*this, m, dir, o, u.timestamp_ns);
  if (o.has(Options::kPrio)) {
    observer_.on_change(*this);
    Member* target = &m;
    if (o.prio.has_address_id) {
      for (auto& other : members) {
        if (other->address_id == o.prio.address_id) target = other.get();
      }
    }
    target->backup = o.prio.backup;
  }
  if (o.has(Options::kFail)) tell(AnomalyType::kMpFail, &m, dir, {{"dsn", o.fail_dsn}});
  if (o.has(Options::kTcpRst)) {
    m.reset_reason = o.tcp_rst.reason;
    m.reset_reason_seen = true;
  }
}

void Connection::on_fast_close(Member& m, int dir, const Unit& u) {
  if (u.doubt != Doubt::kNone) {
    tell(AnomalyType::kFastcloseOutOfWindow, &m, dir, {{"packet", u.number}});
    return;
  }
  if (m.map[dir].infinite) return;  // the receiver speaks plain TCP by now
  const int receiver = 1 - dir;
  if (key_known[receiver] && keys[receiver] != u.options->fast_close_key) {
    tell(AnomalyType::kFastcloseWrongKey, &m, dir, {{"packet", u.number}});
    return;
  }
  fast_closed = true;
}

// Version 0 has no HMAC on ADD_ADDR: a third party can announce its own address, and the peer joins there.
void Connection::check_announced(const Member& m) {
  for (const int side : {0, 1}) {
    const auto& address = (side == 0 ? m.client : m.server).address;
    const bool announced = std::find(announced_[side].begin(), announced_[side].end(), address) != announced_[side].end();
    const bool used = std::any_of(members.begin(), members.end(), [&](const auto& other) {
      return (side == 0 ? other->client : other->server).address == address;
    });
    if (announced && !used) {
      tell(AnomalyType::kAddAddrForgedV0, &m, std::nullopt, {{"address_id", m.address_id}}, address.to_string());
    }
  }
}

void Connection::on_add_addr(Member& m, int dir, const mptcp::AddAddr& a) {
  if (version == 0 && announced_[dir].size() < config_.max_members) announced_[dir].push_back(a.address);
  if (a.echo || a.v0 || version == 0 || !a.has_hmac || !key_known[0] || !key_known[1]) return;
  const uint64_t local = keys[dir], remote = keys[1 - dir];
  const auto right = mptcp::add_addr_hmac(local, remote, a.address_id, a.address, a.port);
  if (a.hmac == right.rightmost || a.hmac == right.leftmost) return;
  if (a.port != 0) {
    const auto no_port = mptcp::add_addr_hmac(local, remote, a.address_id, a.address, 0);
    if (a.hmac == no_port.rightmost || a.hmac == no_port.leftmost) return;
  }
  tell(AnomalyType::kAddAddrBadHmac, &m, dir, {{"address_id", a.address_id}, {"port", a.port}}, a.address.to_string());
}

}  // namespace mptap::connection
