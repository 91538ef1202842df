// SPDX-License-Identifier: Apache-2.0
// How often something happened within a time: two buckets, the older one counted by the share of it that still lies within. Exact
// where all happened within one bucket, 20 bytes whatever the number.
#pragma once

#include <cstdint>

namespace mptap::detect {

class Rate {
 public:
  // One more at that time. How many there were within window_ns up to it. Times may come a little out of order.
  uint32_t add(uint64_t now_ns, uint64_t window_ns) {
    if (start_ == 0 || now_ns >= start_ + 2 * window_ns) {
      before_ = count_ = 0;
      start_ = now_ns;
    } else if (now_ns >= start_ + window_ns) {
      before_ = count_;
      count_ = 0;
      start_ += window_ns;
    }
    if (count_ != UINT32_MAX) ++count_;
    const uint64_t into = now_ns > start_ ? now_ns - start_ : 0;
    const auto left = static_cast<double>(window_ns - into) / static_cast<double>(window_ns);
    const double both = static_cast<double>(count_) + static_cast<double>(before_) * left;
    return both >= UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(both);
  }

 private:
  uint64_t start_ = 0;
  uint32_t count_ = 0, before_ = 0;
};

}  // namespace mptap::detect
