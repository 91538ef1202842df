// SPDX-License-Identifier: Apache-2.0
// The way of events from one thread, a worker say, to the writer's: a ring with one producer and one consumer, bounded in
// entries and in bytes. push() takes no lock, makes no system call and never waits (Full::kDrop), so that a slow sink costs
// events and never packets. What is dropped is counted by type. Records and alerts go before anomalies: the last half of the room
// is closed to anomalies and joins, the last eighth to alerts, so that a flood of the lesser cannot push out the greater.
//
// Reading files loses nothing: with Full::kWait push() sleeps until there is room.
//
// Publication: the producer writes a slot, then tail_ with release; the consumer reads tail_ with acquire, moves the event out,
// then head_ with release; the producer reads head_ with acquire before it writes that slot again. bytes_in_ and bytes_out_
// have one writer each and ride on the same orders.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "event/event.h"

namespace mptap::event {

enum class Full : uint8_t { kDrop, kWait };

struct QueueLimits {
  size_t events = 8192;  // rounded up to a power of two
  size_t bytes = 16U << 20;  // as memory_size() counts
  Full full = Full::kDrop;
};

class EventQueue {
 public:
  explicit EventQueue(const QueueLimits& limits);
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // Producer. False: dropped, and counted as such.
  bool push(Event&& event);

  // Consumer. False: empty.
  bool pop(Event& event);
  // No push succeeds or waits from here on.
  void close() { closed_.store(true, std::memory_order_release); }

  // Any thread.
  uint64_t pushed() const { return tail_.load(std::memory_order_acquire); }
  uint64_t popped() const { return head_.load(std::memory_order_acquire); }
  size_t bytes() const;
  EventCounts dropped() const;

 private:
  // By pointer: an empty ring of 64 Ki slots then takes 1 MiB and not 30.
  struct Slot {
    std::unique_ptr<Event> event;
    size_t size = 0;  // as counted when it came: a move may leave the event with another capacity
  };

  bool has_room(EventType type, size_t size) const;

  // 64 bytes apart: producer and consumer do not take each other's cache lines.
  alignas(64) std::atomic<uint64_t> tail_{0};
  std::atomic<uint64_t> bytes_in_{0};
  std::array<std::atomic<uint64_t>, kEventTypes> dropped_{};
  alignas(64) std::atomic<uint64_t> head_{0};
  std::atomic<uint64_t> bytes_out_{0};
  alignas(64) std::atomic<bool> closed_{false};
  const size_t max_bytes_;
  const Full full_;
  std::vector<Slot> slots_;
};

}  // namespace mptap::event
