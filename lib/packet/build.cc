// SPDX-License-Identifier: Apache-2.0
#include "packet/build.h"

#include <algorithm>
#include <cstring>

#include "packet/checksum.h"

namespace mptap::packet {

namespace {

constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kOptionNop = 1;
constexpr uint32_t kTimestampsSize = 12;  // two NOPs, kind, length, two numbers

struct Layout {
  uint32_t link, ip, options, total;
};

uint8_t* put8(uint8_t* p, uint8_t v) {
  *p = v;
  return p + 1;
}
uint8_t* put16(uint8_t* p, uint16_t v) {
  v = __builtin_bswap16(v);
  std::memcpy(p, &v, sizeof v);
  return p + sizeof v;
}
uint8_t* put32(uint8_t* p, uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(p, &v, sizeof v);
  return p + sizeof v;
}
uint8_t* put(uint8_t* p, const void* bytes, size_t n) {
  if (n > 0) std::memcpy(p, bytes, n);
  return p + n;
}

// Adds a wanted error to a checksum field; 0 stays 0 so that right frames are untouched.
void spoil(uint8_t* field, uint16_t error) {
  if (error == 0) return;
  uint16_t v;
  std::memcpy(&v, field, sizeof v);
  put16(field, static_cast<uint16_t>(checksum::to_host(v) + error));
}

tl::expected<Layout, BuildError> lay_out(const FrameSpec& spec) {
  if (spec.src.address.is_v4() != spec.dst.address.is_v4()) return tl::unexpected(BuildError::kMixedFamilies);
  if (spec.vlan_count > spec.vlan.size()) return tl::unexpected(BuildError::kTooManyTags);
  if (spec.options.size() > 40) return tl::unexpected(BuildError::kOptionsTooLong);
  const uint32_t options = (spec.timestamps ? kTimestampsSize : 0) + ((static_cast<uint32_t>(spec.options.size()) + 3) & ~3u);
  if (options > 40) return tl::unexpected(BuildError::kOptionsTooLong);
  const bool v4 = spec.src.address.is_v4();
  const uint32_t ip = v4 ? 20 : 40;
  // IPv4's length field counts its own header, IPv6's does not.
  const size_t in_length_field = (v4 ? 20 : 0) + 20 + options + spec.payload.size();
  if (in_length_field > 65535) return tl::unexpected(BuildError::kPayloadTooLong);
  const uint32_t link = 14 + 4u * spec.vlan_count;
  return Layout{link, ip, options, link + ip + 20 + options + static_cast<uint32_t>(spec.payload.size())};
}

uint8_t* put_link(uint8_t* p, const FrameSpec& spec) {
  p = put(p, spec.dst_mac.data(), spec.dst_mac.size());
  p = put(p, spec.src_mac.data(), spec.src_mac.size());
  for (uint8_t i = 0; i < spec.vlan_count; ++i) {
    p = put16(p, spec.vlan[i].tpid);
    p = put16(p, spec.vlan[i].tci);
  }
  return put16(p, spec.src.address.is_v4() ? 0x0800 : 0x86dd);
}

uint8_t* put_ip(uint8_t* p, const FrameSpec& spec, uint32_t segment_size) {
  if (!spec.src.address.is_v4()) {
    p = put32(p, (6u << 28) | (uint32_t{spec.tos} << 20));
    p = put16(p, static_cast<uint16_t>(segment_size));
    p = put8(p, kProtocolTcp);
    p = put8(p, spec.ttl);
    p = put(p, spec.src.address.bytes.data(), 16);
    return put(p, spec.dst.address.bytes.data(), 16);
  }
  uint8_t* const header = p;
  p = put8(p, 0x45);
  p = put8(p, spec.tos);
  p = put16(p, static_cast<uint16_t>(20 + segment_size));
  p = put16(p, spec.ip_id);
  p = put16(p, spec.dont_fragment ? 0x4000 : 0);
  p = put8(p, spec.ttl);
  p = put8(p, kProtocolTcp);
  p = put16(p, 0);
  p = put(p, spec.src.address.v4_bytes(), 4);
  p = put(p, spec.dst.address.v4_bytes(), 4);
  checksum::store(header + 10, checksum::ipv4_header({header, 20}));
  spoil(header + 10, spec.ip_checksum_error);
  return p;
}

void put_tcp(uint8_t* const header, const FrameSpec& spec, uint32_t options_size, uint32_t segment_size) {
  uint8_t* p = put16(header, spec.src.port);
  p = put16(p, spec.dst.port);
  p = put32(p, spec.seq);
  p = put32(p, spec.ack);
  p = put8(p, static_cast<uint8_t>(((20 + options_size) / 4) << 4));
  p = put8(p, spec.flags);
  p = put16(p, spec.window);
  p = put16(p, 0);
  p = put16(p, spec.urgent);
  uint8_t* const payload = p + options_size;
  if (spec.timestamps) {
    p = put32(p, 0x0101080a);
    p = put32(p, spec.timestamps->tsval);
    p = put32(p, spec.timestamps->tsecr);
  }
  p = put(p, spec.options.data(), spec.options.size());
  std::fill(p, payload, kOptionNop);
  put(payload, spec.payload.data(), spec.payload.size());
  checksum::store(header + 16, checksum::tcp(spec.src.address, spec.dst.address, {header, segment_size}));
  spoil(header + 16, spec.tcp_checksum_error);
}

}  // namespace

const char* build_error_text(BuildError error) {
  switch (error) {
    case BuildError::kMixedFamilies: return "source and destination are not of one address family";
    case BuildError::kTooManyTags: return "more than two VLAN tags";
    case BuildError::kOptionsTooLong: return "more than 40 bytes of TCP options";
    case BuildError::kPayloadTooLong: return "payload longer than an IP packet can be";
    case BuildError::kBufferTooSmall: return "the buffer is smaller than the frame";
  }
  return "unknown";
}

tl::expected<uint32_t, BuildError> frame_size(const FrameSpec& spec) {
  return lay_out(spec).map([](const Layout& layout) { return layout.total; });
}

tl::expected<uint32_t, BuildError> build_frame(const FrameSpec& spec, std::span<uint8_t> out) {
  const auto layout = lay_out(spec);
  if (!layout) return tl::unexpected(layout.error());
  if (out.size() < layout->total) return tl::unexpected(BuildError::kBufferTooSmall);
  const uint32_t segment_size = layout->total - layout->link - layout->ip;
  uint8_t* p = put_link(out.data(), spec);
  p = put_ip(p, spec, segment_size);
  put_tcp(p, spec, layout->options, segment_size);
  return layout->total;
}

}  // namespace mptap::packet
