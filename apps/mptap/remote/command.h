// SPDX-License-Identifier: Apache-2.0
// mptap connections, show, watch, kill, policies, events, system; and rules list, show, create, update,
// delete, reload: what is asked of a running mptapd.
#pragma once

#include "apps/mptap/command.h"

namespace mptap::remote {

// After the command "rules" has been added.
void add_command(CLI::App& app, cli::Action& action);

}  // namespace mptap::remote
