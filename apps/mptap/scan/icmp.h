// SPDX-License-Identifier: Apache-2.0
// ICMP and ICMPv6 errors that quote a TCP segment of ours.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "packet/address.h"

namespace mptap::scan {

struct IcmpError {
  packet::IpAddress from;
  bool v6 = false;
  uint8_t type = 0, code = 0;
  packet::Endpoint src, dst;  // of the quoted segment
  uint32_t seq = 0;
  // The quoted TCP options, where the router quoted all of them.
  std::optional<std::span<const uint8_t>> options;

  bool time_exceeded() const { return v6 ? type == 3 : type == 11; }
  bool unreachable() const { return v6 ? type == 1 : type == 3; }
  std::string to_string() const;  // "10.0.0.1 says administratively prohibited"
};

// `ip` begins with the IP header.
std::optional<IcmpError> parse_icmp(std::span<const uint8_t> ip);

}  // namespace mptap::scan
