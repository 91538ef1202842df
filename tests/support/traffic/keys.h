// SPDX-License-Identifier: Apache-2.0
// Tokens, IDSNs and HMACs by OpenSSL's one-shot functions: an implementation apart from the one under test.
#pragma once

#include <cstdint>

#include "packet/address.h"
#include "traffic/bytes.h"

namespace mptap::test {

struct KeyNumbers {
  uint32_t token = 0;
  uint64_t idsn = 0;
};
KeyNumbers numbers_of_key(int version, uint64_t key);

// The whole HMAC of a join: 20 bytes in version 0, 32 in version 1. local is the host that sends it.
Bytes join_mac(int version, uint64_t local_key, uint64_t remote_key, uint32_t local_nonce, uint32_t remote_nonce);

// Version 1, whole: the option bears the rightmost 8 bytes. port 0: none in the option.
Bytes add_addr_mac(uint64_t local_key, uint64_t remote_key, uint8_t address_id, const packet::IpAddress& address, uint16_t port);

// A key whose IDSN has these low 32 bits or up to `slack` less: for numbers that wrap early. By search from `seed`.
uint64_t key_with_idsn_low(int version, uint32_t low, uint32_t slack, uint64_t seed);

}  // namespace mptap::test
