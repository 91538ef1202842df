// SPDX-License-Identifier: Apache-2.0
// Work that any thread gives to a worker: list connections, act on one, take over policies. The worker looks into its mailbox in
// every loop and does a step of the first message between two bursts, with its engine at hand; it never waits, and what takes
// longer does a bounded step at a time.
//
//   class Count final : public worker::Message {
//     bool step(worker::Engine& engine, uint64_t) override { promise_.set_value(engine.open_connections()); return true; }
//     void dropped() override { promise_.set_value(0); }
//     …
//   };
//   if (!worker.mailbox().post(std::make_unique<Count>(…))) …  // full, or the worker has ended
//
// A message is made and freed by posting threads: the worker hands finished ones back, and the next post (or the mailbox's end)
// frees them. So neither side's allocator is on the data path, and a completion inside a message may be anything that does not
// block: a promise, an eventfd, a ring.
//
// Two stacks with one atomic head each. Posters push onto in_; the worker takes all of it and turns it round, so messages of one
// poster run in their order. Finished ones are pushed onto out_ in the same way. The acquire of a take pairs with the release of
// each push before it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace mptap::worker {

class Engine;

class Message {
 public:
  virtual ~Message() = default;
  // On the worker's thread. True: done. False: call again in the next loop, other packets come first.
  // A step should take less than 10 µs: at 5 Mpps a queue of 2048 fills in 400.
  virtual bool step(Engine& engine, uint64_t now_ns) = 0;
  // On the worker's thread, or the one that closes: the worker has ended and step() will not be called (again).
  virtual void dropped() {}

 private:
  friend class Mailbox;
  Message* next_ = nullptr;
};

class Mailbox {
 public:
  explicit Mailbox(size_t capacity = 4096) : capacity_(capacity) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox() {
    close();
    collect();
  }

  // Any thread. False: full or closed, and the message is freed without dropped().
  bool post(std::unique_ptr<Message> message) {
    collect();
    if (waiting_.fetch_add(1, std::memory_order_relaxed) >= capacity_) {
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    Message* head = in_.load(std::memory_order_relaxed);
    do {
      if (head == closed_mark()) {
        waiting_.fetch_sub(1, std::memory_order_relaxed);
        return false;
      }
      message->next_ = head;
    } while (!in_.compare_exchange_weak(head, message.get(), std::memory_order_release, std::memory_order_relaxed));
    (void)message.release();
    return true;
  }

  // Worker. One step; true: something was done.
  bool run(Engine& engine, uint64_t now_ns) {
    if (first_ == nullptr) {
      if (in_.load(std::memory_order_relaxed) == nullptr) return false;
      first_ = reversed(in_.exchange(nullptr, std::memory_order_acquire));
    }
    if (!first_->step(engine, now_ns)) return true;
    finish(std::exchange(first_, first_->next_));
    return true;
  }

  // Worker, when it ends: what waits is dropped, and nothing more is taken.
  void close() {
    Message* rest = in_.exchange(closed_mark(), std::memory_order_acquire);
    for (Message* m = first_; m != nullptr;) drop(std::exchange(m, m->next_));
    first_ = nullptr;
    for (Message* m = rest == closed_mark() ? nullptr : reversed(rest); m != nullptr;) drop(std::exchange(m, m->next_));
  }

 private:
  Message* closed_mark() { return reinterpret_cast<Message*>(this); }

  static Message* reversed(Message* list) {
    Message* result = nullptr;
    while (list != nullptr) {
      Message* next = std::exchange(list->next_, result);
      result = std::exchange(list, next);
    }
    return result;
  }
  void drop(Message* m) {
    m->dropped();
    finish(m);
  }
  void finish(Message* m) {
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    Message* head = out_.load(std::memory_order_relaxed);
    do {
      m->next_ = head;
    } while (!out_.compare_exchange_weak(head, m, std::memory_order_release, std::memory_order_relaxed));
  }
  void collect() {
    if (out_.load(std::memory_order_relaxed) == nullptr) return;
    for (Message* m = out_.exchange(nullptr, std::memory_order_acquire); m != nullptr;) delete std::exchange(m, m->next_);
  }

  const size_t capacity_;
  std::atomic<size_t> waiting_{0};
  alignas(64) std::atomic<Message*> in_{nullptr};
  Message* first_ = nullptr;  // the worker's
  alignas(64) std::atomic<Message*> out_{nullptr};
};

}  // namespace mptap::worker
