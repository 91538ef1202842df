// SPDX-License-Identifier: Apache-2.0
// An address prefix, "10.0.0.0/8" or "fd00::/8"; a bare address is a prefix of full length.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "packet/address.h"

namespace mptap::packet {

struct Prefix {
  IpAddress base;       // host bits are zero
  unsigned length = 0;  // of the family: up to 32 or 128

  // The error says what is wrong with the text and what would be right. Host bits that are set are an error.
  static tl::expected<Prefix, std::string> parse(std::string_view text);
  bool v4() const { return base.is_v4(); }
  bool contains(const IpAddress& address) const;
  std::string to_string() const;
  bool operator==(const Prefix&) const = default;
};

// The address with its last 128 - bits bits zero; for IPv4 bits counts from 96.
IpAddress masked(const IpAddress& address, unsigned bits);

}  // namespace mptap::packet
