// SPDX-License-Identifier: Apache-2.0
// Any event out of any bytes: its line is one line of valid JSON that says what the event said.
#include <cstdio>
#include <cstdlib>

#include "../unit/event/eve_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const mptap::event::Event event = mptap::event::EventMaker({data, size}).make();
  std::string line;
  const std::string wrong = mptap::event::check_line(event, line);
  if (!wrong.empty()) {
    std::fprintf(stderr, "%s: %s\n", wrong.c_str(), line.c_str());
    std::abort();
  }
  return 0;
}
