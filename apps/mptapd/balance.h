// SPDX-License-Identifier: Apache-2.0
// Where every received packet ended: each in exactly one line. What the lines do not explain is shown as the difference, and a
// test wants it to be zero.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "port/port.h"
#include "worker/counters.h"

namespace mptap::daemon {

struct Balance {
  uint64_t received = 0;
  std::vector<std::pair<std::string, uint64_t>> ends;  // all of them; zeros, too
  // Beside: the way between workers, and what never reached us.
  uint64_t handed_off = 0, spread = 0;
  uint64_t nic_missed = 0, nic_errors = 0, nic_no_buffer = 0;

  uint64_t accounted() const;
  int64_t difference() const { return static_cast<int64_t>(received) - static_cast<int64_t>(accounted()); }
  std::string to_text() const;
};

// left: packets that still lay between the workers when these ended.
Balance make_balance(std::span<const worker::Counters* const> workers, std::span<const port::Port> ports, uint64_t left);

}  // namespace mptap::daemon
