// SPDX-License-Identifier: Apache-2.0
// `mptap monitor`: filters for MPTCP, for tools that have none of their own.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::monitor {

void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::monitor
