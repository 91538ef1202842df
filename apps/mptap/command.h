// SPDX-License-Identifier: Apache-2.0
// How a sub-command of mptap plugs in: one function that adds it to the command line. Parsing only picks the action; main
// runs it afterwards, and what it returns is the exit code.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mptap::cli {

// The exit codes of every sub-command; what "no" means is in each one's help.
inline constexpr int kDone = 0, kNo = 1, kWrongCall = 2, kFailed = 3, kPartly = 4;

using Action = std::function<int()>;
using AddCommand = void (*)(CLI::App& app, Action& action);

}  // namespace mptap::cli
