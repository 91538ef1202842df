// SPDX-License-Identifier: Apache-2.0
// Where received packets end: each in exactly one of these. Their sum is what was received, less what is on its way.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "worker/counters.h"
#include "worker/fabric.h"

namespace mptap::worker {

using PacketEnds = std::vector<std::pair<std::string, uint64_t>>;

// Zeros, too. Frames that the decoder left out are among them, by its reason.
PacketEnds packet_ends(std::span<const Counters* const> workers);
uint64_t total(const PacketEnds& ends);

// Once all workers have ended: packets that still lie in the lanes. Takes them out.
uint64_t left_in_lanes(Fabric& fabric);

}  // namespace mptap::worker
