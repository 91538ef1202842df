// SPDX-License-Identifier: Apache-2.0
// How many joins came from or went to an address or a network of late, over all connections of a worker. A table of fixed size:
// sets of four entries, and where a fifth key comes to a set the one that was silent longest gives way.
#pragma once

#include <cstdint>
#include <vector>

#include "detect/rate.h"
#include "packet/address.h"

namespace mptap::detect {

class JoinTable {
 public:
  enum class Role : uint8_t { kNone, kSource, kSourceNetwork, kTarget };

  explicit JoinTable(uint64_t entries);  // rounded up to a power of two; memory is taken at the first count

  struct Result {
    uint32_t joins = 0;    // within the window, this one included
    bool crossed = false;  // for the first time within a window they are more than the limit
  };
  // limit 0: nothing is counted.
  Result count(Role role, const packet::IpAddress& who, uint64_t now_ns, uint64_t window_ns, uint64_t limit);

  // Entries that gave way although they were within their window.
  uint64_t evicted() const { return evicted_; }

 private:
  static constexpr size_t kWays = 4;
  struct Entry {
    packet::IpAddress who;
    Role role = Role::kNone;
    uint64_t last_ns = 0, told_ns = 0;
    Rate rate;
  };

  uint64_t sets_;
  std::vector<Entry> entries_;
  uint64_t evicted_ = 0;
};

}  // namespace mptap::detect
