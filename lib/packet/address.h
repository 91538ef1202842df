// SPDX-License-Identifier: Apache-2.0
// IP addresses and endpoints, one shape for both families.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace mptap::packet {

// 16 bytes in network order; IPv4 is kept v4-mapped (::ffff:a.b.c.d), so that one key serves both families.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  static IpAddress v4(const void* four_bytes) {
    IpAddress a;
    a.bytes[10] = a.bytes[11] = 0xff;
    std::memcpy(&a.bytes[12], four_bytes, 4);
    return a;
  }
  static IpAddress v6(const void* sixteen_bytes) {
    IpAddress a;
    std::memcpy(a.bytes.data(), sixteen_bytes, 16);
    return a;
  }
  // Dotted quad or RFC 4291 text; nullopt for anything else.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v4() const {
    static constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(bytes.data(), kMapped.data(), kMapped.size()) == 0;
  }
  const uint8_t* v4_bytes() const { return &bytes[12]; }
  std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;
};

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;  // host order

  std::string to_string() const;  // 10.0.0.1:80, [fd00::1]:80
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace mptap::packet
