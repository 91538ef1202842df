// SPDX-License-Identifier: Apache-2.0
// 4-tuple -> slot, on rte_hash: one table for IPv4 with 16-byte keys, one for IPv6. Both directions of a connection give one
// key; the caller's hash is computed once and used for every lookup. One per worker; not thread-safe. Needs the EAL.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include <tl/expected.hpp>

#include "packet/decode.h"

struct rte_hash;

namespace mptap::subflow {

// Canonical: the lower endpoint first. 16 bytes for IPv4, 40 for IPv6, zero-padded.
struct FlowKey {
  alignas(8) std::array<uint8_t, 40> bytes;
  bool v6 = false;
  bool swapped = false;  // the packet's source is the second endpoint
  uint32_t hash = 0;

  FlowKey() = default;
  explicit FlowKey(const packet::TcpSegment& segment);
  // Of the bytes that count for the family.
  bool same_flow(const FlowKey& o) const {
    return v6 == o.v6 && std::memcmp(bytes.data(), o.bytes.data(), v6 ? bytes.size() : 16) == 0;
  }
};

class FlowTable {
 public:
  static constexpr uint32_t kNone = ~0u;

  // entries: the most that either family may hold. The error says what DPDK could not give.
  static tl::expected<FlowTable, std::string> create(uint32_t entries);
  FlowTable(FlowTable&& other) noexcept;
  FlowTable& operator=(FlowTable&&) = delete;
  ~FlowTable();

  // slots[i] is kNone where there is no entry.
  void find(std::span<const FlowKey> keys, std::span<uint32_t> slots) const;
  uint32_t find(const FlowKey& key) const;
  // False: the table is full.
  bool insert(const FlowKey& key, uint32_t slot);
  void erase(const FlowKey& key);

 private:
  FlowTable() = default;
  rte_hash* table(bool v6) const { return tables_[v6 ? 1 : 0]; }
  std::array<rte_hash*, 2> tables_{};
};

}  // namespace mptap::subflow
