// SPDX-License-Identifier: Apache-2.0
// `mptap help`: topics beyond one command's options, and each command's help.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::help {

void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::help
