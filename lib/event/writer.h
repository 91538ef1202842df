// SPDX-License-Identifier: Apache-2.0
// The thread that makes lines of events and hands them to the sinks. Each thread that has events to tell gets an EventQueue of
// its own from add_producer() and pushes into that one alone. What a full queue means is the queue's business (queue.h); a sink
// that stands still fills the queues, and nothing else.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "event/eve.h"
#include "event/queue.h"
#include "event/sink.h"

namespace mptap::event {

struct WriterOptions {
  EveOptions eve;
  QueueLimits queue;                  // of each producer
  size_t batch_bytes = 256U << 10;    // lines go to the sinks when this much is there, or the queues are empty
  std::chrono::milliseconds idle{2};  // how long it sleeps when they are
};

// A sink and what it gets.
struct Output {
  std::unique_ptr<Sink> sink;
  std::array<bool, kEventTypes> types = all();

  static constexpr std::array<bool, kEventTypes> all() {
    std::array<bool, kEventTypes> types{};
    types.fill(true);
    return types;
  }
};

class EventWriter {
 public:
  EventWriter(std::vector<Output> outputs, const WriterOptions& options = {});
  ~EventWriter();  // as close()
  EventWriter(const EventWriter&) = delete;
  EventWriter& operator=(const EventWriter&) = delete;

  // A queue for one thread, good until the writer is destroyed. Any thread, at any time.
  EventQueue& add_producer();

  // From a thread that has no queue of its own; takes a lock, may wait.
  void push(Event&& event);

  // Asks the sinks to reopen their files, soon. Safe in a signal handler.
  void reopen() { reopen_.store(true, std::memory_order_relaxed); }

  // Returns when all that was pushed before has reached the sinks, and the sinks have had `limit` to get it out.
  void flush(std::chrono::milliseconds limit = std::chrono::seconds(1));

  // Takes no more events, writes what is there, ends the thread. A sink that stands still is given up after `limit`. The
  // producers have stopped before; one that has not finds its events refused.
  void close(std::chrono::milliseconds limit = std::chrono::seconds(2));

  // Any thread.
  EventCounts written() const;  // lines made, by type
  EventCounts dropped() const;  // refused by full queues, by type
  size_t queued_bytes() const;
  const std::vector<Output>& outputs() const { return outputs_; }

 private:
  using Clock = std::chrono::steady_clock;

  // The lines of one sink on their way.
  struct Batch {
    std::string lines;
    size_t count = 0;
  };

  void run();
  bool drain();
  void format(const Event& event);
  void write_batches();
  void housekeeping();

  std::vector<Output> outputs_;
  const WriterOptions options_;
  std::vector<Batch> batches_;
  std::string line_;
  std::array<std::atomic<uint64_t>, kEventTypes> written_{};

  std::atomic<bool> reopen_{false}, stop_{false}, running_{true};
  std::atomic<uint64_t> flush_asked_{0}, flush_done_{0};
  std::atomic<int64_t> flush_limit_ms_{0};

  mutable std::mutex producers_mutex_;  // the list, not the queues in it
  std::vector<std::unique_ptr<EventQueue>> producers_;
  std::mutex push_mutex_;
  EventQueue* const shared_;  // made in the constructor by add_producer(): after all that this one uses

  std::thread thread_;
};

}  // namespace mptap::event
