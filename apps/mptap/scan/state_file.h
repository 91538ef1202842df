// SPDX-License-Identifier: Apache-2.0
// Where a scan stands, in a file: so that one that was stopped, or died, goes on instead of beginning again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "apps/mptap/scan/engine.h"

namespace mptap::scan {

struct State {
  std::string fingerprint;  // of targets and ports
  uint64_t seed = 0;        // of the order: the same on resumption
  Checkpoint at;
};

// SHA-256 over the ranges and ports, in hexadecimal: two words for the same targets give the same one.
std::string fingerprint(const TargetSet& targets, const std::vector<uint16_t>& ports);

std::string to_text(const State& state);
tl::expected<State, std::string> parse_state(const std::string& text);

// nullopt: there is no such file. The file is replaced as a whole, by rename: a crash leaves the old or the new one.
tl::expected<std::optional<State>, std::string> read_state(const std::string& file);
tl::expected<void, std::string> write_state(const std::string& file, const State& state);

}  // namespace mptap::scan
