// SPDX-License-Identifier: Apache-2.0
// The opening packets of a Conversation: MP_CAPABLE (section 3.1 of either RFC) and MP_JOIN (section 3.2).
#include "traffic/conversation.h"

namespace mptap::test {

using packet::kAck;
using packet::kSyn;

namespace {

uint8_t capable_flags(bool checksum) {
  return static_cast<uint8_t>(0x01 | (checksum ? 0x80 : 0));
}

Bytes spoiled(Bytes mac, bool spoil) {
  if (spoil) mac[0] ^= 0x55;
  return mac;
}

}  // namespace

Bytes Conversation::handshake_options() const {
  Bytes out = option::mss(1460);
  append(out, option::sack_permitted());
  append(out, Bytes{1});
  append(out, option::window_scale(config_.window_scale));
  return out;
}

void Conversation::handshake() {
  syn();
  syn_ack();
  third_ack();
}

void Conversation::syn(const Change& change, const Bytes& fast_open) {
  Half& h = subflows_[0].half[kToServer];
  Packet p = packet(0, kToServer);
  p.head.seq = h.isn;
  p.head.ack = 0;
  p.head.flags = kSyn;
  if (p.head.timestamps) p.head.timestamps->tsecr = 0;
  option::Capable capable{config_.version, capable_flags(config_.client_wants_checksum), {}, {}, {}, {}};
  if (config_.version == 0) {
    capable.sender_key = config_.client_key;
    p.options = option::window_scale(config_.window_scale);
  } else {
    p.options = handshake_options();
  }
  append(p.options, option::capable(capable));
  if (!fast_open.empty()) {
    append(p.options, option::fast_open({}));
    p.payload = fast_open;
    h.fast_open = static_cast<uint32_t>(fast_open.size());
  }
  if (change) change(p);
  send(0, kToServer, std::move(p));
}

void Conversation::syn_ack(const Change& change) {
  Packet p = packet(0, kToClient);
  p.head.seq = subflows_[0].half[kToClient].isn;
  p.head.flags = kSyn | kAck;
  p.options = config_.version == 0 ? option::window_scale(config_.window_scale) : handshake_options();
  append(p.options,
         option::capable({config_.version, capable_flags(config_.server_wants_checksum), config_.server_key, {}, {}, {}}));
  if (change) change(p);
  send(0, kToClient, std::move(p));
}

void Conversation::third_ack(const Change& change, Fate fate) {
  Packet p = packet(0, kToServer);
  append(p.options,
         option::capable({config_.version, capable_flags(checksums()), config_.client_key, config_.server_key, {}, {}}));
  if (change) change(p);
  send(0, kToServer, std::move(p), fate);
}

int Conversation::join(const JoinSpec& spec) {
  const int subflow = join_syn(spec);
  join_syn_ack(subflow);
  join_ack(subflow);
  AckSpec fourth;
  fourth.with_dss = false;
  ack(subflow, opposite(subflows_[subflow].opener), fourth);
  return subflow;
}

int Conversation::join_syn(const JoinSpec& spec) {
  const Direction opener = spec.by_server ? kToClient : kToServer;
  const int subflow = add_subflow(opener);
  Subflow& s = subflows_[subflow];
  s.join = spec;
  if (spec.client) s.client = *spec.client;
  if (spec.server) s.server = *spec.server;
  if (spec.address_id) s.address_id = *spec.address_id;
  Packet p = packet(subflow, opener);
  p.head.seq = s.half[opener].isn;
  p.head.ack = 0;
  p.head.flags = kSyn;
  if (p.head.timestamps) p.head.timestamps->tsecr = 0;
  p.options = handshake_options();
  append(p.options,
         option::join_syn(spec.backup, s.address_id, spec.token.value_or(numbers_[opposite(opener)].token), s.nonce[opener]));
  if (spec.change_syn) spec.change_syn(p);
  send(subflow, opener, std::move(p));
  return subflow;
}

void Conversation::join_syn_ack(int subflow) {
  Subflow& s = subflows_[subflow];
  const Direction answer = opposite(s.opener);
  Packet p = packet(subflow, answer);
  p.head.seq = s.half[answer].isn;
  p.head.flags = kSyn | kAck;
  p.options = option::window_scale(config_.window_scale);
  const Bytes mac = join_mac(config_.version, key(answer), key(s.opener), s.nonce[answer], s.nonce[s.opener]);
  append(p.options, option::join_syn_ack(s.join.backup, s.address_id, spoiled(mac, s.join.break_syn_ack_mac), s.nonce[answer]));
  if (s.join.change_syn_ack) s.join.change_syn_ack(p);
  send(subflow, answer, std::move(p));
}

void Conversation::join_ack(int subflow, Fate fate) {
  Subflow& s = subflows_[subflow];
  const Direction answer = opposite(s.opener);
  Packet p = packet(subflow, s.opener);
  const Bytes mac = join_mac(config_.version, key(s.opener), key(answer), s.nonce[s.opener], s.nonce[answer]);
  append(p.options, option::join_ack(spoiled(mac, s.join.break_ack_mac)));
  if (s.join.change_ack) s.join.change_ack(p);
  send(subflow, s.opener, std::move(p), fate);
}

}  // namespace mptap::test
