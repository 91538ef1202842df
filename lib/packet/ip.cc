// SPDX-License-Identifier: Apache-2.0
// IPv4 beyond the common way, IPv6 (RFC 8200) with its extension headers.
#include "packet/ipv4.h"
#include "packet/parse.h"

namespace mptap::packet {

namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51, kDestination = 60;
constexpr uint8_t kJumboPayload = 0xc2, kHomeAddress = 0xc9;

// Walks the options of a hop-by-hop or destination header. False where a host must discard the packet: options that do not add
// up, or one that it does not know whose two highest bits forbid to skip it (RFC 8200 section 4.2). jumbo: the length of RFC
// 2675, if there.
bool extension_options_accepted(const uint8_t* header, uint32_t size, uint32_t& jumbo) {
  uint32_t at = 2;
  while (at < size) {
    const uint8_t type = header[at];
    if (type == 0) {
      ++at;
      continue;
    }
    if (at + 2 > size) return false;
    const uint32_t length = header[at + 1];
    if (at + 2 + length > size) return false;
    if (type == kJumboPayload && length == 4) {
      jumbo = be32(header + at + 2);
    } else if (type >= 0x40 && type != kHomeAddress) {
      return false;
    }
    at += 2 + length;
  }
  return true;
}

// With segments left the packet is on its way to an address inside the routing header, and its TCP checksum is for the last one.
void take_final_destination(Parse& p, const uint8_t* header, uint32_t size) {
  const uint8_t type = header[2], segments_left = header[3];
  if (segments_left == 0 || size < 24) return;
  if (type == 0 || type == 2) p.out.dst.address = IpAddress::v6(header + size - 16);
  if (type == 4) p.out.dst.address = IpAddress::v6(header + 8);  // RFC 8754: the segment list is kept in reverse
}

// The jumbo length of a packet whose payload length is 0; 0 if it has none.
uint32_t jumbo_length(View payload) {
  if (payload.captured < 8) return 0;
  const uint32_t size = (payload.data[1] + 1u) * 8;
  uint32_t jumbo = 0;
  if (size > payload.captured || !extension_options_accepted(payload.data, size, jumbo)) return 0;
  return jumbo;
}

}  // namespace

bool ipv4_options_well_formed(const uint8_t* options, uint32_t size) {
  for (uint32_t at = 0; at < size;) {
    if (options[at] == 0) return true;
    if (options[at] == 1) {
      ++at;
      continue;
    }
    if (at + 2 > size || options[at + 1] < 2 || at + options[at + 1] > size) return false;
    at += options[at + 1];
  }
  return true;
}

Reason parse_ipv4_header(Parse& p, View v) {
  return parse_ipv4(p, v);
}

Reason parse_ip(Parse& p, View v) {
  if (v.captured < 1) return Reason::kIpTruncated;
  return v.data[0] >> 4 == 6 ? parse_ipv6(p, v) : parse_ipv4(p, v);
}

Reason parse_ipv6(Parse& p, View v) {
  constexpr uint32_t kHeader = 40;
  if (v.captured < kHeader) return Reason::kIpTruncated;
  const uint8_t* h = v.data;
  if (h[0] >> 4 != 6) return Reason::kIpBadVersion;
  uint32_t length = be16(h + 4);
  const uint8_t next = h[6];
  TcpSegment& out = p.out;
  out.src.address = IpAddress::v6(h + 8);
  out.dst.address = IpAddress::v6(h + 24);
  out.v6 = true;
  out.dscp_ecn = static_cast<uint8_t>(be16(h) >> 4);
  out.ip_id = 0;
  out.ttl = h[7];
  v.skip(kHeader);
  if (length == 0 && v.wire > 0xffff && p.config.giant_frames) [[unlikely]] {
    length = next == kHopByHop ? jumbo_length(v) : v.wire;
    if (length <= 0xffff) return Reason::kIpBadTotalLength;
  }
  if (length > v.wire) return Reason::kIpBadTotalLength;
  v.limit(length);
  if (next == 6) [[likely]]
    return parse_tcp(p, v);
  if (next == kHopByHop) {
    if (v.wire < 8) return Reason::kIpv6BadExtension;
    if (v.captured < 8) return Reason::kIpTruncated;
    const uint32_t size = (v.data[1] + 1u) * 8;
    if (size > v.wire) return Reason::kIpv6BadExtension;
    if (size > v.captured) return Reason::kIpTruncated;
    uint32_t jumbo = 0;
    if (!extension_options_accepted(v.data, size, jumbo)) return Reason::kIpv6BadExtension;
    const uint8_t after = v.data[0];
    v.skip(size);
    return parse_ipv6_payload(p, after, v, false);
  }
  return parse_ipv6_payload(p, next, v, false);
}

Reason parse_ipv6_payload(Parse& p, uint8_t next, View v, bool reassembled) {
  for (;;) {
    if (next != kHopByHop && next != kRouting && next != kDestination && next != kFragment && next != kAuthentication) {
      return parse_upper(p, next, v);
    }
    // Hop-by-hop options stand right behind the IPv6 header or nowhere; a fragment header stands once.
    if (next == kHopByHop || (next == kFragment && reassembled)) return Reason::kIpv6BadExtension;
    if (v.wire < 8) return Reason::kIpv6BadExtension;
    if (v.captured < 8) return Reason::kIpTruncated;
    const uint8_t* h = v.data;
    if (next == kFragment && (be16(h + 2) & 0xfff9) != 0) return parse_ipv6_fragment(p, v);
    uint32_t size = (h[1] + 1u) * 8;
    if (next == kFragment) size = 8;  // an atomic fragment (RFC 6946)
    if (next == kAuthentication) size = (h[1] + 2u) * 4;
    if (size > v.wire) return Reason::kIpv6BadExtension;
    if (size > v.captured) return Reason::kIpTruncated;
    uint32_t jumbo = 0;
    if (next == kDestination && !extension_options_accepted(h, size, jumbo)) return Reason::kIpv6BadExtension;
    if (next == kRouting) take_final_destination(p, h, size);
    next = h[0];
    v.skip(size);
  }
}

Reason parse_upper(Parse& p, uint8_t protocol, View v) {
  switch (protocol) {
    case 6: return parse_tcp(p, v);
    case 17: return parse_udp(p, v);
    case 47: return parse_gre(p, v);
    case 4:
    case 41:
    case 137:
      if (!p.config.ip_in_ip) return Reason::kNotTcp;
      return protocol == 137 ? parse_mpls(p, v) : parse_ip_in_ip(p, v);
    case kAuthentication: {  // of IPv4; IPv6 has taken its own off
      if (v.captured < 12) return Reason::kIpTruncated;
      const uint8_t next = v.data[0];
      const uint32_t size = (v.data[1] + 2u) * 4;
      if (size < 12 || size > v.captured || next == kAuthentication) return Reason::kIpTruncated;
      v.skip(size);
      return parse_upper(p, next, v);
    }
    default: return Reason::kNotTcp;
  }
}

}  // namespace mptap::packet
