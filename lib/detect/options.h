// SPDX-License-Identifier: Apache-2.0
// The thresholds of [detect] in mptap.toml, with the critical networks as prefixes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "config/config.h"
#include "config/named_prefix.h"

namespace mptap::detect {

struct Options {
  config::Config::Detect limits;
  std::vector<config::NamedPrefix> critical;  // of limits.critical_networks and --critical

  static tl::expected<Options, std::string> from(const config::Config::Detect& limits);
};

}  // namespace mptap::detect
