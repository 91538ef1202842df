// SPDX-License-Identifier: Apache-2.0
// Header fields -> a frame: Ethernet with VLAN tags, IPv4 or IPv6, TCP with its options and payload. The inverse of decode.h for
// what mptap sends itself (resets, scans) and for the traffic that tests are made of.
//
// Lengths and checksums come out right by themselves; FrameSpec has switches for frames that shall be wrong. Nothing is
// allocated: the frame goes into the caller's buffer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <tl/expected.hpp>

#include "packet/address.h"
#include "packet/decode.h"

namespace mptap::packet {

using MacAddress = std::array<uint8_t, 6>;

struct VlanTag {
  uint16_t tpid = 0x8100;  // 0x88a8 for the outer tag of QinQ
  uint16_t tci = 0;        // priority and VLAN id
};

struct TcpTimestamps {
  uint32_t tsval = 0, tsecr = 0;
};

// All numbers in host order. The spans must outlive the call.
struct FrameSpec {
  MacAddress src_mac{0x02, 0, 0, 0, 0, 0x01}, dst_mac{0x02, 0, 0, 0, 0, 0x02};
  std::array<VlanTag, 2> vlan{};  // outermost first
  uint8_t vlan_count = 0;

  Endpoint src, dst;   // both of one family
  uint8_t ttl = 64;    // or hop limit
  uint8_t tos = 0;     // or traffic class
  uint16_t ip_id = 0;  // IPv4 only
  bool dont_fragment = true;

  uint32_t seq = 0, ack = 0;
  uint8_t flags = kAck;
  uint16_t window = 65535;  // unscaled
  uint16_t urgent = 0;
  std::optional<TcpTimestamps> timestamps;  // written first, as NOP NOP TS like all common stacks do
  std::span<const uint8_t> options;         // after the timestamps, padded with NOPs to a multiple of four
  std::span<const uint8_t> payload;

  // Differences from what is right, added to the checksum fields. Any but 0 and 0xffff makes a frame that hosts drop.
  uint16_t ip_checksum_error = 0, tcp_checksum_error = 0;
};

enum class BuildError : uint8_t {
  kMixedFamilies,   // src and dst are not of one family
  kTooManyTags,     // more than two VLAN tags
  kOptionsTooLong,  // more than 40 bytes of TCP options, padding included
  kPayloadTooLong,  // the IP length field cannot say it
  kBufferTooSmall,
};
const char* build_error_text(BuildError);  // plain words

// The size that build_frame() will return.
tl::expected<uint32_t, BuildError> frame_size(const FrameSpec& spec);

// Returns the frame's size, without Ethernet padding and FCS. On error `out` is untouched.
tl::expected<uint32_t, BuildError> build_frame(const FrameSpec& spec, std::span<uint8_t> out);

// Largest headers that a frame can have: two tags, IPv6, 40 bytes of TCP options.
inline constexpr uint32_t kMaxFrameHeaders = 14 + 2 * 4 + 40 + 60;

}  // namespace mptap::packet
