// SPDX-License-Identifier: Apache-2.0
// A ring between two threads: one pushes, one pops, neither waits. Own atomics rather than rte_ring, whose barriers are
// invisible to ThreadSanitizer; no EAL needed.
//
// The producer writes a slot, then head_ with release; the consumer reads head_ with acquire, takes the slot, then stores tail_
// with release; the producer reads tail_ with acquire before it uses the slot again. Each side keeps a copy of the other's index
// and looks at the real one only when the copy says full or empty, so that the line travels once a burst, not once an object.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mptap::worker {

template <typename T>
class SpscRing {
 public:
  explicit SpscRing(size_t capacity) : slots_(std::bit_ceil(capacity)), mask_(slots_.size() - 1) {}
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  size_t capacity() const { return slots_.size(); }

  // Producer. False: full.
  bool push(T value) {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_seen_ == slots_.size()) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head - tail_seen_ == slots_.size()) return false;
    }
    slots_[head & mask_] = value;
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  // Consumer. How many came, in order.
  size_t pop(std::span<T> out) {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (head_seen_ == tail) head_seen_ = head_.load(std::memory_order_acquire);
    size_t count = 0;
    for (; count < out.size() && tail + count != head_seen_; ++count) out[count] = slots_[(tail + count) & mask_];
    if (count != 0) tail_.store(tail + count, std::memory_order_release);
    return count;
  }

  // How many have ever come in and gone out. Consumer; what was pushed before pushed() was called counts.
  size_t pushed() const { return head_.load(std::memory_order_acquire); }
  size_t popped() const { return tail_.load(std::memory_order_relaxed); }

  // Any thread; a moment old.
  size_t size() const { return head_.load(std::memory_order_relaxed) - tail_.load(std::memory_order_relaxed); }

 private:
  std::vector<T> slots_;
  const size_t mask_;
  alignas(64) std::atomic<size_t> head_{0};
  size_t tail_seen_ = 0;  // producer's
  alignas(64) std::atomic<size_t> tail_{0};
  size_t head_seen_ = 0;  // consumer's
};

}  // namespace mptap::worker
