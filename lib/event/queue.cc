// SPDX-License-Identifier: Apache-2.0
#include "event/queue.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <thread>
#include <utility>

namespace mptap::event {
namespace {

constexpr auto kWaitStep = std::chrono::microseconds(200);

// The share of a limit that events of this type may fill.
constexpr size_t share(EventType type, size_t limit) {
  switch (type) {
    case EventType::kAnomaly:
    case EventType::kSubflowJoined: return limit / 2;
    case EventType::kAlert: return limit - limit / 8;
    case EventType::kConnection:
    case EventType::kEngine:
    case EventType::kStats: break;
  }
  return limit;
}

}  // namespace

EventQueue::EventQueue(const QueueLimits& limits)
    : max_bytes_(limits.bytes), full_(limits.full), slots_(std::bit_ceil(std::max<size_t>(limits.events, 2))) {}

// Only the producer asks: of the counters it reads, its own cannot move meanwhile, and the consumer's only make room.
bool EventQueue::has_room(EventType type, size_t size) const {
  const uint64_t used = tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire);
  if (full_ == Full::kWait) return used == 0 || (used < slots_.size() && bytes() + size <= max_bytes_);
  return used < share(type, slots_.size()) && bytes() + size <= share(type, max_bytes_);
}

bool EventQueue::push(Event&& event) {
  const EventType kind = type(event);
  const size_t size = memory_size(event);
  bool room = has_room(kind, size);
  while (!room && full_ == Full::kWait && !closed_.load(std::memory_order_acquire)) {
    std::this_thread::sleep_for(kWaitStep);
    room = has_room(kind, size);
  }
  if (!room || closed_.load(std::memory_order_acquire)) {
    std::atomic<uint64_t>& count = dropped_[static_cast<size_t>(kind)];
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return false;
  }
  const uint64_t tail = tail_.load(std::memory_order_relaxed);
  Slot& slot = slots_[tail & (slots_.size() - 1)];
  slot.event = std::make_unique<Event>(std::move(event));
  slot.size = size;
  bytes_in_.store(bytes_in_.load(std::memory_order_relaxed) + size, std::memory_order_relaxed);
  tail_.store(tail + 1, std::memory_order_release);
  return true;
}

bool EventQueue::pop(Event& event) {
  const uint64_t head = head_.load(std::memory_order_relaxed);
  if (head == tail_.load(std::memory_order_acquire)) return false;
  Slot& slot = slots_[head & (slots_.size() - 1)];
  event = std::move(*slot.event);
  slot.event.reset();
  bytes_out_.store(bytes_out_.load(std::memory_order_relaxed) + slot.size, std::memory_order_release);
  head_.store(head + 1, std::memory_order_release);
  return true;
}

size_t EventQueue::bytes() const {
  // Out before in: the difference is never negative, whoever asks.
  const uint64_t out = bytes_out_.load(std::memory_order_acquire);
  return bytes_in_.load(std::memory_order_acquire) - out;
}

EventCounts EventQueue::dropped() const {
  EventCounts counts{};
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = dropped_[i].load(std::memory_order_relaxed);
  return counts;
}

}  // namespace mptap::event
