// SPDX-License-Identifier: Apache-2.0
// mptap read: capture files or live ports in, connections out.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::read {

void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::read
