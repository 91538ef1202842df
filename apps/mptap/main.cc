// SPDX-License-Identifier: Apache-2.0
// mptap, the operator's command: a table of sub-commands, each in its own folder.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "apps/mptap/command.h"
#include "apps/mptap/completion/command.h"
#include "apps/mptap/follow/command.h"
#include "apps/mptap/harden/command.h"
#include "apps/mptap/help/command.h"
#include "apps/mptap/monitor/command.h"
#include "apps/mptap/nic/command.h"
#include "apps/mptap/read/command.h"
#include "apps/mptap/remote/command.h"
#include "apps/mptap/rules/command.h"
#include "apps/mptap/scan/command.h"

namespace {

// One a line, so that two commands that come at once do not meet.
// clang-format off
constexpr mptap::cli::AddCommand kCommands[] = {
    mptap::completion::add_command,
    mptap::follow::add_command,
    mptap::harden::add_command,
    mptap::help::add_command,
    mptap::monitor::add_command,
    mptap::nic::add_command,
    mptap::read::add_command,
    mptap::rules::add_command,
    mptap::remote::add_command,  // adds to "rules"
    mptap::scan::add_command,
};
// clang-format on

// What was printed must have arrived: a full disk shows at the last flush at the latest. A reader that went away has seen enough.
int checked(int code) {
  const int error = std::fflush(stdout) != 0 ? errno : std::ferror(stdout) != 0 ? EIO : 0;
  if (error == 0 || error == EPIPE) return code;
  fmt::print(stderr, "mptap: standard output: {}\n", std::strerror(error));
  return mptap::cli::kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Finds, follows and stops Multipath TCP."};
  app.set_version_flag("--version", "mptap " MPTAP_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit code: 0 done; 1 the answer is no (each command's help says to what); 2 wrong call; 3 it could not be done; 4 done in "
      "part.");
  mptap::cli::Action action;
  for (const auto add : kCommands) add(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return checked(app.exit(e) == 0 ? mptap::cli::kDone : mptap::cli::kWrongCall);
  }
  return checked(action());
}
