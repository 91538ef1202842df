// SPDX-License-Identifier: Apache-2.0
// `mptap rules`: what becomes of rule files.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::rules {

void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::rules
