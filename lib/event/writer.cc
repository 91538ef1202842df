// SPDX-License-Identifier: Apache-2.0
#include "event/writer.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace mptap::event {
namespace {

constexpr std::chrono::milliseconds kTick{100};

// Signals are for the main thread; a SIGHUP that lands here would interrupt writes for nothing.
std::thread start_without_signals(auto body) {
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGRTMIN);  // by which a daemon asks its threads to give up their privileges
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(body));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), "mptap-events");
  return thread;
}

}  // namespace

EventWriter::EventWriter(std::vector<Output> outputs, const WriterOptions& options)
    : outputs_(std::move(outputs)), options_(options), batches_(outputs_.size()), shared_(&add_producer()) {
  thread_ = start_without_signals([this] { run(); });
}

EventWriter::~EventWriter() {
  close();
}

EventQueue& EventWriter::add_producer() {
  const std::lock_guard lock(producers_mutex_);
  producers_.push_back(std::make_unique<EventQueue>(options_.queue));
  if (stop_.load(std::memory_order_acquire)) producers_.back()->close();
  return *producers_.back();
}

void EventWriter::push(Event&& event) {
  const std::lock_guard lock(push_mutex_);
  shared_->push(std::move(event));
}

void EventWriter::format(const Event& event) {
  line_.clear();
  std::visit([&](const auto& e) { append_eve(line_, e, options_.eve); }, event);
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (!outputs_[i].types[event.index()]) continue;
    Batch& batch = batches_[i];
    batch.lines += line_;
    ++batch.count;
    if (batch.lines.size() >= options_.batch_bytes) {
      outputs_[i].sink->write(batch.lines, batch.count);
      batch.lines.clear();
      batch.count = 0;
    }
  }
  written_[event.index()].fetch_add(1, std::memory_order_relaxed);
}

void EventWriter::write_batches() {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Batch& batch = batches_[i];
    if (batch.count != 0) outputs_[i].sink->write(batch.lines, batch.count);
    batch.lines.clear();
    batch.count = 0;
  }
}

// One round over all queues: what was in them at its begin. True if there was anything.
bool EventWriter::drain() {
  std::vector<EventQueue*> queues;
  {
    const std::lock_guard lock(producers_mutex_);
    for (const auto& queue : producers_) queues.push_back(queue.get());
  }
  bool any = false;
  Event event;
  for (EventQueue* queue : queues) {
    const uint64_t end = queue->pushed();
    while (queue->popped() < end && queue->pop(event)) {
      format(event);
      any = true;
    }
  }
  write_batches();
  return any;
}

void EventWriter::housekeeping() {
  for (Output& output : outputs_) output.sink->tick();
}

void EventWriter::run() {
  Clock::time_point next_tick = Clock::now() + kTick;
  while (true) {
    const bool last = stop_.load(std::memory_order_acquire);
    const uint64_t asked = flush_asked_.load(std::memory_order_acquire);
    if (reopen_.exchange(false, std::memory_order_relaxed)) {
      for (Output& output : outputs_) output.sink->reopen();
    }
    const bool any = drain();
    if (last || asked != flush_done_.load(std::memory_order_relaxed)) {
      const std::chrono::milliseconds limit(flush_limit_ms_.load(std::memory_order_relaxed));
      for (Output& output : outputs_) output.sink->flush(limit);
      flush_done_.store(asked, std::memory_order_release);
    }
    if (last) break;
    bool waiting = false;
    for (const Output& output : outputs_) waiting |= output.sink->waiting();
    if (const auto now = Clock::now(); waiting || now >= next_tick) {
      housekeeping();
      next_tick = now + kTick;
    }
    if (!any) std::this_thread::sleep_for(options_.idle);
  }
  running_.store(false, std::memory_order_release);
}

void EventWriter::flush(std::chrono::milliseconds limit) {
  flush_limit_ms_.store(limit.count(), std::memory_order_relaxed);
  const uint64_t asked = flush_asked_.fetch_add(1, std::memory_order_acq_rel) + 1;
  uint64_t done = flush_done_.load(std::memory_order_acquire);
  while (done < asked && running_.load(std::memory_order_acquire)) {
    std::this_thread::sleep_for(options_.idle);
    done = flush_done_.load(std::memory_order_acquire);
  }
}

void EventWriter::close(std::chrono::milliseconds limit) {
  if (!thread_.joinable()) return;
  flush_limit_ms_.store(limit.count(), std::memory_order_relaxed);
  {
    // Queues first: what the last round does not find must have been refused, and counted.
    const std::lock_guard lock(producers_mutex_);
    for (const auto& queue : producers_) queue->close();
    stop_.store(true, std::memory_order_release);
  }
  const auto deadline = Clock::now() + limit;
  while (running_.load(std::memory_order_acquire) && Clock::now() < deadline) std::this_thread::sleep_for(options_.idle);
  for (Output& output : outputs_) output.sink->give_up();
  thread_.join();
}

EventCounts EventWriter::written() const {
  EventCounts counts{};
  for (size_t i = 0; i < counts.size(); ++i) counts[i] = written_[i].load(std::memory_order_relaxed);
  return counts;
}

EventCounts EventWriter::dropped() const {
  EventCounts counts{};
  const std::lock_guard lock(producers_mutex_);
  for (const auto& queue : producers_) {
    const EventCounts of_queue = queue->dropped();
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += of_queue[i];
  }
  return counts;
}

size_t EventWriter::queued_bytes() const {
  size_t bytes = 0;
  const std::lock_guard lock(producers_mutex_);
  for (const auto& queue : producers_) bytes += queue->bytes();
  return bytes;
}

}  // namespace mptap::event
