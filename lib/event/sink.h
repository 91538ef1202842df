// SPDX-License-Identifier: Apache-2.0
// Where event lines go. A sink never fails for good: what it cannot write it counts as lost, says so once when trouble begins and
// once when it is over, and goes on trying. One thread, the writer's, calls write(), tick(), reopen() and flush(); counters()
// is for any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "event/record.h"

namespace mptap::event {

struct SinkCounters {
  uint64_t lines = 0, bytes = 0;  // written
  uint64_t lost_lines = 0;
  uint64_t faults = 0;  // how often trouble began
  bool healthy = true;
};

// Called by the thread that writes: sink_fault when trouble begins, sink_recovered with the number of lines lost when it is over.
using SinkReporter = std::function<void(const EngineEvent&)>;

class Sink {
 public:
  // name: of messages and metrics, like "file /var/log/mptap/eve.json"
  explicit Sink(std::string name) : name_(std::move(name)) {}
  virtual ~Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // Whole lines, each with its '\n', `count` of them. Takes them all: written, kept to be written, or lost and counted.
  virtual void write(std::string_view lines, size_t count) = 0;
  // Called every now and then while there is nothing to write: tries again what waits.
  virtual void tick() {}
  // True while lines wait in the sink itself; tick() is then called every few milliseconds.
  virtual bool waiting() const { return false; }
  // SIGHUP: a file that was moved away is created anew.
  virtual void reopen() {}
  // Waits until nothing waits in the sink, at most this long; what is then left is lost.
  virtual void flush(std::chrono::milliseconds) {}

  // Any thread: whatever wait the sink is in ends now, and no later one begins; what was to be written is lost.
  void give_up() { give_up_.store(true, std::memory_order_relaxed); }

  SinkCounters counters() const;
  const std::string& name() const { return name_; }
  void set_reporter(SinkReporter reporter) { reporter_ = std::move(reporter); }

 protected:
  void wrote(size_t lines, size_t bytes);
  void lost(size_t lines);
  void fault(const std::string& what);
  void recovered();
  const std::atomic<bool>& given_up() const { return give_up_; }
  bool healthy() const { return healthy_.load(std::memory_order_relaxed); }

 private:
  void report(Level level, const char* event, const std::string& message, uint64_t lost_lines);

  const std::string name_;
  SinkReporter reporter_;
  // Written by the writer's thread only.
  std::atomic<uint64_t> lines_{0}, bytes_{0}, lost_lines_{0}, faults_{0};
  std::atomic<bool> healthy_{true};
  std::atomic<bool> give_up_{false};
  uint64_t lost_before_fault_ = 0;
};

// "No space left on device" of ENOSPC.
std::string error_text(int error);

// Bytes up to and with the last '\n' of the first `limit` bytes: what of a text is whole lines.
size_t whole_lines(std::string_view text, size_t limit);
size_t count_lines(std::string_view text);

}  // namespace mptap::event
