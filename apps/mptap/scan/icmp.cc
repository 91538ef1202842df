// SPDX-License-Identifier: Apache-2.0
#include "apps/mptap/scan/icmp.h"

#include <fmt/format.h>

namespace mptap::scan {
namespace {

using Bytes = std::span<const uint8_t>;

uint16_t load16(Bytes b, size_t at) {
  return static_cast<uint16_t>(b[at] << 8 | b[at + 1]);
}

// The header of one IP packet: where its payload begins, and which it is.
struct Ip {
  packet::IpAddress src, dst;
  uint8_t protocol = 0;
  Bytes payload;
};
std::optional<Ip> parse_ip(Bytes b) {
  if (b.empty()) return std::nullopt;
  Ip ip;
  if (b[0] >> 4 == 4) {
    const size_t header = static_cast<size_t>(b[0] & 0x0f) * 4;
    if (header < 20 || b.size() < header || (load16(b, 6) & 0x1fff)) return std::nullopt;
    ip = {packet::IpAddress::v4(&b[12]), packet::IpAddress::v4(&b[16]), b[9], b.subspan(header)};
  } else if (b[0] >> 4 == 6) {
    if (b.size() < 40) return std::nullopt;
    ip = {packet::IpAddress::v6(&b[8]), packet::IpAddress::v6(&b[24]), b[6], b.subspan(40)};
  } else {
    return std::nullopt;
  }
  return ip;
}

}  // namespace

std::optional<IcmpError> parse_icmp(Bytes bytes) {
  const auto outer = parse_ip(bytes);
  if (!outer) return std::nullopt;
  const bool v6 = bytes[0] >> 4 == 6;
  if (outer->protocol != (v6 ? 58 : 1) || outer->payload.size() < 8) return std::nullopt;
  IcmpError e;
  e.from = outer->src;
  e.v6 = v6;
  e.type = outer->payload[0];
  e.code = outer->payload[1];
  if (!e.time_exceeded() && !e.unreachable()) return std::nullopt;
  const auto inner = parse_ip(outer->payload.subspan(8));
  if (!inner || inner->protocol != 6 || inner->payload.size() < 8) return std::nullopt;
  const Bytes tcp = inner->payload;
  e.src = {inner->src, load16(tcp, 0)};
  e.dst = {inner->dst, load16(tcp, 2)};
  e.seq = static_cast<uint32_t>(load16(tcp, 4)) << 16 | load16(tcp, 6);
  if (tcp.size() >= 20) {
    const size_t header = static_cast<size_t>(tcp[12] >> 4) * 4;
    if (header >= 20 && tcp.size() >= header) e.options = tcp.subspan(20, header - 20);
  }
  return e;
}

std::string IcmpError::to_string() const {
  const char* what = "unreachable";
  if (time_exceeded()) {
    what = "time exceeded";
  } else if (v6) {
    static constexpr const char* kCodes[] = {
        "no route",    "administratively prohibited", "beyond scope", "address unreachable", "port unreachable", "failed policy",
        "reject route"};
    if (code < std::size(kCodes)) what = kCodes[code];
  } else {
    static constexpr const char* kCodes[] = {"network unreachable", "host unreachable", "protocol unreachable",
                                             "port unreachable"};
    if (code < std::size(kCodes))
      what = kCodes[code];
    else if (code == 9 || code == 10 || code == 13)
      what = "administratively prohibited";
  }
  return fmt::format("{} says {}", from.to_string(), what);
}

}  // namespace mptap::scan
