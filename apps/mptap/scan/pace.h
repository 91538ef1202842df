// SPDX-License-Identifier: Apache-2.0
// A token bucket: in any stretch of time t no more than rate * t + burst packets.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mptap::scan {

class Pace {
 public:
  // The burst is what 10 ms bring, or 64 packets of a slower scan, at most a quarter of a second: a busy machine that lets the
  // scanner wait must not make it late for good, and no switch minds 64.
  Pace(uint32_t per_second, uint64_t now_ns)
      : interval_ps_(1'000'000'000'000 / per_second),
        burst_ps_(std::max({interval_ps_, k10Ms, std::min(64 * interval_ps_, 25 * k10Ms)})),
        full_at_ps_(now_ns * 1000) {}

  // Whether a packet may go now; if so, it is counted.
  bool take(uint64_t now_ns) {
    const uint64_t now = now_ns * 1000;
    full_at_ps_ = std::max(full_at_ps_, now);
    if (full_at_ps_ + interval_ps_ > now + burst_ps_) return false;
    full_at_ps_ += interval_ps_;
    return true;
  }
  // Nanoseconds until take() says yes.
  uint64_t wait_ns(uint64_t now_ns) const {
    const uint64_t now = now_ns * 1000, ready = std::max(full_at_ps_, now) + interval_ps_;
    return ready <= now + burst_ps_ ? 0 : (ready - now - burst_ps_) / 1000 + 1;
  }

 private:
  static constexpr uint64_t k10Ms = 10'000'000'000;
  uint64_t interval_ps_, burst_ps_;
  uint64_t full_at_ps_;  // when the bucket will be full again
};

}  // namespace mptap::scan
