// SPDX-License-Identifier: Apache-2.0
// Lines to a Unix stream socket on which somebody listens (Suricata's unix_stream). While nobody does, lines wait in a backlog,
// bounded in bytes; what does not fit is lost, the newest first. It connects again after 100 ms, then at longer and longer
// intervals up to 5 s. After a broken connection the line that was cut is sent again as a whole. Lines that the kernel had taken
// and the dead peer never read are gone without count: the socket does not tell.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "event/descriptor.h"
#include "event/sink.h"

namespace mptap::event {

struct UnixSinkOptions {
  size_t backlog_bytes = 16U << 20;
  bool lossless = false;  // wait for room in the backlog instead of losing lines
};

class UnixSink : public Sink {
 public:
  // Fails only for a path that no socket can have. Nobody needs to listen yet.
  static tl::expected<std::unique_ptr<UnixSink>, std::string> create(const std::string& path,
                                                                     const UnixSinkOptions& options = {});

  void write(std::string_view lines, size_t count) override;
  void tick() override { pump(0); }
  bool waiting() const override { return !backlog_.empty(); }
  void flush(std::chrono::milliseconds limit) override;

 private:
  using Clock = std::chrono::steady_clock;

  UnixSink(const std::string& path, const UnixSinkOptions& options);
  bool connect();
  void disconnect(int error);
  void pump(int wait_ms);
  void forget_sent();

  const std::string path_;
  const UnixSinkOptions options_;
  Descriptor socket_;
  std::string backlog_;  // begins with a whole line
  size_t sent_ = 0;      // bytes of it that the kernel took
  size_t done_ = 0;      // of them, up to the end of a line
  Clock::time_point next_try_{};
  std::chrono::milliseconds delay_{};
};

}  // namespace mptap::event
