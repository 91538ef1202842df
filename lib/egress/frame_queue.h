// SPDX-License-Identifier: Apache-2.0
// Frames on their way from one worker to the egress writer: a ring of bytes, one producer and one consumer, bounded. A frame is
// built in place and lies in one piece.
//
// The producer also tells a clock: nothing that it pushes later is older. The consumer merges several queues by it.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>

#include "packet/frame.h"

namespace mptap::egress {

class FrameQueue {
 public:
  static constexpr size_t kLeast = size_t{1} << 20;

  // bytes: rounded up to a power of two, at least kLeast. Memory is touched only as it is used.
  explicit FrameQueue(size_t bytes)
      : capacity_(std::bit_ceil(std::max(bytes, kLeast))), bytes_(std::make_unique_for_overwrite<uint8_t[]>(capacity_)) {}

  // Producer. Room for a frame of so many bytes; nullptr: there is none now.
  uint8_t* reserve(uint32_t size) {
    const size_t need = footprint(size);
    if (need > capacity_ / 4) return nullptr;
    size_t at = head_ & (capacity_ - 1);
    const size_t to_end = capacity_ - at;
    const size_t skip = need > to_end ? to_end : 0;
    if (head_ + skip + need - tail_seen_ > capacity_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head_ + skip + need - tail_seen_ > capacity_) return nullptr;
    }
    if (skip > 0) {
      put(at, {static_cast<uint32_t>(skip), 0, 0, 1, 0});
      head_ += skip;
      at = 0;
    }
    return bytes_.get() + at + kHeader;
  }
  // The frame that reserve() gave room for is complete. size: at most what was reserved.
  void commit(uint32_t size, uint32_t wire, uint64_t timestamp_ns) {
    const size_t need = footprint(size);
    put(head_ & (capacity_ - 1), {static_cast<uint32_t>(need), size, wire, 0, timestamp_ns});
    head_ += need;
    published_.store(head_, std::memory_order_release);
  }
  void set_clock(uint64_t ns) { clock_.store(ns, std::memory_order_release); }
  size_t used() {
    tail_seen_ = tail_.load(std::memory_order_acquire);
    return head_ - tail_seen_;
  }
  size_t capacity() const { return capacity_; }

  // Consumer. To be read before front() says that the queue is empty.
  uint64_t clock() const { return clock_.load(std::memory_order_acquire); }
  // The oldest frame; valid until pop(). False: empty.
  bool front(packet::Frame& out) {
    for (;;) {
      if (at_ == published_seen_) {
        published_seen_ = published_.load(std::memory_order_acquire);
        if (at_ == published_seen_) return false;
      }
      const size_t at = at_ & (capacity_ - 1);
      Header h;
      std::memcpy(&h, bytes_.get() + at, sizeof h);
      if (h.skip == 0) {
        out = {.data = bytes_.get() + at + kHeader, .captured = h.captured, .wire = h.wire, .timestamp_ns = h.timestamp_ns};
        front_ = h.total;
        return true;
      }
      at_ += h.total;
    }
  }
  void pop() {
    at_ += front_;
    tail_.store(at_, std::memory_order_release);
  }

 private:
  struct Header {
    uint32_t total, captured, wire, skip;
    uint64_t timestamp_ns;
  };
  static constexpr size_t kHeader = 32;  // a record's least size and alignment: a header always fits before the end
  static_assert(sizeof(Header) <= kHeader);

  static size_t footprint(uint32_t size) { return (kHeader + size + kHeader - 1) & ~(kHeader - 1); }
  void put(size_t at, const Header& h) { std::memcpy(bytes_.get() + at, &h, sizeof h); }

  const size_t capacity_;
  const std::unique_ptr<uint8_t[]> bytes_;
  alignas(64) size_t head_ = 0;  // producer's
  size_t tail_seen_ = 0;
  alignas(64) std::atomic<size_t> published_{0};
  std::atomic<uint64_t> clock_{0};
  alignas(64) size_t at_ = 0;  // consumer's
  size_t published_seen_ = 0;
  uint32_t front_ = 0;
  alignas(64) std::atomic<size_t> tail_{0};
};

}  // namespace mptap::egress
