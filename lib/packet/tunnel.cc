// SPDX-License-Identifier: Apache-2.0
// What taps, SPAN sessions and overlays wrap around packets.
#include "packet/parse.h"

namespace mptap::packet {

namespace {

// Counts one more encapsulation; false at the limit.
bool enter(Parse& p) {
  if (p.out.tunnel_depth >= p.config.max_tunnel_depth) return false;
  ++p.out.tunnel_depth;
  p.verify_tcp = p.config.verify_tcp_checksum;
  return true;
}

Reason inner_ethernet(Parse& p, View v) {
  return enter(p) ? parse_ethernet(p, v) : Reason::kTunnelTooDeep;
}
Reason inner_ether_type(Parse& p, uint16_t type, View v) {
  return enter(p) ? parse_ether_type(p, type, v) : Reason::kTunnelTooDeep;
}

constexpr uint16_t kTransparentEthernet = 0x6558;

// draft-foschiano-erspan: type II. The same protocol number without a GRE sequence number is type I, which has no header.
Reason parse_erspan2(Parse& p, View v, bool has_header) {
  if (has_header) {
    if (v.captured < 8) return Reason::kTunnelTruncated;
    v.skip(8);
  }
  return inner_ethernet(p, v);
}

Reason parse_erspan3(Parse& p, View v) {
  constexpr uint32_t kHeader = 12, kPlatformSubheader = 8;
  if (v.captured < kHeader) return Reason::kTunnelTruncated;
  const uint16_t last = be16(v.data + 10);
  const unsigned frame_type = last >> 10 & 0x1f;
  const uint32_t size = kHeader + ((last & 1) != 0 ? kPlatformSubheader : 0);
  if (v.captured < size) return Reason::kTunnelTruncated;
  v.skip(size);
  if (frame_type == 0) return inner_ethernet(p, v);
  if (frame_type != 2) return Reason::kNotIp;
  return enter(p) ? parse_ip(p, v) : Reason::kTunnelTooDeep;
}

// RFC 7348.
Reason parse_vxlan(Parse& p, View v) {
  if (v.captured < 8) return Reason::kTunnelTruncated;
  constexpr uint8_t kVniPresent = 0x08;
  if ((v.data[0] & kVniPresent) == 0) return Reason::kNotTcp;
  v.skip(8);
  return inner_ethernet(p, v);
}

// RFC 8926.
Reason parse_geneve(Parse& p, View v) {
  if (v.captured < 8) return Reason::kTunnelTruncated;
  constexpr uint8_t kControl = 0x80;
  if (v.data[0] >> 6 != 0 || (v.data[1] & kControl) != 0) return Reason::kNotTcp;
  const uint32_t size = 8 + (v.data[0] & 0x3fu) * 4;
  const uint16_t type = be16(v.data + 2);
  if (v.captured < size) return Reason::kTunnelTruncated;
  v.skip(size);
  return type == kTransparentEthernet ? inner_ethernet(p, v) : inner_ether_type(p, type, v);
}

bool known_ether_type(uint16_t type) {
  return type == 0x0800 || type == 0x86dd || type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x8847;
}

}  // namespace

// RFC 3032. Nothing says what an LSP carries: IP by its version; else an Ethernet pseudowire (RFC 4448), with a control word if
// the bytes behind one look like Ethernet.
Reason parse_mpls(Parse& p, View v) {
  bool bottom = false;
  while (!bottom) {
    if (v.captured < 4) return Reason::kMplsTruncated;
    bottom = (v.data[2] & 1) != 0;
    v.skip(4);
  }
  if (v.captured < 1) return Reason::kMplsTruncated;
  const unsigned nibble = v.data[0] >> 4;
  if (nibble == 4) return parse_ipv4_header(p, v);
  if (nibble == 6) return parse_ipv6(p, v);
  if (nibble == 1) return Reason::kNotIp;  // an associated channel (RFC 5586)
  if (nibble == 0) {
    constexpr uint32_t kControlWord = 4, kTypeAt = 12;
    if (v.captured < kControlWord) return Reason::kMplsTruncated;
    const bool plain = v.captured >= kTypeAt + 2 && known_ether_type(be16(v.data + kTypeAt)) &&
                       !(v.captured >= kControlWord + kTypeAt + 2 && known_ether_type(be16(v.data + kControlWord + kTypeAt)));
    if (!plain) v.skip(kControlWord);
  }
  return inner_ethernet(p, v);
}

// RFC 2784, 2890.
Reason parse_gre(Parse& p, View v) {
  constexpr uint16_t kChecksum = 0x8000, kRouting = 0x4000, kKey = 0x2000, kSequence = 0x1000, kVersion = 0x0007;
  if (!p.config.gre && !p.config.erspan) return Reason::kNotTcp;
  if (v.captured < 4) return Reason::kTunnelTruncated;
  const uint16_t flags = be16(v.data), type = be16(v.data + 2);
  if ((flags & (kRouting | kVersion)) != 0) return Reason::kNotTcp;  // RFC 1701's source routes; PPTP
  uint32_t size = 4;
  for (const uint16_t optional : {kChecksum, kKey, kSequence}) {
    if ((flags & optional) != 0) size += 4;
  }
  if (v.captured < size) return Reason::kTunnelTruncated;
  v.skip(size);
  if (type == 0x88be || type == 0x22eb) {
    if (!p.config.erspan) return Reason::kNotTcp;
    return type == 0x22eb ? parse_erspan3(p, v) : parse_erspan2(p, v, (flags & kSequence) != 0);
  }
  if (!p.config.gre) return Reason::kNotTcp;
  return type == kTransparentEthernet ? inner_ethernet(p, v) : inner_ether_type(p, type, v);
}

Reason parse_udp(Parse& p, View v) {
  if (!p.config.vxlan && !p.config.geneve) return Reason::kNotTcp;
  if (v.captured < 8) return Reason::kNotTcp;
  const uint16_t port = be16(v.data + 2);
  const bool vxlan = p.config.vxlan && port == p.config.vxlan_port;
  const bool geneve = p.config.geneve && port == p.config.geneve_port;
  if (!vxlan && !geneve) return Reason::kNotTcp;
  const uint32_t length = be16(v.data + 4);
  if (length < 8 || length > v.wire) return Reason::kTunnelTruncated;
  v.limit(length);
  v.skip(8);
  return vxlan ? parse_vxlan(p, v) : parse_geneve(p, v);
}

Reason parse_ip_in_ip(Parse& p, View v) {
  return enter(p) ? parse_ip(p, v) : Reason::kTunnelTooDeep;
}

}  // namespace mptap::packet
