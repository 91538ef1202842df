// SPDX-License-Identifier: Apache-2.0
// Results for people and for programs, and the line of progress.
#pragma once

#include <string>

#include "apps/mptap/scan/engine.h"

namespace mptap::scan {

std::string table_head();
std::string table_row(const Result& result);
std::string json_row(const Result& result);  // {"type":"result",…} on one line

struct Summary {
  Progress progress;
  uint64_t frames = 0;
  double seconds = 0;
  bool interrupted = false;
};
std::string table_summary(const Summary& summary);
std::string json_summary(const Summary& summary);

// "37.2 %  24,411 of 65,536 targets  998/s  0:41 left  12 v1, 3 tcp_only". Time left is what the rate allows: packets per
// finished target so far, times targets left.
std::string progress_line(const Progress& progress, uint64_t frames, double recent_rate, uint32_t rate);

}  // namespace mptap::scan
