// SPDX-License-Identifier: Apache-2.0
// `mptap harden`: switches and filters MPTCP on hosts and routers.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::harden {

void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::harden
