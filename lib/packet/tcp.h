// SPDX-License-Identifier: Apache-2.0
// The last layer; inline because every packet comes this way.
#pragma once

#include "packet/checksum.h"
#include "packet/parse.h"

namespace mptap::packet {

// v: exactly the TCP segment, as far as it was captured.
inline Reason parse_tcp(Parse& p, View v) {
  constexpr uint32_t kMinHeader = 20;
  if (v.captured < kMinHeader) [[unlikely]]
    return Reason::kTcpTruncated;
  const uint8_t* t = v.data;
  const uint32_t header = uint32_t{t[12]} >> 4 << 2;
  if (header < kMinHeader || header > v.wire) [[unlikely]]
    return Reason::kTcpBadHeaderLength;
  if (header > v.captured) [[unlikely]]
    return Reason::kTcpTruncated;

  TcpSegment& out = p.out;
  out.src.port = be16(t);
  out.dst.port = be16(t + 2);
  out.seq = be32(t + 4);
  out.ack = be32(t + 8);
  out.flags = t[13];
  out.window = be16(t + 14);
  out.tcp_checksum = be16(t + 16);
  out.options = t + kMinHeader;
  out.options_size = static_cast<uint8_t>(header - kMinHeader);
  out.payload = t + header;
  out.payload_size = v.captured - header;

  if (v.captured != v.wire) [[unlikely]]
    return Reason::kSnapped;
  if (p.verify_tcp) {
    const uint8_t* src = out.src.address.bytes.data();
    const uint8_t* dst = out.dst.address.bytes.data();
    const uint64_t pseudo =
        out.v6 ? checksum::pseudo_v6(src, dst, 6, v.wire) : checksum::pseudo_v4(src + 12, dst + 12, 6, v.wire);
    if (!checksum::verifies(pseudo + checksum::sum({t, v.wire}))) [[unlikely]]
      return Reason::kTcpBadChecksum;
  }
  return Reason::kTcp;
}

}  // namespace mptap::packet
