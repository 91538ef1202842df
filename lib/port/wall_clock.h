// SPDX-License-Identifier: Apache-2.0
// Nanoseconds since the Unix epoch from the TSC: about 25 cycles, no system call whatever the kernel's clock source is.
// Tied to CLOCK_REALTIME anew every second, since DPDK knows the TSC's frequency to 10 MHz only; never runs backwards.
#pragma once

#include <time.h>

#include <cstdint>

#include <rte_cycles.h>

namespace mptap::port {

class WallClock {
 public:
  WallClock() { tie(rte_rdtsc()); }

  // One thread.
  uint64_t now_ns() {
    const uint64_t tsc = rte_rdtsc();
    if (tsc - tied_tsc_ >= rte_get_tsc_hz()) tie(tsc);
    const uint64_t now = tied_ns_ + static_cast<uint64_t>(static_cast<double>(tsc - tied_tsc_) * ns_per_cycle_);
    if (now > last_) last_ = now;
    return last_;
  }

 private:
  static uint64_t system_ns() {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(t.tv_nsec);
  }

  void tie(uint64_t tsc) {
    const uint64_t ns = system_ns();
    if (tied_ns_ == 0) {
      ns_per_cycle_ = 1e9 / static_cast<double>(rte_get_tsc_hz());
    } else {
      // Measured over the time since the last tie, unless the system's clock was set meanwhile.
      const double measured = static_cast<double>(ns - tied_ns_) / static_cast<double>(tsc - tied_tsc_);
      if (measured > 0.99 * ns_per_cycle_ && measured < 1.01 * ns_per_cycle_) ns_per_cycle_ = measured;
    }
    tied_ns_ = ns;
    tied_tsc_ = tsc;
  }

  uint64_t tied_ns_ = 0, tied_tsc_ = 0, last_ = 0;
  double ns_per_cycle_ = 0;
};

}  // namespace mptap::port
