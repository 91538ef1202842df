// SPDX-License-Identifier: Apache-2.0
// Community ID v1 (https://github.com/corelight/community-id-spec): the flow hash that Suricata, Zeek and Wireshark share.
#pragma once

#include <cstdint>
#include <string>

#include "packet/address.h"

namespace mptap::event {

// "1:" and the base64 of SHA-1 over seed, addresses, protocol TCP and ports, the lower endpoint first: the same for both
// directions. Two tools agree only where their seeds agree; 0 is everyone's default. Thread-safe.
std::string community_id(const packet::Endpoint& a, const packet::Endpoint& b, uint16_t seed = 0);

}  // namespace mptap::event
