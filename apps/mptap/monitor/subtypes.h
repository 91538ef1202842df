// SPDX-License-Identifier: Apache-2.0
// Which MPTCP options to look for: a set of subtypes by name or number.
#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace mptap::monitor {

using Subtypes = std::bitset<16>;

// "capable", "join", "dss", "add_addr", "remove_addr", "prio", "fail", "fastclose", "tcprst"; others "subtype_9".
std::string subtype_name(unsigned subtype);

// Names ("join", "MP_JOIN") and numbers 0 to 15; none means all.
tl::expected<Subtypes, std::string> parse_subtypes(const std::vector<std::string>& names);

}  // namespace mptap::monitor
