// SPDX-License-Identifier: Apache-2.0
// The kernel's verdict against mptap's: plays scenarios, runs the engine on what went over the wire, compares, shrinks.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "player.h"

namespace mptap::judge {

struct Difference {
  std::string kind;  // empty: none
  std::string words;
};
Difference compare(const Verdict& verdict);

// The least scenario that still shows a difference of this kind. It plays some hundreds of them.
Scenario shrink(World& world, Scenario scenario, const std::string& kind);

struct Tally {
  uint64_t played = 0, unstable = 0;
  std::map<std::string, uint64_t> divergences;
  std::map<std::string, uint64_t> ends, kinds;  // what was covered
};

}  // namespace mptap::judge
