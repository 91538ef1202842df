// SPDX-License-Identifier: Apache-2.0
#include "port/link_type.h"

#include <fmt/format.h>

namespace mptap::port {

using packet::LinkType;

std::optional<LinkType> link_type_from_file(uint32_t number) {
  switch (number) {
    case 1: return LinkType::kEthernet;
    case 0:    // NULL
    case 108:  // LOOP
      return LinkType::kNull;
    case 9:   // PPP
    case 50:  // PPP_HDLC
      return LinkType::kPpp;
    case 12:  // RAW as libpcap calls it inside, and OpenBSD's: older programs wrote them into files
    case 14:
    case 101:  // RAW
    case 228:  // IPV4
    case 229:  // IPV6
      return LinkType::kRawIp;
    case 113: return LinkType::kLinuxCooked;
    case 276: return LinkType::kLinuxCookedV2;
    default: return std::nullopt;
  }
}

uint16_t link_type_to_file(LinkType link) {
  switch (link) {
    case LinkType::kEthernet: return 1;
    case LinkType::kLinuxCooked: return 113;
    case LinkType::kLinuxCookedV2: return 276;
    case LinkType::kRawIp: return 101;
    case LinkType::kPpp: return 9;
    case LinkType::kNull: return 0;
  }
  return 1;
}

std::string unsupported_link_type(uint32_t number) {
  const char* name = "";
  switch (number) {
    case 51: name = " (PPPoE)"; break;
    case 104: name = " (Cisco HDLC)"; break;
    case 105: name = " (802.11)"; break;
    case 127: name = " (802.11 with radiotap)"; break;
    case 189:
    case 220:
    case 249: name = " (USB)"; break;
    case 253: name = " (netlink)"; break;
    default: break;
  }
  return fmt::format(
      "link type {}{} is not supported; supported are Ethernet (1), Linux cooked (113, 276), raw IP (101, 228, 229), PPP (9, 50) "
      "and loopback (0, 108)",
      number, name);
}

}  // namespace mptap::port
