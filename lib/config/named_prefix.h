// SPDX-License-Identifier: Apache-2.0
// "10.20.0.0/16 = plant floor": a prefix and what people call it.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "packet/prefix.h"

namespace mptap::config {

struct NamedPrefix {
  packet::Prefix prefix;
  std::string name;  // the prefix itself where the text gives none

  // The error says what is wrong and what would be right.
  static tl::expected<NamedPrefix, std::string> parse(std::string_view text);
};

}  // namespace mptap::config
