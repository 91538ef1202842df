// SPDX-License-Identifier: Apache-2.0
// A mapped file that another process cuts short raises SIGBUS where its pages are gone. A guard makes zeros of such pages and
// remembers it, so that the reader can stop with an error instead. Handling is process-wide; signals for other addresses go on to
// whoever had SIGBUS before.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mptap::port {

class ShrinkGuard {
 public:
  // Watches [base, base + size). Where more files are mapped at once than can be watched (64), this one is not.
  ShrinkGuard(const uint8_t* base, size_t size);
  ~ShrinkGuard() { release(); }
  void release();  // before the range is unmapped
  ShrinkGuard(const ShrinkGuard&) = delete;
  ShrinkGuard& operator=(const ShrinkGuard&) = delete;

  // From the first time on that a page was gone.
  bool shrunk() const;

 private:
  int slot_ = -1;
};

}  // namespace mptap::port
