// SPDX-License-Identifier: Apache-2.0
// Receive-side scaling that brings both directions of a flow to one queue, and the same in software.
//
// The Toeplitz hash XORs, for each set bit i of the input, bits [i, i+32) of the key. With a key that repeats every 16 bits
// (0x6d5a 0x6d5a …, Woo and Park 2012) the term depends on i mod 16 only. Addresses and ports are whole 16-bit words, so
// swapping source and destination changes nothing: that is the symmetry. It also means that the hash is a function of the
// XOR of the tuple's 16-bit words, and that its two halves are equal: in software two look-ups in tables of 256 entries
// do it, about 5 ns where rte_softrss takes 50 to 200 cycles for IPv4 and more for IPv6.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "packet/address.h"

namespace mptap::port {

inline constexpr size_t kMaxRssKey = 64;
inline constexpr uint8_t kSymmetricKey[2] = {0x6d, 0x5a};

// The repeated key, as long as the device wants it.
std::vector<uint8_t> symmetric_key(size_t size);

namespace rss_internal {

// The 16-bit hash of a 16-bit word: bit i (from the left) adds the key rotated left by i.
constexpr uint16_t hash_word(uint16_t word) {
  constexpr uint16_t key = kSymmetricKey[0] << 8 | kSymmetricKey[1];
  uint16_t hash = 0;
  for (unsigned i = 0; i < 16; ++i)
    if (word >> (15 - i) & 1) hash = static_cast<uint16_t>(hash ^ (key << i | key >> (16 - i)));
  return hash;
}
constexpr std::array<uint16_t, 256> make_table(unsigned shift) {
  std::array<uint16_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) table[byte] = hash_word(static_cast<uint16_t>(byte << shift));
  return table;
}
inline constexpr auto kHigh = make_table(8), kLow = make_table(0);

inline uint32_t fold(const packet::IpAddress& a) {
  uint64_t halves[2];
  if (a.is_v4()) {
    // The NIC hashes four bytes, not the v4-mapped sixteen.
    uint32_t v4;
    std::memcpy(&v4, a.v4_bytes(), 4);
    return v4;
  }
  std::memcpy(halves, a.bytes.data(), 16);
  const uint64_t x = halves[0] ^ halves[1];
  return static_cast<uint32_t>(x ^ x >> 32);
}

}  // namespace rss_internal

// What a NIC with the symmetric key computes over addresses and ports. Same value for both directions.
inline uint32_t symmetric_hash(const packet::Endpoint& a, const packet::Endpoint& b) {
  using namespace rss_internal;
  uint32_t x = fold(a.address) ^ fold(b.address);
  x ^= x >> 16;  // as it lies in memory: network order, first byte lowest
  const auto ports = static_cast<uint16_t>(a.port ^ b.port);
  const unsigned high = (x & 0xff) ^ (ports >> 8), low = (x >> 8 & 0xff) ^ (ports & 0xff);
  const uint32_t half = kHigh[high] ^ kLow[low];
  return half << 16 | half;
}

// How a port spreads what it receives, as read back from the device.
struct RssSetup {
  std::string port;  // for messages
  uint16_t queues = 1;
  bool in_software = true;      // the device has no RSS: every packet is hashed with symmetric_hash()
  std::vector<uint8_t> key;     // hardware only
  uint64_t fields = 0;          // RTE_ETH_RSS_*, hardware only
  std::vector<uint16_t> table;  // hash % size -> queue; empty: hash % queues
};

// Queue i % queues at entry i. Sizes are powers of two, so tables of different sizes agree wherever one repeats the other.
std::vector<uint16_t> uniform_table(size_t size, uint16_t queues);

// Whether the two directions of a flow that arrive on two of these ports meet on one worker. The error names the two ports and
// what differs.
tl::expected<void, std::string> check_alike(const std::vector<RssSetup>& ports);

// RTE_ETH_RSS_* as words, for messages: "ipv4-tcp ipv6-tcp".
std::string field_names(uint64_t fields);

}  // namespace mptap::port
