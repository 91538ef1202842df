// SPDX-License-Identifier: Apache-2.0
// What a configuration says of the machine around it, judged without touching any of it: users, files, addresses. Rules and ports
// are judged by opening them.
#pragma once

#include <string>

#include <tl/expected.hpp>

#include "config/config.h"

namespace mptap::daemon {

// The error is one line that names the key and what would be right.
tl::expected<void, std::string> check_surroundings(const config::Config& config);

}  // namespace mptap::daemon
