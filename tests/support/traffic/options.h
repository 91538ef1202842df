// SPDX-License-Identifier: Apache-2.0
// TCP options as bytes, written from the figures of RFC 8684 and RFC 6824, apart from the code under test.
#pragma once

#include <cstdint>
#include <optional>

#include "packet/address.h"
#include "traffic/bytes.h"

namespace mptap::test::option {

struct Capable {
  int version = 1;
  uint8_t flags = 0x01;
  std::optional<uint64_t> sender_key, receiver_key;
  std::optional<uint16_t> data_length, checksum;
};
Bytes capable(const Capable& c);

Bytes join_syn(bool backup, uint8_t address_id, uint32_t token, uint32_t nonce);
Bytes join_syn_ack(bool backup, uint8_t address_id, const Bytes& mac, uint32_t nonce);  // the first 8 of mac
Bytes join_ack(const Bytes& mac);                                                       // the first 20 of mac

struct Dss {
  std::optional<uint64_t> ack;
  bool ack8 = true;
  std::optional<uint64_t> dsn;  // a mapping
  bool dsn8 = true;
  uint32_t ssn = 0;
  uint16_t length = 0;
  bool fin = false;
  std::optional<uint16_t> checksum;
};
Bytes dss(const Dss& d);

// The checksum over the pseudo-header (64-bit DSN, SSN, length, 0) and the mapping's bytes; as the number in network order.
uint16_t dss_checksum(uint64_t dsn, uint32_t ssn, uint16_t length, const Bytes& data);

struct AddAddr {
  int version = 1;
  bool echo = false;
  uint8_t id = 0;
  packet::IpAddress address;
  uint16_t port = 0;  // 0: none
  Bytes mac;          // empty: none; else the last 8
};
Bytes add_addr(const AddAddr& a);

Bytes remove_addr(const Bytes& ids);
Bytes prio(bool backup, std::optional<uint8_t> v0_address_id = {});
Bytes fail(uint64_t dsn);
Bytes fast_close(uint64_t receiver_key);
Bytes tcp_rst(bool transient, uint8_t reason);

Bytes mss(uint16_t value);
Bytes window_scale(uint8_t shift);
Bytes sack_permitted();
Bytes fast_open(const Bytes& cookie);
Bytes md5(const Bytes& digest16);
Bytes authentication(const Bytes& key_ids_and_mac);

}  // namespace mptap::test::option
