// SPDX-License-Identifier: Apache-2.0
// The part of a rule before its options: action, protocol, addresses, ports, direction.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rules/fault.h"
#include "rules/rule.h"

namespace mptap::rules {

using Variables = std::map<std::string, std::string>;

tl::expected<AddressSet, Fault> parse_addresses(std::string_view text, const Variables& variables);
tl::expected<PortSet, Fault> parse_ports(std::string_view text, const Variables& variables);

// text: `alert tcp $HOME_NET any -> any 80`.
tl::expected<std::pair<Action, Header>, Fault> parse_header(std::string_view text, const Variables& variables);

}  // namespace mptap::rules
