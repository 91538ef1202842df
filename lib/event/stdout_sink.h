// SPDX-License-Identifier: Apache-2.0
// Lines to standard output. A reader that goes away (EPIPE) ends it quietly: closed() then says so, for a program that has
// nothing else to do. Otherwise it waits for a slow reader.
#pragma once

#include <unistd.h>

#include <atomic>
#include <string_view>

#include "event/sink.h"

namespace mptap::event {

class StdoutSink : public Sink {
 public:
  explicit StdoutSink(int fd = STDOUT_FILENO) : Sink("stdout"), fd_(fd) {}

  void write(std::string_view lines, size_t count) override;
  // Any thread.
  bool closed() const { return closed_.load(std::memory_order_relaxed); }

 private:
  const int fd_;  // not ours to close
  std::atomic<bool> closed_{false};
  bool torn_ = false;  // the last line was cut
};

}  // namespace mptap::event
