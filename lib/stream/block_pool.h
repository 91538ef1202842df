// SPDX-License-Identifier: Apache-2.0
// Memory for bytes that have to wait: size classes with free lists, so that the steady state does not see the heap, and one
// figure for what is in use. What waits is copied here at once: no receive buffer is ever pinned by a peer's hole.
// One per worker; not thread-safe.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace mptap::stream {

class BlockPool {
 public:
  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() { trim(); }

  // Bytes handed out, in size classes. What waits is bounded by accounts (account.h), what was delivered by its owner's budget.
  uint64_t in_use() const { return in_use_; }

  uint8_t* allocate(uint32_t size) {
    const int c = size_class(size);
    in_use_ += class_size(c);
    if (Free* f = free_[c]) {
      free_[c] = f->next;
      return reinterpret_cast<uint8_t*>(f);
    }
    void* p = std::malloc(class_size(c));
    if (!p) throw std::bad_alloc();
    return static_cast<uint8_t*>(p);
  }

  void release(uint8_t* p, uint32_t size) {
    if (!p) return;
    const int c = size_class(size);
    in_use_ -= class_size(c);
    Free* f = reinterpret_cast<Free*>(p);
    f->next = free_[c];
    free_[c] = f;
  }

  // Gives the free blocks back to the system.
  void trim() {
    for (auto& head : free_) {
      while (head) {
        Free* f = head;
        head = f->next;
        std::free(f);
      }
    }
  }

  // What a block of this many bytes costs.
  static uint32_t cost(uint32_t size) { return class_size(size_class(size)); }

 private:
  struct Free {
    Free* next;
  };
  // 64, 96, 128, 192, 256, … : two classes per power of two keep the waste under a third.
  static constexpr int kClasses = 40;
  static int size_class(uint32_t size) {
    if (size <= 64) return 0;
    const int log = 31 - std::countl_zero(size - 1);
    const uint32_t base = 1u << log;
    return (log - 6) * 2 + (size > base + base / 2 ? 2 : 1);
  }
  static uint32_t class_size(int c) {
    const uint32_t base = 64u << (c / 2);
    return c % 2 ? base + base / 2 : base;
  }

  std::array<Free*, kClasses> free_{};
  uint64_t in_use_ = 0;
};

}  // namespace mptap::stream
