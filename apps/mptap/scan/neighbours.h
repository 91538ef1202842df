// SPDX-License-Identifier: Apache-2.0
// ARP and IPv6 neighbour discovery: frames to ask and to answer with, and what incoming ones say.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "packet/build.h"

namespace mptap::scan {

// "Who has `wanted`?", from an address of ours of the same family.
std::vector<uint8_t> make_request(const packet::MacAddress& mac, const packet::IpAddress& source,
                                  const packet::IpAddress& wanted);

struct NeighbourMessage {
  bool request = false;
  packet::IpAddress wanted;      // request: whose address is asked for
  packet::IpAddress sender;      // who has `mac`; for a neighbour advertisement its target
  packet::MacAddress mac{};
};
// Frames with an Ethernet header. nullopt: neither ARP for IPv4 nor neighbour discovery, or malformed.
std::optional<NeighbourMessage> parse_neighbour(std::span<const uint8_t> frame);

// "I have it": the answer to a request for `address`.
std::vector<uint8_t> make_answer(const packet::MacAddress& mac, const packet::IpAddress& address,
                                 const NeighbourMessage& request);

}  // namespace mptap::scan
