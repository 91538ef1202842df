// SPDX-License-Identifier: Apache-2.0
// Suricata's keywords that mptap knows by name but has nothing to match against: a rule that has one is left out with
// "unsupported", and does not count as a slip of the pen.
#pragma once

#include <span>
#include <string_view>

namespace mptap::rules {

std::span<const std::string_view> unsupported_keywords();

}  // namespace mptap::rules
