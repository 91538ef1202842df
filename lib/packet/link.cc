// SPDX-License-Identifier: Apache-2.0
// Link layers of capture files and ports, and the tags between Ethernet and IP.
#include "packet/parse.h"

namespace mptap::packet {

namespace {

Reason parse_null(Parse& p, View v) {
  if (v.captured < 4) return Reason::kLinkTruncated;
  // AF_INET is 2 everywhere, AF_INET6 depends on the system; DLT_NULL is in the capturing host's byte order, DLT_LOOP in network
  // order.
  const uint32_t big = be32(v.data), family = big > 0xffff ? __builtin_bswap32(big) : big;
  v.skip(4);
  switch (family) {
    case 2:
    case 10:
    case 24:
    case 28:
    case 30: return parse_ip(p, v);
    default: return Reason::kNotIp;
  }
}

Reason parse_cooked(Parse& p, View v, uint32_t header_size, uint32_t protocol_at) {
  if (v.captured < header_size) return Reason::kLinkTruncated;
  const uint16_t type = be16(v.data + protocol_at);
  v.skip(header_size);
  return parse_ether_type(p, type, v);
}

// RFC 2516: version and type, code, session id, length; then a PPP frame without its HDLC header.
Reason parse_pppoe_session(Parse& p, View v) {
  if (v.captured < 6) return Reason::kLinkTruncated;
  if (v.data[0] != 0x11 || v.data[1] != 0) return Reason::kNotIp;
  const uint32_t length = be16(v.data + 4);
  v.skip(6);
  v.limit(length);
  return parse_ppp(p, v);
}

}  // namespace

Reason parse_ethernet(Parse& p, View v) {
  if (v.captured < 14) return Reason::kLinkTruncated;
  const uint16_t type = be16(v.data + 12);
  v.skip(14);
  return parse_ether_type(p, type, v);
}

Reason parse_ppp(Parse& p, View v) {
  if (v.captured >= 2 && v.data[0] == 0xff && v.data[1] == 0x03) v.skip(2);  // HDLC address and control may be left out
  if (v.captured < 1) return Reason::kLinkTruncated;
  uint16_t protocol = v.data[0];
  if ((protocol & 1) != 0) {  // compressed to one byte (RFC 1661 section 6.5)
    v.skip(1);
  } else {
    if (v.captured < 2) return Reason::kLinkTruncated;
    protocol = be16(v.data);
    v.skip(2);
  }
  switch (protocol) {
    case 0x0021: return parse_ether_type(p, 0x0800, v);
    case 0x0057: return parse_ether_type(p, 0x86dd, v);
    case 0x0281:
    case 0x0283: return parse_mpls(p, v);
    default: return Reason::kNotIp;
  }
}

Reason parse_ether_type(Parse& p, uint16_t type, View v) {
  while (type == 0x8100 || type == 0x88a8 || type == 0x9100) {
    if (v.captured < 4) return Reason::kVlanTruncated;
    TcpSegment& out = p.out;
    if (out.vlan_count < 2) out.vlan[out.vlan_count] = be16(v.data) & 0x0fff;
    if (out.vlan_count < UINT8_MAX) ++out.vlan_count;
    type = be16(v.data + 2);
    v.skip(4);
  }
  switch (type) {
    case 0x0800: return parse_ipv4_header(p, v);
    case 0x86dd: return parse_ipv6(p, v);
    case 0x8847:
    case 0x8848: return parse_mpls(p, v);
    case 0x8864: return parse_pppoe_session(p, v);
    default: return Reason::kNotIp;
  }
}

Reason parse_link(Parse& p, LinkType link, View v) {
  switch (link) {
    case LinkType::kEthernet: return parse_ethernet(p, v);
    case LinkType::kLinuxCooked: return parse_cooked(p, v, 16, 14);
    case LinkType::kLinuxCookedV2: return parse_cooked(p, v, 20, 0);
    case LinkType::kRawIp: return parse_ip(p, v);
    case LinkType::kPpp: return parse_ppp(p, v);
    case LinkType::kNull: return parse_null(p, v);
  }
  return Reason::kLinkUnsupported;
}

}  // namespace mptap::packet
