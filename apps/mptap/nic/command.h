// SPDX-License-Identifier: Apache-2.0
// mptap nic: which network cards this machine has, what they want, and how they get it.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::nic {

void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::nic
