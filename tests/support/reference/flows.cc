// SPDX-License-Identifier: Apache-2.0
#include "reference/flows.h"

#include <algorithm>
#include <map>

namespace mptap::test {

namespace {

// Only a copy made by the network equals an earlier packet in everything, IP identification included. A pure ACK without
// one can as well be a host's duplicate ACK.
bool is_span_copy(const TcpPacket& a, const TcpPacket& b) {
  if (b.ip_id == 0 && b.payload.empty() && !b.syn && !b.fin && !b.rst) return false;
  return b.ns - a.ns < 5'000'000 && a.src == b.src && a.seq == b.seq && a.ack == b.ack && a.ip_id == b.ip_id &&
         a.window == b.window && a.syn == b.syn && a.fin == b.fin && a.rst == b.rst && a.options == b.options &&
         a.payload == b.payload;
}

int subtype(const Bytes& option) {
  return option[2] >> 4;
}

const Bytes* find_option(const TcpPacket& p, int wanted, size_t least_size) {
  for (const Bytes& o : p.mptcp) {
    if (subtype(o) == wanted && o.size() >= least_size) return &o;
  }
  return nullptr;
}

void read_handshake(Flow& flow, const TcpPacket& p) {
  const bool by_opener = p.src == flow.opener;
  if (p.syn) {
    auto& slot = by_opener && !p.has_ack ? flow.syn_option : flow.syn_ack_option;
    if (slot) return;
    for (const int wanted : {0, 1}) {
      if (const Bytes* o = find_option(p, wanted, 4); o != nullptr && !slot) slot = *o;
    }
    return;
  }
  if (!by_opener || flow.ack_option) return;
  if (const Bytes* o = find_option(p, 0, 20)) flow.ack_option = *o;
  if (const Bytes* o = find_option(p, 1, 24)) flow.ack_option = *o;
}

Kind kind_of(const Flow& flow) {
  if (!flow.syn_option) return Kind::kPlain;
  if (subtype(*flow.syn_option) == 1) return flow.syn_option->size() == 12 ? Kind::kJoin : Kind::kPlain;
  if (!flow.syn_ack_option || subtype(*flow.syn_ack_option) != 0 || flow.syn_ack_option->size() != 12) return Kind::kPlain;
  if ((*flow.syn_option)[2] % 16 == 0 && flow.syn_option->size() == 12) {
    const bool mirrored = std::equal(flow.syn_option->begin() + 4, flow.syn_option->end(), flow.syn_ack_option->begin() + 4);
    return mirrored ? Kind::kPlain : Kind::kCapable;
  }
  return flow.ack_option ? Kind::kCapable : Kind::kPlain;
}

Group new_connection(const Flow& flow) {
  Group g;
  g.mptcp = g.keys_known = true;
  g.version = (*flow.syn_ack_option)[2] & 15;
  g.checksum = (((*flow.syn_option)[3] | (*flow.syn_ack_option)[3]) & 0x80) != 0;
  g.key[0] = number_at(g.version == 0 ? &(*flow.syn_option)[4] : &(*flow.ack_option)[4], 8);
  g.key[1] = number_at(&(*flow.syn_ack_option)[4], 8);
  for (const int side : {0, 1}) g.numbers[side] = numbers_of_key(g.version, g.key[side]);
  g.members.push_back({&flow, false, "initial"});
  return g;
}

// "verified", "failed" or "unverified" were the flow a join of that connection.
std::string verdict(const Group& g, const Flow& flow, bool by_server) {
  if (flow.refused) return "failed";
  const uint64_t opener_key = g.key[by_server ? 1 : 0], answerer_key = g.key[by_server ? 0 : 1];
  if (!flow.syn_ack_option || flow.syn_ack_option->size() != 16) return "unverified";
  const auto opener_nonce = static_cast<uint32_t>(number_at(&(*flow.syn_option)[8], 4));
  const auto answerer_nonce = static_cast<uint32_t>(number_at(&(*flow.syn_ack_option)[12], 4));
  const Bytes first = join_mac(g.version, answerer_key, opener_key, answerer_nonce, opener_nonce);
  if (!std::equal(first.begin(), first.begin() + 8, flow.syn_ack_option->begin() + 4)) return "failed";
  if (flow.ack_option && flow.ack_option->size() == 24) {
    const Bytes second = join_mac(g.version, opener_key, answerer_key, opener_nonce, answerer_nonce);
    if (!std::equal(second.begin(), second.begin() + 20, flow.ack_option->begin() + 4)) return "failed";
  }
  return "verified";
}

void place_join(std::vector<Group>& groups, const Flow& flow) {
  const auto token = static_cast<uint32_t>(number_at(&(*flow.syn_option)[4], 4));
  Group* candidate = nullptr;
  Member member{&flow, false, "failed"};
  for (Group& g : groups) {
    for (const int side : {0, 1}) {
      if (!g.keys_known || g.numbers[side].token != token) continue;
      const bool by_server = side == 0;  // the token is of the receiver's key
      const std::string v = verdict(g, flow, by_server);
      if (candidate == nullptr || (member.join == "failed" && v != "failed")) {
        candidate = &g;
        member.by_server = by_server;
        member.join = v;
      }
    }
  }
  if (candidate == nullptr) {
    for (Group& g : groups) {
      if (g.orphan_token == token) candidate = &g;
    }
    if (candidate == nullptr) {
      Group g;
      g.mptcp = true;
      g.orphan_token = token;
      groups.push_back(g);
      candidate = &groups.back();
    }
    member.join = flow.refused ? "failed" : "unverified";
  }
  candidate->members.push_back(member);
}

}  // namespace

std::vector<Flow> flows_of(const std::vector<TcpPacket>& packets) {
  std::vector<Flow> flows;
  std::map<std::pair<Host, Host>, size_t> open;
  for (size_t i = 0; i < packets.size(); ++i) {
    const TcpPacket& p = packets[i];
    const auto key = std::minmax(p.src, p.dst);
    const auto known = open.find(key);
    const bool opens = p.syn && !p.has_ack;
    const bool fresh =
        known == open.end() || (opens && flows[known->second].opener == p.src && flows[known->second].syn_seq != p.seq);
    if (fresh) {
      open[key] = flows.size();
      Flow f;
      const bool reversed = p.syn && p.has_ack;
      f.opener = reversed ? p.dst : p.src;
      f.answerer = reversed ? p.src : p.dst;
      f.syn_seen = p.syn;
      f.syn_seq = reversed ? p.ack - 1 : p.seq;
      flows.push_back(f);
    }
    Flow& flow = flows[open[key]];
    bool copy = false;
    for (size_t k = flow.packets.size(); k-- > 0 && flow.packets.size() - k < 64;) {
      copy |= is_span_copy(packets[flow.packets[k]], p);
    }
    if (copy) {
      ++flow.span_copies;
      continue;
    }
    if (p.rst && p.src == flow.answerer) {
      bool spoke = false;
      for (const size_t k : flow.packets) spoke |= packets[k].src == flow.answerer && !packets[k].syn;
      flow.refused |= !spoke;
    }
    read_handshake(flow, p);
    flow.packets.push_back(i);
  }
  return flows;
}

std::vector<Group> groups_of(const std::vector<Flow>& flows) {
  std::vector<Group> groups;
  for (const Flow& flow : flows) {
    if (kind_of(flow) == Kind::kCapable) groups.push_back(new_connection(flow));
    if (kind_of(flow) == Kind::kPlain) {
      Group g;
      g.members.push_back({&flow, false, "initial"});
      groups.push_back(g);
    }
  }
  // A join may be seen before its connection.
  for (const Flow& flow : flows) {
    if (kind_of(flow) == Kind::kJoin) place_join(groups, flow);
  }
  return groups;
}

}  // namespace mptap::test
