// SPDX-License-Identifier: Apache-2.0
// `mptap scan`: finds the hosts that speak MPTCP, and proves it.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::scan {

void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::scan
