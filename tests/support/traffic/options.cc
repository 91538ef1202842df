// SPDX-License-Identifier: Apache-2.0
#include "traffic/options.h"

namespace mptap::test::option {

namespace {

Bytes mptcp(int subtype, int low_nibble, const Bytes& rest) {
  Bytes out{30, static_cast<uint8_t>(3 + rest.size()), static_cast<uint8_t>(subtype << 4 | low_nibble)};
  append(out, rest);
  return out;
}

Bytes plain(uint8_t kind, const Bytes& rest) {
  Bytes out{kind, static_cast<uint8_t>(2 + rest.size())};
  append(out, rest);
  return out;
}

}  // namespace

Bytes capable(const Capable& c) {
  Bytes rest{c.flags};
  if (c.sender_key) append_number(rest, *c.sender_key, 8);
  if (c.receiver_key) append_number(rest, *c.receiver_key, 8);
  if (c.data_length) append_number(rest, *c.data_length, 2);
  if (c.checksum) append_number(rest, *c.checksum, 2);
  return mptcp(0, c.version, rest);
}

Bytes join_syn(bool backup, uint8_t address_id, uint32_t token, uint32_t nonce) {
  Bytes rest{address_id};
  append_number(rest, token, 4);
  append_number(rest, nonce, 4);
  return mptcp(1, backup ? 1 : 0, rest);
}

Bytes join_syn_ack(bool backup, uint8_t address_id, const Bytes& mac, uint32_t nonce) {
  Bytes rest{address_id};
  rest.insert(rest.end(), mac.begin(), mac.begin() + 8);
  append_number(rest, nonce, 4);
  return mptcp(1, backup ? 1 : 0, rest);
}

Bytes join_ack(const Bytes& mac) {
  Bytes rest{0};
  rest.insert(rest.end(), mac.begin(), mac.begin() + 20);
  return mptcp(1, 0, rest);
}

Bytes dss(const Dss& d) {
  uint8_t flags = 0;
  Bytes body;
  if (d.ack) {
    flags |= d.ack8 ? 3 : 1;
    append_number(body, *d.ack, d.ack8 ? 8 : 4);
  }
  if (d.dsn) {
    flags |= d.dsn8 ? 12 : 4;
    append_number(body, *d.dsn, d.dsn8 ? 8 : 4);
    append_number(body, d.ssn, 4);
    append_number(body, d.length, 2);
    if (d.checksum) append_number(body, *d.checksum, 2);
  }
  if (d.fin) flags |= 16;
  Bytes rest{flags};
  append(rest, body);
  return mptcp(2, 0, rest);
}

uint16_t dss_checksum(uint64_t dsn, uint32_t ssn, uint16_t length, const Bytes& data) {
  Bytes all;
  append_number(all, dsn, 8);
  append_number(all, ssn, 4);
  append_number(all, length, 2);
  append_number(all, 0, 2);
  append(all, data);
  if (all.size() % 2 == 1) all.push_back(0);
  uint32_t sum = 0;
  for (size_t i = 0; i < all.size(); i += 2) {
    sum += static_cast<uint32_t>(number_at(&all[i], 2));
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

Bytes add_addr(const AddAddr& a) {
  Bytes rest{a.id};
  if (a.address.is_v4()) {
    rest.insert(rest.end(), a.address.v4_bytes(), a.address.v4_bytes() + 4);
  } else {
    rest.insert(rest.end(), a.address.bytes.begin(), a.address.bytes.end());
  }
  if (a.port != 0) append_number(rest, a.port, 2);
  if (!a.mac.empty()) rest.insert(rest.end(), a.mac.end() - 8, a.mac.end());
  return mptcp(3, a.version == 0 ? (a.address.is_v4() ? 4 : 6) : (a.echo ? 1 : 0), rest);
}

Bytes remove_addr(const Bytes& ids) {
  return mptcp(4, 0, ids);
}
Bytes prio(bool backup, std::optional<uint8_t> v0_address_id) {
  return mptcp(5, backup ? 1 : 0, v0_address_id ? Bytes{*v0_address_id} : Bytes{});
}
Bytes fail(uint64_t dsn) {
  Bytes rest{0};
  append_number(rest, dsn, 8);
  return mptcp(6, 0, rest);
}
Bytes fast_close(uint64_t receiver_key) {
  Bytes rest{0};
  append_number(rest, receiver_key, 8);
  return mptcp(7, 0, rest);
}
Bytes tcp_rst(bool transient, uint8_t reason) {
  return mptcp(8, transient ? 1 : 0, Bytes{reason});
}

Bytes mss(uint16_t value) {
  Bytes rest;
  append_number(rest, value, 2);
  return plain(2, rest);
}
Bytes window_scale(uint8_t shift) {
  return plain(3, {shift});
}
Bytes sack_permitted() {
  return plain(4, {});
}
Bytes fast_open(const Bytes& cookie) {
  return plain(34, cookie);
}
Bytes md5(const Bytes& digest16) {
  return plain(19, digest16);
}
Bytes authentication(const Bytes& key_ids_and_mac) {
  return plain(29, key_ids_and_mac);
}

}  // namespace mptap::test::option
