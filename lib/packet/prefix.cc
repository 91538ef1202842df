// SPDX-License-Identifier: Apache-2.0
#include "packet/prefix.h"

#include <charconv>

#include <fmt/format.h>

namespace mptap::packet {

IpAddress masked(const IpAddress& address, unsigned bits) {
  IpAddress a = address;
  for (unsigned i = 0; i < 16; i++) {
    const unsigned keep = bits <= i * 8 ? 0 : bits - i * 8;
    if (keep < 8) a.bytes[i] = static_cast<uint8_t>(a.bytes[i] & (0xff00u >> keep));
  }
  return a;
}

tl::expected<Prefix, std::string> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return tl::unexpected(fmt::format("\"{}\" is no IP prefix, wanted is one like 10.0.0.0/8 or fd00::/8", text));
  const unsigned full = address->is_v4() ? 32 : 128;
  Prefix p{*address, full};
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), p.length);
    if (bad != std::errc{} || end != digits.data() + digits.size() || p.length > full)
      return tl::unexpected(fmt::format("\"{}\": the prefix length must be 0 to {}", text, full));
  }
  const auto base = masked(*address, p.length + 128 - full);
  if (base != *address) {
    p.base = base;
    return tl::unexpected(fmt::format("\"{}\" has bits set behind its prefix length, did you mean {}?", text, p.to_string()));
  }
  return p;
}

bool Prefix::contains(const IpAddress& address) const {
  return v4() == address.is_v4() && masked(address, length + (v4() ? 96 : 0)) == base;
}

std::string Prefix::to_string() const {
  return fmt::format("{}/{}", base.to_string(), length);
}

}  // namespace mptap::packet
