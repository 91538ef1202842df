// SPDX-License-Identifier: Apache-2.0
// The thread behind the workers' queues: takes their frames, in the order of their times, to the target. System calls and waits
// happen here and not on a worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "egress/frame_queue.h"
#include "egress/target.h"

namespace mptap::egress {

struct WriterOptions {
  // Merges the queues by time. A frame waits until no queue can bring an older one, but never longer than patience.
  bool merge = true;
  uint64_t patience_ms = 1000;
  // After close(): how long a busy target is given for what is still in the queues.
  uint64_t drain_ms = 1000;
};

class Writer {
 public:
  Writer(std::unique_ptr<Target> target, const WriterOptions& options) : target_(std::move(target)), options_(options) {}
  ~Writer() { close(); }

  // Before start(). One for each producer; lives as long as the writer.
  FrameQueue& add_queue(size_t bytes);
  void start();
  // The producers have ended: writes what they left, then ends.
  void close();

  // Any thread.
  uint64_t written() const { return written_.load(std::memory_order_relaxed); }
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }
  bool failed() const { return failed_.load(std::memory_order_acquire); }  // the target has lost a frame
  // After close(): why frames were lost; empty: none were.
  const std::string& error() const { return target_->error(); }
  uint64_t left() const { return left_; }  // frames that the target did not take in time

 private:
  void run();
  FrameQueue* next(packet::Frame& frame, bool impatient);

  std::unique_ptr<Target> target_;
  const WriterOptions options_;
  std::vector<std::unique_ptr<FrameQueue>> queues_;
  std::thread thread_;
  std::atomic<bool> closing_{false}, failed_{false};
  std::atomic<uint64_t> written_{0}, lost_{0};
  uint64_t left_ = 0;
  size_t turn_ = 0;
};

}  // namespace mptap::egress
