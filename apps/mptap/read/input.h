// SPDX-License-Identifier: Apache-2.0
// Packets into an engine, from files one after the other or from live ports, until there are no more or the user stops it.
#pragma once

#include <functional>
#include <span>
#include <string>

#include <tl/expected.hpp>

#include "apps/mptap/read/options.h"
#include "apps/mptap/read/report.h"
#include "packet/frame.h"
#include "port/eal.h"

namespace mptap::read {

struct InputResult {
  InputSummary summary;
  bool partly = false;       // a file ended early or was damaged; said on standard error
  bool interrupted = false;  // by the user, before the end of the input
};

// Starts DPDK with what the ports and tables need.
tl::expected<port::Eal, std::string> start_eal(const InputOptions& input, uint32_t max_subflows);

// Errors before anything is read are returned: a file that is missing or no capture, a port that does not open. burst: packets
// given to the engine at once; settle is called after each. tell prints a line on standard error.
tl::expected<InputResult, std::string> run_input(const InputOptions& input, worker::Engine& engine, size_t burst,
                                                 const std::function<void()>& settle,
                                                 const std::function<void(const std::string&)>& tell);

// The end of the input may be far away: standard input, a pipe, a port.
bool is_endless(const InputOptions& input);

}  // namespace mptap::read
