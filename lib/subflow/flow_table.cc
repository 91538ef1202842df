// SPDX-License-Identifier: Apache-2.0
#include "subflow/flow_table.h"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <sys/random.h>

#include <atomic>
#include <cstring>

namespace mptap::subflow {
namespace {

// A peer chooses its ports: the hash is keyed per process, and not linear as CRC would be, so that nobody can aim at a bucket.
struct Secret {
  uint64_t a = 0x9e3779b97f4a7c15ull, b = 0xc2b2ae3d27d4eb4full;
  Secret() {
    uint64_t r[2];
    if (getrandom(r, sizeof r, 0) == sizeof r) {
      a ^= r[0];
      b ^= r[1];
    }
  }
};
const Secret kSecret;

uint64_t mix(uint64_t x, uint64_t y) {
  __extension__ using Wide = unsigned __int128;
  const Wide m = static_cast<Wide>(x ^ kSecret.a) * (y ^ kSecret.b);
  return static_cast<uint64_t>(m) ^ static_cast<uint64_t>(m >> 64);
}

uint64_t word(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint32_t hash_words(uint64_t a, uint64_t b) {
  const uint64_t h = mix(a, b);
  return static_cast<uint32_t>(h ^ h >> 32);
}

uint32_t hash_bytes(const uint8_t* p, bool v6) {
  uint64_t h = mix(word(p), word(p + 8));
  if (v6) h = mix(h ^ word(p + 32), mix(word(p + 16), word(p + 24)));
  return static_cast<uint32_t>(h ^ h >> 32);
}

uint32_t hash_v4(const void* key, uint32_t, uint32_t) {
  return hash_bytes(static_cast<const uint8_t*>(key), false);
}
uint32_t hash_v6(const void* key, uint32_t, uint32_t) {
  return hash_bytes(static_cast<const uint8_t*>(key), true);
}

}  // namespace

FlowKey::FlowKey(const packet::TcpSegment& s) : v6(s.v6) {
  if (!v6) {
    // The same order and the same bytes as below, in registers.
    uint32_t a, b;
    std::memcpy(&a, s.src.address.v4_bytes(), 4);
    std::memcpy(&b, s.dst.address.v4_bytes(), 4);
    uint32_t low = s.src.port, high = s.dst.port;
    swapped = a == b ? low > high : __builtin_bswap32(a) > __builtin_bswap32(b);
    if (swapped) {
      std::swap(a, b);
      std::swap(low, high);
    }
    bytes = {};
    const uint64_t addresses = static_cast<uint64_t>(b) << 32 | a, ports = low << 16 | high;
    std::memcpy(&bytes[0], &addresses, 8);
    std::memcpy(&bytes[8], &ports, 8);
    hash = hash_words(addresses, ports);
    return;
  }
  const packet::Endpoint* first = &s.src;
  const packet::Endpoint* second = &s.dst;
  const int order = std::memcmp(first->address.bytes.data(), second->address.bytes.data(), 16);
  swapped = order > 0 || (order == 0 && first->port > second->port);
  if (swapped) std::swap(first, second);
  const uint32_t ports = static_cast<uint32_t>(first->port) << 16 | second->port;
  std::memcpy(&bytes[0], first->address.bytes.data(), 16);
  std::memcpy(&bytes[16], second->address.bytes.data(), 16);
  std::memset(&bytes[32], 0, 8);
  std::memcpy(&bytes[32], &ports, 4);
  hash = hash_bytes(bytes.data(), true);
}

tl::expected<FlowTable, std::string> FlowTable::create(uint32_t entries) {
  static std::atomic<unsigned> serial{0};
  FlowTable t;
  const unsigned n = serial.fetch_add(1);
  for (const bool v6 : {false, true}) {
    const std::string name = fmt::format("flows{}_{}", v6 ? 6 : 4, n);
    rte_hash_parameters p{};
    p.name = name.c_str();
    p.entries = entries;
    p.key_len = v6 ? 40 : 16;
    p.hash_func = v6 ? hash_v6 : hash_v4;
    p.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
    t.tables_[v6] = rte_hash_create(&p);
    if (!t.tables_[v6]) {
      return tl::unexpected(
          fmt::format("flow table for {} subflows: DPDK says \"{}\"; give it more memory or lower the limit of subflows", entries,
                      rte_strerror(rte_errno)));
    }
  }
  return t;
}

FlowTable::FlowTable(FlowTable&& other) noexcept : tables_(other.tables_) {
  other.tables_ = {};
}

FlowTable::~FlowTable() {
  for (rte_hash* t : tables_) rte_hash_free(t);
}

uint32_t FlowTable::find(const FlowKey& key) const {
  void* data = nullptr;
  if (rte_hash_lookup_with_hash_data(table(key.v6), key.bytes.data(), key.hash, &data) < 0) return kNone;
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(data));
}

void FlowTable::find(std::span<const FlowKey> keys, std::span<uint32_t> slots) const {
  constexpr size_t kBulk = RTE_HASH_LOOKUP_BULK_MAX;
  bool any_v6 = false;
  for (const FlowKey& key : keys) any_v6 |= key.v6;
  for (const bool v6 : {false, true}) {
    if (v6 && !any_v6) break;
    std::array<const void*, kBulk> pointers;
    std::array<hash_sig_t, kBulk> hashes;
    std::array<size_t, kBulk> index;
    std::array<void*, kBulk> data;
    size_t n = 0;
    const auto flush = [&] {
      if (n == 0) return;
      uint64_t hits = 0;
      rte_hash_lookup_with_hash_bulk_data(table(v6), pointers.data(), hashes.data(), static_cast<uint32_t>(n), &hits,
                                          data.data());
      for (size_t i = 0; i < n; ++i) {
        slots[index[i]] = hits >> i & 1 ? static_cast<uint32_t>(reinterpret_cast<uintptr_t>(data[i])) : kNone;
      }
      n = 0;
    };
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i].v6 != v6) continue;
      pointers[n] = keys[i].bytes.data();
      hashes[n] = keys[i].hash;
      index[n] = i;
      if (++n == kBulk) flush();
    }
    flush();
  }
}

bool FlowTable::insert(const FlowKey& key, uint32_t slot) {
  return rte_hash_add_key_with_hash_data(table(key.v6), key.bytes.data(), key.hash,
                                         reinterpret_cast<void*>(static_cast<uintptr_t>(slot))) >= 0;
}

void FlowTable::erase(const FlowKey& key) {
  rte_hash_del_key_with_hash(table(key.v6), key.bytes.data(), key.hash);
}

}  // namespace mptap::subflow
