// SPDX-License-Identifier: Apache-2.0
// Which addresses to scan, from words and files, less the exclusions, as one numbered space.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "packet/address.h"

namespace mptap::scan {

struct AddressRange {
  packet::IpAddress first, last;  // both included, of one family
};

// "10.0.0.0/24", "10.0.0.7", "10.0.0.1-10.0.0.9", "10.0.0.1-9", "fd00::/120", "fd00::1-fd00::ff". Names are not looked up.
tl::expected<AddressRange, std::string> parse_target(std::string_view word);
// Words separated by blanks and line ends, # begins a comment. Errors name the line: "FILE:12: …".
tl::expected<std::vector<AddressRange>, std::string> parse_target_text(std::string_view text, const std::string& file);
tl::expected<std::vector<AddressRange>, std::string> read_target_file(const std::string& file);

// "80,443,8000-8010": ascending, each once, 1 to 65535.
tl::expected<std::vector<uint16_t>, std::string> parse_ports(std::string_view text);

class TargetSet {
 public:
  // Multicast, 0.0.0.0/8, 240.0.0.0/4 and the unspecified address are left out always. An error where nothing is left, or more
  // than 2^40 addresses are.
  static tl::expected<TargetSet, std::string> make(const std::vector<AddressRange>& included,
                                                   const std::vector<AddressRange>& excluded);

  uint64_t size() const { return size_; }
  packet::IpAddress at(uint64_t index) const;  // in ascending order
  const std::vector<AddressRange>& ranges() const { return ranges_; }  // disjoint, ascending

 private:
  std::vector<AddressRange> ranges_;
  std::vector<uint64_t> starts_;  // index of each range's first address
  uint64_t size_ = 0;
};

}  // namespace mptap::scan
