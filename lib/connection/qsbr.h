// SPDX-License-Identifier: Apache-2.0
// When may memory that lock-free readers might still see be used again? Once every reader has said "I hold nothing" since it was
// taken out (quiescent-state-based reclamation). Readers pay one load and one store per housekeeping, nothing per access.
//
// A reader is a worker with a number. It calls quiescent() between bursts, where it holds no reference. A reader that sleeps,
// starts or has ended is offline and waited for by nobody.
//
// Why this is enough: retire() reads the epoch after the memory was unlinked and moves it on; a reader that then stores an epoch
// above that value has loaded it after the unlinking (acquire pairs with the release in retire), so it cannot have met the memory
// since, and what it read before happens-before the store that collect() acquires.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace mptap::connection {

class Qsbr {
 public:
  explicit Qsbr(unsigned readers) : count_(readers), readers_(std::make_unique<Reader[]>(readers)) {}

  void online(unsigned reader) { readers_[reader].seen.store(epoch_.load(std::memory_order_acquire), std::memory_order_seq_cst); }
  void offline(unsigned reader) { readers_[reader].seen.store(kOffline, std::memory_order_release); }
  void quiescent(unsigned reader) {
    readers_[reader].seen.store(epoch_.load(std::memory_order_acquire), std::memory_order_release);
  }

  // After unlinking: the memory may be used again once passed() is more than what this returns. Writers, one at a time.
  uint64_t retire() { return epoch_.fetch_add(1, std::memory_order_seq_cst); }

  // What every reader has passed.
  uint64_t passed() const {
    uint64_t least = kOffline;
    for (unsigned i = 0; i < count_; ++i) {
      const uint64_t seen = readers_[i].seen.load(std::memory_order_seq_cst);
      if (seen < least) least = seen;
    }
    return least;
  }

 private:
  static constexpr uint64_t kOffline = UINT64_MAX;
  struct alignas(64) Reader {
    std::atomic<uint64_t> seen{kOffline};
  };

  unsigned count_;
  std::unique_ptr<Reader[]> readers_;
  alignas(64) std::atomic<uint64_t> epoch_{1};
};

}  // namespace mptap::connection
