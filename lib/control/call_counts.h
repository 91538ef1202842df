// SPDX-License-Identifier: Apache-2.0
// How many calls each method has had, and how they ended. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "control/access.h"

namespace mptap::control {

enum class CallEnd : uint8_t { kOk, kDenied, kError, kCount };
inline constexpr std::array<const char*, static_cast<size_t>(CallEnd::kCount)> kCallEndNames{"ok", "denied", "error"};

class CallCounts {
 public:
  CallCounts() : counts_(permissions().size()) {}

  // A method that is not in the table of permissions counts nowhere: it is denied before it is one of ours.
  void add(std::string_view method, CallEnd end) {
    const Permission* found = permission(method);
    if (found == nullptr) return;
    counts_[static_cast<size_t>(found - permissions().data())][static_cast<size_t>(end)].fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t of(const Permission& method, CallEnd end) const {
    return counts_[static_cast<size_t>(&method - permissions().data())][static_cast<size_t>(end)].load(std::memory_order_relaxed);
  }

 private:
  std::vector<std::array<std::atomic<uint64_t>, static_cast<size_t>(CallEnd::kCount)>> counts_;
};

}  // namespace mptap::control
