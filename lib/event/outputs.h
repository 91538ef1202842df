// SPDX-License-Identifier: Apache-2.0
// The sinks that a configuration asks for.
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "event/writer.h"

namespace mptap::event {

struct OutputChoice {
  std::string file;         // empty: none
  bool to_stdout = false;
  std::string unix_socket;  // empty: none
  bool to_syslog = false;
  std::string syslog_facility = "local5";
  bool anomalies = true;    // anomaly events too
  bool connections = true;  // the record of each connection too
  bool lossless = false;    // for reading files: wait rather than lose
};

// Opens them all; the error says which one cannot be and why. No output chosen gives none, and no error.
tl::expected<std::vector<Output>, std::string> open_outputs(const OutputChoice& choice, const SinkReporter& reporter = {});

}  // namespace mptap::event
