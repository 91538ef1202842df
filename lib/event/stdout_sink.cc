// SPDX-License-Identifier: Apache-2.0
#include "event/stdout_sink.h"

#include <fmt/format.h>

#include <cerrno>
#include <climits>

#include "event/descriptor.h"

namespace mptap::event {

void StdoutSink::write(std::string_view lines, size_t count) {
  if (closed()) {
    lost(count);
    return;
  }
  if (torn_ && write_all(fd_, "\n", given_up(), PIPE_BUF).error == 0) torn_ = false;
  const Written result = torn_ ? Written{0, ENOSPC} : write_all(fd_, lines, given_up(), PIPE_BUF);
  if (result.error == 0) {
    wrote(count, lines.size());
    recovered();
    return;
  }
  const size_t kept = whole_lines(lines, result.bytes);
  const size_t kept_lines = count_lines(lines.substr(0, kept));
  if (result.bytes > kept) torn_ = true;
  wrote(kept_lines, kept);
  if (result.error == EPIPE) {
    closed_.store(true, std::memory_order_relaxed);
    fault("the reader went away");
  } else {
    fault(fmt::format("cannot be written, events are lost: {}", error_text(result.error)));
  }
  lost(count - kept_lines);
}

}  // namespace mptap::event
