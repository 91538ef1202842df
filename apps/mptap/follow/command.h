// SPDX-License-Identifier: Apache-2.0
// mptap follow: what the applications of one connection said to each other.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::follow {

void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::follow
