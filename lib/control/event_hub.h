// SPDX-License-Identifier: Apache-2.0
// The latest events for whoever watches: a sink of the event writer that keeps lines in a ring, bounded in lines and bytes. Each
// watcher goes through the ring at its own pace; what has left the ring before it came is missed, and counted. The writer never
// waits for a watcher.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "event/sink.h"

namespace mptap::control {

struct HubLimits {
  size_t lines = 16384;
  size_t bytes = 32U << 20;
};

// Any thread.
class EventHub {
 public:
  explicit EventHub(const HubLimits& limits = {});

  void push(std::string_view lines);  // whole ones
  void close();                       // wakes all watchers, for good

  // Where a watcher stands: behind the event of this number, from 1.
  struct Position {
    uint64_t after = 0;
    bool restarted = false;  // the text was another daemon's
  };
  // "": now; "oldest": all that is here; else what text() gave. The error says what is wrong.
  tl::expected<Position, std::string> position(const std::string& text) const;
  std::string text(uint64_t number) const;

  struct Batch {
    std::vector<std::shared_ptr<const std::string>> lines;  // without '\n'
    uint64_t first = 0;                                     // number of lines[0]
    uint64_t missed = 0;                                    // before it
    bool closed = false;
  };
  // What comes behind `after`, at most `most` lines; waits until the time for the first. Empty: nothing came.
  Batch take(uint64_t after, size_t most, std::chrono::steady_clock::time_point until);

 private:
  const HubLimits limits_;
  const std::string life_;  // of this daemon
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<const std::string>> ring_;
  size_t bytes_ = 0;
  uint64_t last_ = 0;  // number of the newest
  bool closed_ = false;
};

class HubSink final : public event::Sink {
 public:
  explicit HubSink(std::shared_ptr<EventHub> hub) : Sink("control plane"), hub_(std::move(hub)) {}
  void write(std::string_view lines, size_t count) override {
    hub_->push(lines);
    wrote(count, lines.size());
  }

 private:
  const std::shared_ptr<EventHub> hub_;
};

}  // namespace mptap::control
