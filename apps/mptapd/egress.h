// SPDX-License-Identifier: Apache-2.0
// The daemon's egress: its port or files, the writer behind the workers, and what is to be said about it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "config/config.h"
#include "egress/outlet.h"
#include "egress/writer.h"
#include "port/port.h"

namespace mptap::daemon {

class Egress {
 public:
  // nullptr: none is configured. The error is one line.
  static tl::expected<std::unique_ptr<Egress>, std::string> open(const config::Config& config);

  // Before start(). One for each worker.
  egress::Outlet* add_outlet();
  void start() { writer_->start(); }
  // The workers have ended.
  void close() { writer_->close(); }
  // Frames, so far. Any thread.
  uint64_t written() const { return writer_->written(); }
  uint64_t lost() const { return writer_->lost(); }

  // A sentence when frames or connections were lost since the last time that it said so; at most one a minute.
  std::optional<std::string> complaint(uint64_t connections_lost, uint64_t now_ms);

 private:
  Egress() = default;
  std::optional<port::Port> port_;
  egress::OutletConfig outlet_;
  size_t queue_bytes_ = 0;
  std::unique_ptr<egress::Writer> writer_;
  std::vector<std::unique_ptr<egress::Outlet>> outlets_;
  uint64_t said_frames_ = 0, said_connections_ = 0, silent_until_ms_ = 0;
};

}  // namespace mptap::daemon
