// SPDX-License-Identifier: Apache-2.0
// A small dissector of the reference's own: frame -> TCP segment with its MPTCP options as bytes. It shares no line with lib/.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "traffic/bytes.h"

namespace mptap::test {

using Address = std::array<uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d

struct Host {
  Address address{};
  uint16_t port = 0;
  auto operator<=>(const Host&) const = default;
};

struct TcpPacket {
  uint64_t ns = 0;
  Host src, dst;
  uint32_t seq = 0, ack = 0;
  uint16_t window = 0, ip_id = 0;
  bool syn = false, fin = false, rst = false, has_ack = false;
  std::vector<Bytes> mptcp;  // each whole option
  Bytes options;
  Bytes payload;
};

// Ethernet with VLAN tags (1), raw IP (101), Linux cooked (113), PPP (9). Nothing for what is no TCP or cut short.
std::optional<TcpPacket> dissect(const Bytes& frame, uint64_t ns, uint32_t link = 1);

}  // namespace mptap::test
