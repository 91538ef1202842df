// SPDX-License-Identifier: Apache-2.0
// What a rule means, written down as plainly as possible: every choice of places for every content is tried, on the whole
// stream at once. Shares nothing with the scanner but the parsed rule.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rules/options.h"
#include "rules/rule.h"

namespace mptap::rules {

// Pieces of the stream with holes between them.
struct Piece {
  uint64_t offset;
  std::string bytes;
};

using Spans = std::set<std::pair<uint64_t, uint64_t>>;  // from, to

// The stream ends where the last piece does.
Spans naive_hits(const Rule& rule, const std::vector<Piece>& pieces, const RuleOptions& options);

}  // namespace mptap::rules
