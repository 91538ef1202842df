// SPDX-License-Identifier: Apache-2.0
// Packets written out layer by layer, each function wrapping the bytes of the next one. Checksums are computed the slow way, so
// that they do not depend on what is tested.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "packet/frame.h"

namespace mptap::packet::test {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Bytes text(std::string_view s) {
  return Bytes(s.begin(), s.end());
}
inline Bytes part(const Bytes& b, size_t from, size_t n) {
  return Bytes(b.begin() + from, b.begin() + from + n);
}
inline Bytes u16(size_t v) {
  return {static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)};
}
inline Bytes u32(uint32_t v) {
  return u16(v >> 16) + u16(v & 0xffff);
}
inline void put16(Bytes& b, size_t at, size_t v) {
  b.at(at) = static_cast<uint8_t>(v >> 8);
  b.at(at + 1) = static_cast<uint8_t>(v);
}

inline uint16_t internet_checksum(const Bytes& b) {
  uint64_t s = 0;
  for (size_t i = 0; i < b.size(); ++i) s += i % 2 == 0 ? uint64_t{b[i]} << 8 : b[i];
  while (s > 0xffff) s = (s & 0xffff) + (s >> 16);
  return static_cast<uint16_t>(~s);
}

inline const Bytes kSrc4{10, 0, 0, 1}, kDst4{10, 0, 0, 2};
inline const Bytes kSrc6{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
    kDst6{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
inline const Bytes kTimestamps{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

// From port 4660 to port 80, sequence number 0x01020304, acknowledgment 0x05060708, PSH+ACK, window 512.
inline Bytes tcp(const Bytes& payload, const Bytes& src, const Bytes& dst, const Bytes& options = kTimestamps) {
  Bytes t = u16(4660) + u16(80) + u32(0x01020304) + u32(0x05060708);
  t = t + Bytes{static_cast<uint8_t>((20 + options.size()) / 4 << 4), 0x18} + u16(512) + u16(0) + u16(0) + options + payload;
  const Bytes pseudo = src + dst + u32(static_cast<uint32_t>(t.size())) + u32(6);
  put16(t, 16, internet_checksum(pseudo + t));
  return t;
}
inline Bytes tcp4(const Bytes& payload = text("payload")) {
  return tcp(payload, kSrc4, kDst4);
}
inline Bytes tcp6(const Bytes& payload = text("payload")) {
  return tcp(payload, kSrc6, kDst6);
}

struct Ip4 {
  uint16_t id = 7;
  uint16_t fragment = 0;  // flags and offset
  Bytes options = {};
};
inline void fix_ip4(Bytes& packet) {
  put16(packet, 10, 0);
  put16(packet, 10, internet_checksum(part(packet, 0, (packet[0] & 15) * 4)));
}
inline Bytes ipv4(uint8_t protocol, const Bytes& body, const Ip4& o = {}) {
  const size_t header = 20 + o.options.size();
  Bytes h = Bytes{static_cast<uint8_t>(0x40 | header / 4), 0xb8} + u16(header + body.size()) + u16(o.id) + u16(o.fragment) +
            Bytes{63, protocol, 0, 0} + kSrc4 + kDst4 + o.options;
  fix_ip4(h);
  return h + body;
}
inline Bytes ipv6(uint8_t next, const Bytes& body) {
  return Bytes{0x6b, 0x80, 0, 0} + u16(body.size()) + Bytes{next, 62} + kSrc6 + kDst6 + body;
}
inline Bytes ethernet(uint16_t type, const Bytes& body) {
  return Bytes{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1} + u16(type) + body;
}
inline Bytes tag(uint16_t id, uint16_t type, const Bytes& body) {
  return u16(id | 0xe000) + u16(type) + body;
}
inline Bytes udp(uint16_t port, const Bytes& body) {
  return u16(50000) + u16(port) + u16(8 + body.size()) + u16(0) + body;
}

inline Frame frame(const Bytes& b, LinkType link = LinkType::kEthernet, uint64_t time = 1'000'000'000) {
  const auto n = static_cast<uint32_t>(b.size());
  return {b.data(), n, n, link, time, 1};
}

// One sample of each way that a TCP segment with the payload "payload" can come.
struct Sample {
  const char* name;
  LinkType link;
  Bytes bytes;
  bool v6 = false;
  uint8_t tunnel_depth = 0;
  uint8_t vlan_count = 0;
};
std::vector<Sample> samples();

}  // namespace mptap::packet::test
