// SPDX-License-Identifier: Apache-2.0
#include "traffic/keys.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace mptap::test {

namespace {

const EVP_MD* hash_of(int version) {
  return version == 0 ? EVP_sha1() : EVP_sha256();
}

Bytes mac(int version, const Bytes& key, const Bytes& message) {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  HMAC(hash_of(version), key.data(), static_cast<int>(key.size()), message.data(), message.size(), out.data(), &size);
  out.resize(size);
  return out;
}

Bytes two_keys(uint64_t local, uint64_t remote) {
  Bytes key;
  append_number(key, local, 8);
  append_number(key, remote, 8);
  return key;
}

}  // namespace

KeyNumbers numbers_of_key(int version, uint64_t key) {
  Bytes message;
  append_number(message, key, 8);
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(message.data(), message.size(), digest, &size, hash_of(version), nullptr);
  return {static_cast<uint32_t>(number_at(digest, 4)), number_at(digest + size - 8, 8)};
}

Bytes join_mac(int version, uint64_t local_key, uint64_t remote_key, uint32_t local_nonce, uint32_t remote_nonce) {
  Bytes message;
  append_number(message, local_nonce, 4);
  append_number(message, remote_nonce, 4);
  return mac(version, two_keys(local_key, remote_key), message);
}

Bytes add_addr_mac(uint64_t local_key, uint64_t remote_key, uint8_t address_id, const packet::IpAddress& address, uint16_t port) {
  Bytes message{address_id};
  if (address.is_v4()) {
    message.insert(message.end(), address.v4_bytes(), address.v4_bytes() + 4);
  } else {
    message.insert(message.end(), address.bytes.begin(), address.bytes.end());
  }
  append_number(message, port, 2);
  return mac(1, two_keys(local_key, remote_key), message);
}

uint64_t key_with_idsn_low(int version, uint32_t low, uint32_t slack, uint64_t seed) {
  for (uint64_t key = seed;; key += 0x9e3779b97f4a7c15) {
    if (low - static_cast<uint32_t>(numbers_of_key(version, key).idsn) <= slack) return key;
  }
}

}  // namespace mptap::test
