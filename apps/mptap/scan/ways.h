// SPDX-License-Identifier: Apache-2.0
// Which link, source address and next hop lead to a target: from the kernel's routes, or as the user says for a port that the
// kernel does not know.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "apps/mptap/scan/link.h"
#include "apps/mptap/scan/scan.h"
#include "apps/mptap/scan/sender.h"

namespace mptap::scan {

class Ways {
 public:
  static tl::expected<Ways, std::string> make(const ScanSpec& spec);

  // Opens a packet socket when a route leads to an interface that had none.
  tl::expected<Way, std::string> to(const packet::IpAddress& target);
  const std::map<int, std::unique_ptr<Link>>& links() const { return links_; }

 private:
  explicit Ways(const ScanSpec& spec) : spec_(&spec) {}
  tl::expected<Way, std::string> by_hand(const packet::IpAddress& target);
  std::optional<packet::IpAddress> own_source(const packet::IpAddress& target) const;

  const ScanSpec* spec_;
  std::optional<Routes> routes_;
  std::map<int, std::unique_ptr<Link>> links_;  // by interface index; a DPDK port is 0
};

}  // namespace mptap::scan
