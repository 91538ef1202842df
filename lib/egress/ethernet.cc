// SPDX-License-Identifier: Apache-2.0
#include "egress/ethernet.h"

namespace mptap::egress {
namespace {

constexpr uint16_t kIpv4 = 0x0800, kIpv6 = 0x86dd;

uint16_t get16(const uint8_t* p) {
  return static_cast<uint16_t>(p[0] << 8 | p[1]);
}

// By the version that the IP header states.
uint16_t ip_type(const packet::Frame& f, uint32_t at) {
  if (f.captured <= at) return 0;
  const int version = f.data[at] >> 4;
  return version == 4 ? kIpv4 : version == 6 ? kIpv6 : uint16_t{0};
}

}  // namespace

std::optional<EthernetHeader> ethernet_header(const packet::Frame& f) {
  uint32_t skip = 0;
  uint16_t type = 0;
  switch (f.link) {
    case packet::LinkType::kEthernet: return EthernetHeader{};
    case packet::LinkType::kLinuxCooked:
      skip = 16;
      if (f.captured >= skip) type = get16(f.data + 14);
      break;
    case packet::LinkType::kLinuxCookedV2:
      skip = 20;
      if (f.captured >= skip) type = get16(f.data);
      break;
    case packet::LinkType::kRawIp: type = ip_type(f, 0); break;
    case packet::LinkType::kPpp:
      skip = f.captured >= 2 && f.data[0] == 0xff && f.data[1] == 0x03 ? 4 : 2;  // with and without HDLC address and control
      type = ip_type(f, skip);
      break;
    case packet::LinkType::kNull:
      skip = 4;
      type = ip_type(f, skip);
      break;
  }
  // Below 0x600 it is no EtherType (802.3 lengths, Linux's own numbers).
  if (type < 0x600 || f.captured < skip) return std::nullopt;
  EthernetHeader h;
  h.bytes = {0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type)};
  h.size = 14;
  h.replaces = skip;
  return h;
}

}  // namespace mptap::egress
