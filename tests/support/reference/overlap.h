// SPDX-License-Identifier: Apache-2.0
// One level of reassembly, spelled out: what a host keeps when copies of the same bytes differ. Serves the subflow level
// (numbers are SSNs) and the data level (numbers are stream offsets).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "traffic/bytes.h"
#include "traffic/conversation.h"

namespace mptap::test {

enum class Policy : uint8_t { kLinux, kFirst, kBsd, kLast };

struct Chunk {
  uint64_t start = 0;
  Bytes bytes;
  uint64_t end() const { return start + bytes.size(); }
};

class Overlap {
 public:
  Overlap(Policy policy, uint64_t edge) : policy_(policy), edge_(edge) {}

  // Everything below the edge is decided. Returns what becomes readable, in order.
  std::vector<Chunk> insert(Chunk chunk);

  // The receiver has confirmed everything below `end`: holes there will not be waited for.
  std::vector<Chunk> skip_to(uint64_t end);

  uint64_t edge() const { return edge_; }
  const std::map<uint64_t, Bytes>& held() const { return held_; }

 private:
  void hold_linux(const Chunk& chunk);
  void hold_bsd(const Chunk& whole);
  void hold_first(const Chunk& chunk);
  void hold_last(const Chunk& chunk);
  void drain(std::vector<Chunk>& out);
  void deliver(Chunk chunk, std::vector<Chunk>& out);
  void late(const Chunk& chunk, std::vector<Chunk>& out);

  Policy policy_;
  uint64_t edge_;
  std::map<uint64_t, Bytes> held_;
  Ranges delivered_;
};

}  // namespace mptap::test
