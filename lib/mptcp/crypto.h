// SPDX-License-Identifier: Apache-2.0
// Keys -> token, IDSN and HMACs. Version 1 uses SHA-256 (RFC 8684), version 0 SHA-1 (RFC 6824).
#pragma once

#include <array>
#include <cstdint>

#include "packet/address.h"

namespace mptap::mptcp {

struct KeyDigest {
  uint32_t token = 0;  // the most significant 32 bits of the key's hash
  uint64_t idsn = 0;   // the least significant 64 bits: the first byte of data has DSN idsn + 1
};
KeyDigest digest_key(uint8_t version, uint64_t key);

// Section 3.2: HMAC(key = local_key + remote_key, message = local_nonce + remote_nonce) of the host that sends it.
// The SYN/ACK bears the leftmost 8 bytes, the third ACK the leftmost 20.
std::array<uint8_t, 20> join_hmac(uint8_t version, uint64_t local_key, uint64_t remote_key, uint32_t local_nonce,
                                  uint32_t remote_nonce);

// Section 3.4.1 (v1): the rightmost 64 bits of HMAC-SHA256(key = local + remote, id + address + port).
// leftmost: what some older kernels send instead.
struct AddAddrHmac {
  uint64_t rightmost = 0, leftmost = 0;
};
AddAddrHmac add_addr_hmac(uint64_t local_key, uint64_t remote_key, uint8_t address_id, const packet::IpAddress& address,
                          uint16_t port);

}  // namespace mptap::mptcp
