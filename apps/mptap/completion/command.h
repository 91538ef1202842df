// SPDX-License-Identifier: Apache-2.0
// mptap completion bash|zsh: a completion script made from the command line's own tables.
#pragma once

#include <string>

#include "apps/mptap/command.h"

namespace mptap::completion {

void add_command(CLI::App& app, cli::Action& action);

// The script for the whole of app, which is the program of that name.
std::string bash(const CLI::App& app, const std::string& program);
std::string zsh(const CLI::App& app, const std::string& program);

}  // namespace mptap::completion
