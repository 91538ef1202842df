// SPDX-License-Identifier: Apache-2.0
// Which rules can match a flow at all. Rules share few different headers: each different one is a group, each different
// address and port set is asked once per flow, and the answer is one bit per group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "rules/rule.h"
#include "rules/scanner.h"

namespace mptap::rules {

class HeaderIndex {
 public:
  // The group of this header; the same header has the same group.
  uint32_t add(const Header& header, FlowDirection flow);

  size_t groups() const { return groups_.size(); }
  size_t words() const { return (groups_.size() + 63) / 64; }
  // Sets the bits of the groups that match; bits has words() zeroed words. False: none does.
  bool match(const FlowContext& flow, std::span<uint64_t> bits) const;

 private:
  struct Group {
    uint32_t src, src_port, dst, dst_port;  // places in the sets
    bool bidirectional;
    FlowDirection flow;
    auto operator<=>(const Group&) const = default;
  };

  std::vector<AddressSet> addresses_;
  std::vector<PortSet> ports_;
  std::vector<Group> groups_;
};

inline bool bit_set(std::span<const uint64_t> bits, uint32_t i) {
  return (bits[i / 64] >> (i % 64) & 1) != 0;
}

}  // namespace mptap::rules
