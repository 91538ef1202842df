// SPDX-License-Identifier: Apache-2.0
// Runs the exact filter on an interface or a file, since tcpdump cannot load bytecode.
#pragma once

#include <cstdint>
#include <string>

#include <tl/expected.hpp>

#include "apps/mptap/monitor/subtypes.h"

namespace mptap::monitor {

struct CaptureSpec {
  std::string interface, read_file;  // one of the two
  std::string write_file;            // "-" is standard output; empty: only count
  uint64_t count = 0;                // stop after so many; 0: at the end or a signal
};

struct CaptureResult {
  uint64_t matched = 0;
};

tl::expected<CaptureResult, std::string> capture(const CaptureSpec& spec, Subtypes wanted);

}  // namespace mptap::monitor
