// SPDX-License-Identifier: Apache-2.0
// The IPv4 header; inline because nearly every packet comes this way. RFC 791.
#pragma once

#include "packet/tcp.h"

namespace mptap::packet {

// Linux drops a packet whose options do not add up, so it must not reach the stream.
bool ipv4_options_well_formed(const uint8_t* options, uint32_t size);

inline Reason parse_ipv4(Parse& p, View v) {
  constexpr uint32_t kMinHeader = 20;
  if (v.captured < kMinHeader) [[unlikely]]
    return Reason::kIpTruncated;
  const uint8_t* h = v.data;
  if (h[0] >> 4 != 4) [[unlikely]]
    return Reason::kIpBadVersion;
  const uint32_t header = (h[0] & 0x0fu) << 2;
  if (header != kMinHeader) [[unlikely]] {
    if (header < kMinHeader) return Reason::kIpBadHeaderLength;
    if (header > v.wire) return Reason::kIpBadHeaderLength;
    if (header > v.captured) return Reason::kIpTruncated;
  }
  uint32_t total = be16(h + 2);
  if (total == 0 && v.wire > 0xffff && p.config.giant_frames) [[unlikely]]
    total = v.wire;
  if (total < header || total > v.wire) [[unlikely]]
    return Reason::kIpBadTotalLength;
  if (p.config.verify_ip_checksum &&
      !checksum::verifies(header == kMinHeader ? checksum::sum_of<kMinHeader>(h) : checksum::sum({h, header}))) [[unlikely]]
    return Reason::kIpBadChecksum;
  if (header != kMinHeader && !ipv4_options_well_formed(h + kMinHeader, header - kMinHeader)) [[unlikely]]
    return Reason::kIpBadHeaderLength;
  // Ethernet pads short packets: what lies behind the total length is no payload.
  v.limit(total);

  TcpSegment& out = p.out;
  out.src.address = IpAddress::v4(h + 12);
  out.dst.address = IpAddress::v4(h + 16);
  out.v6 = false;
  out.dscp_ecn = h[1];
  out.ip_id = be16(h + 4);
  out.ttl = h[8];
  const uint8_t protocol = h[9];
  constexpr uint16_t kMoreFragmentsOrOffset = 0x3fff;
  if ((be16(h + 6) & kMoreFragmentsOrOffset) != 0) [[unlikely]]
    return parse_ipv4_fragment(p, v, header);
  v.skip(header);
  if (protocol == 6) [[likely]]
    return parse_tcp(p, v);
  return parse_upper(p, protocol, v);
}

}  // namespace mptap::packet
