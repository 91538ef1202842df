// SPDX-License-Identifier: Apache-2.0
#include "egress/writer.h"

#include <algorithm>
#include <chrono>

namespace mptap::egress {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kNap = std::chrono::microseconds(100);
constexpr auto kFlushEvery = milliseconds(200);  // a busy target, too, shows its tail soon

}  // namespace

FrameQueue& Writer::add_queue(size_t bytes) {
  queues_.push_back(std::make_unique<FrameQueue>(bytes));
  return *queues_.back();
}

void Writer::start() {
  thread_ = std::thread([this] { run(); });
}

void Writer::close() {
  if (!thread_.joinable()) return;
  closing_.store(true, std::memory_order_release);
  thread_.join();
}

FrameQueue* Writer::next(packet::Frame& frame, bool impatient) {
  if (!options_.merge) {
    for (size_t i = 0; i < queues_.size(); ++i) {
      FrameQueue& queue = *queues_[turn_++ % queues_.size()];
      if (queue.front(frame)) return &queue;
    }
    return nullptr;
  }
  FrameQueue* found = nullptr;
  uint64_t least_clock = UINT64_MAX;
  packet::Frame candidate;
  for (const auto& queue : queues_) {
    // The clock first: what is older than it is in the queue by then.
    const uint64_t clock = queue->clock();
    if (!queue->front(candidate)) {
      least_clock = std::min(least_clock, clock);
    } else if (found == nullptr || candidate.timestamp_ns < frame.timestamp_ns) {
      frame = candidate;
      found = queue.get();
    }
  }
  if (found != nullptr && !impatient && frame.timestamp_ns > least_clock) return nullptr;
  return found;
}

void Writer::run() {
  auto last = Clock::now(), flushed = last;
  Clock::time_point deadline = Clock::time_point::max();
  packet::Frame frame;
  uint64_t written = 0;
  for (;;) {
    const bool closing = closing_.load(std::memory_order_acquire);
    bool moved = false;
    const bool impatient = closing || Clock::now() - last > milliseconds(options_.patience_ms);
    for (int i = 0; i < 256; ++i) {
      FrameQueue* queue = next(frame, impatient);
      if (queue == nullptr || !target_->put(frame)) break;
      queue->pop();
      ++written;
      moved = true;
    }
    written_.store(written - target_->lost(), std::memory_order_relaxed);
    lost_.store(target_->lost(), std::memory_order_relaxed);
    if (target_->lost() > 0) failed_.store(true, std::memory_order_release);
    const auto now = Clock::now();
    if (moved) last = now;
    if (!moved || now - flushed > kFlushEvery) {
      target_->flush();
      flushed = now;
    }
    if (moved) continue;
    if (closing) {
      const bool empty = std::none_of(queues_.begin(), queues_.end(), [&](const auto& queue) { return queue->front(frame); });
      if (empty) break;
      if (deadline == Clock::time_point::max()) deadline = now + milliseconds(options_.drain_ms);
      if (now > deadline) break;
    }
    std::this_thread::sleep_for(kNap);
  }
  target_->flush();
  for (const auto& queue : queues_) {
    for (; queue->front(frame); queue->pop()) ++left_;
  }
}

}  // namespace mptap::egress
