// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/balance.h"

#include <fmt/format.h>

#include "worker/ends.h"
#include "worker/live_worker.h"

namespace mptap::daemon {

uint64_t Balance::accounted() const {
  return worker::total(ends);
}

std::string Balance::to_text() const {
  std::string text = fmt::format("packets received {}\n", received);
  for (const auto& [name, count] : ends)
    if (count != 0) text += fmt::format("  {} {}\n", name, count);
  text += fmt::format("  unaccounted {}\n", difference());
  text += fmt::format("between workers: handed off {}, spread {}\n", handed_off, spread);
  text += fmt::format("by the ports: missed {}, errors {}, no buffer {}\n", nic_missed, nic_errors, nic_no_buffer);
  return text;
}

Balance make_balance(std::span<const worker::Counters* const> workers, std::span<const port::Port> ports, uint64_t left) {
  using namespace worker;
  Balance b;
  b.received = sum(workers, kFrames);
  b.ends = packet_ends(workers);
  b.ends.emplace_back("dropped_at_end", left);
  b.handed_off = sum(workers, kHandedOff);
  b.spread = sum(workers, kSpread);
  for (const port::Port& port : ports) {
    const port::PortStats stats = port.stats();
    b.nic_missed += stats.missed;
    b.nic_errors += stats.errors;
    b.nic_no_buffer += stats.no_buffer;
  }
  return b;
}

}  // namespace mptap::daemon
