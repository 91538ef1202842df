// SPDX-License-Identifier: Apache-2.0
// Frames of other link types as Ethernet: the egress is one link.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "packet/frame.h"

namespace mptap::egress {

struct EthernetHeader {
  std::array<uint8_t, 14> bytes{};
  uint32_t size = 0;      // 0: the frame is Ethernet already
  uint32_t replaces = 0;  // bytes of the frame that go
};

// nullopt: cut short, or nothing that has an EtherType.
std::optional<EthernetHeader> ethernet_header(const packet::Frame& frame);

}  // namespace mptap::egress
