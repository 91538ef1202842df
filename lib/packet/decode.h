// SPDX-License-Identifier: Apache-2.0
// bytes -> a TCP segment. Takes off link layers, VLAN tags, MPLS, IP options and extension headers, tunnels and fragments;
// checks every length before it reads, and every checksum that is asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "packet/address.h"
#include "packet/frame.h"

namespace mptap::packet {

// What became of a frame. Each value is a counter and, by reason_name(), that counter's label. kTcp is the only good one.
enum class Reason : uint8_t {
  kTcp,
  // not for us
  kNotIp,
  kNotTcp,
  kFragmentHeld,  // a fragment that waits for its siblings
  // malformed
  kLinkTruncated,
  kLinkUnsupported,
  kVlanTruncated,
  kMplsTruncated,
  kIpTruncated,
  kIpBadVersion,
  kIpBadHeaderLength,
  kIpBadTotalLength,
  kIpBadChecksum,
  kIpv6BadExtension,
  kFragmentBad,      // overlapping, too long, malformed
  kFragmentDropped,  // no EAL, no room, or more pieces than rte_ip_frag takes (8)
  kTunnelTruncated,
  kTunnelTooDeep,
  kTcpTruncated,
  kTcpBadHeaderLength,
  kTcpBadChecksum,
  kSnapped,  // the capture kept fewer bytes than the TCP payload needs: checksum unknown, out holds what is there
  kCount
};
const char* reason_name(Reason);  // snake_case, stable: "tcp_bad_checksum"

// TCP flags as on the wire.
inline constexpr uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kUrg = 0x20;

// One TCP segment. All numbers in host order. The pointers look into the frame or, after defragmentation, into the
// decoder's own buffer: valid until the decoder's next call.
struct TcpSegment {
  Endpoint src, dst;
  uint64_t timestamp_ns = 0;
  uint64_t number = 0;  // frame number
  uint32_t seq = 0, ack = 0;
  uint16_t window = 0;  // unscaled
  uint8_t flags = 0;
  uint8_t ttl = 0;       // or hop limit, innermost IP header
  uint8_t dscp_ecn = 0;  // the whole TOS byte or traffic class
  bool v6 = false;
  uint16_t ip_id = 0;  // 0 for IPv6
  uint16_t tcp_checksum = 0;
  uint8_t vlan_count = 0, options_size = 0;
  uint16_t vlan[2] = {0, 0};  // VLAN ids, outermost first
  uint8_t tunnel_depth = 0;   // encapsulations taken off
  // The frame, where whoever called the decoder has set it: for what is passed on unchanged.
  const Frame* frame = nullptr;
  const uint8_t* options = nullptr;
  const uint8_t* payload = nullptr;
  uint32_t payload_size = 0;

  std::span<const uint8_t> payload_bytes() const { return {payload, payload_size}; }
  std::span<const uint8_t> option_bytes() const { return {options, options_size}; }
};

struct DecodeConfig {
  bool verify_ip_checksum = true;
  bool verify_tcp_checksum = true;  // off for hosts with checksum offload
  bool gre = true, erspan = true, vxlan = true, geneve = true, ip_in_ip = true;
  uint16_t vxlan_port = 4789, geneve_port = 6081;
  uint8_t max_tunnel_depth = 4;
  // Frames of more than 64 KiB, as a host with segmentation offload captures them: IPv4 total length or IPv6 payload length 0
  // means all that the frame has, and jumbograms (RFC 2675) are taken. Off: malformed.
  bool giant_frames = true;
  uint32_t max_fragment_flows = 4096;    // datagrams under reassembly at once
  uint32_t fragment_timeout_ms = 30000;  // packet time
};

// Fragments that were held (kFragmentHeld) and never became a datagram; beside the reasons, which count frames.
struct FragmentLosses {
  uint64_t timed_out = 0;  // datagrams
  uint64_t evicted = 0;    // datagrams, the oldest, to make room for a new one
  uint64_t discarded = 0;  // datagrams, because a later fragment overlapped, did not fit, or was one too many
};

// One per worker; not thread-safe. Needs the EAL only when it meets a fragment: without one, fragments are dropped. Once it has
// met one, it must be destroyed before rte_eal_cleanup().
class Decoder {
 public:
  explicit Decoder(const DecodeConfig& config = {});
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  // kTcp: out is filled. kSnapped: out is filled as far as the capture goes. Any other reason: out is unspecified.
  Reason decode(const Frame& frame, TcpSegment& out);

  // Set by the caller for frames whose TCP checksum the NIC has verified. What comes out of a tunnel or out of fragments is
  // verified all the same: the NIC has seen only the outside.
  void trust_checksums(bool trusted);

  FragmentLosses fragment_losses() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mptap::packet
