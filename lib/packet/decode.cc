// SPDX-License-Identifier: Apache-2.0
#include "packet/decode.h"

#include <algorithm>

#include "packet/ipv4.h"
#include "packet/parse.h"

namespace mptap::packet {

struct Decoder::State {
  explicit State(const DecodeConfig& c) : config(c), fragments(c) {}

  DecodeConfig config;
  Fragments fragments;
  bool trusted = false;
};

Decoder::Decoder(const DecodeConfig& config) : state_(std::make_unique<State>(config)) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

Reason Decoder::decode(const Frame& frame, TcpSegment& out) {
  State& s = *state_;
  out.timestamp_ns = frame.timestamp_ns;
  out.number = frame.number;
  out.vlan_count = 0;
  out.vlan[0] = out.vlan[1] = 0;
  out.tunnel_depth = 0;
  Parse parse{s.config, s.fragments, out, s.config.verify_tcp_checksum && !s.trusted};
  View v{frame.data, frame.captured, std::max(frame.wire, frame.captured)};
  constexpr uint32_t kEthernetHeader = 14;
  if (frame.link == LinkType::kEthernet && v.captured >= kEthernetHeader && be16(v.data + 12) == 0x0800) [[likely]] {
    v.skip(kEthernetHeader);
    return parse_ipv4(parse, v);
  }
  return parse_link(parse, frame.link, v);
}

void Decoder::trust_checksums(bool trusted) {
  state_->trusted = trusted;
}

FragmentLosses Decoder::fragment_losses() const {
  return state_->fragments.losses();
}

}  // namespace mptap::packet
