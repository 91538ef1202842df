// SPDX-License-Identifier: Apache-2.0
// Inside the decoder: one function per layer, each of which checks its own lengths, takes off its own header and hands the rest
// to the next. A layer never trusts the one below it: a View carries both what was captured and what the layers outside declared.
#pragma once

#include <cstdint>
#include <cstring>

#include "packet/decode.h"
#include "packet/fragment.h"

namespace mptap::packet {

inline uint16_t be16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap16(v);
}
inline uint32_t be32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}

// The part of a frame that is still to be read. captured <= wire.
struct View {
  const uint8_t* data;
  uint32_t captured;  // bytes that are there
  uint32_t wire;  // bytes that were there, or as many as the layers outside say belong to it

  void skip(uint32_t n) {  // n <= captured
    data += n;
    captured -= n;
    wire -= n;
  }
  void limit(uint32_t n) {
    if (n < wire) wire = n;
    if (n < captured) captured = n;
  }
};

// One frame on its way.
struct Parse {
  const DecodeConfig& config;
  Fragments& fragments;
  TcpSegment& out;
  bool verify_tcp;  // false where the NIC has done it; tunnels and fragments set it back to what is configured
};

Reason parse_link(Parse&, LinkType, View);
Reason parse_ethernet(Parse&, View);
Reason parse_ppp(Parse&, View);
Reason parse_ether_type(Parse&, uint16_t type, View);

Reason parse_ip(Parse&, View);  // either version, by the first nibble
Reason parse_ipv4_header(Parse&, View);
Reason parse_ipv6(Parse&, View);
Reason parse_ipv6_payload(Parse&, uint8_t next_header, View, bool reassembled);
// What an IP packet carries, by protocol number.
Reason parse_upper(Parse&, uint8_t protocol, View);

Reason parse_ipv4_fragment(Parse&, View packet, uint32_t header_size);
Reason parse_ipv6_fragment(Parse&, View from_fragment_header);

Reason parse_mpls(Parse&, View);
Reason parse_gre(Parse&, View);
Reason parse_udp(Parse&, View);
Reason parse_ip_in_ip(Parse&, View);

}  // namespace mptap::packet
