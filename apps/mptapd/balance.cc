// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/balance.h"

#include <fmt/format.h>

#include "worker/live_worker.h"

namespace mptap::daemon {

using packet::Reason;

uint64_t Balance::accounted() const {
  uint64_t total = 0;
  for (const auto& [name, count] : ends) total += count;
  return total;
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

Balance make_balance(std::span<const worker::Counters* const> workers, std::span<const port::Port> ports) {
  using namespace worker;
  Balance b;
  b.received = sum(workers, kFrames);
  b.ends.emplace_back("inspected", sum(workers, kInspected));
  b.ends.emplace_back("span_copy", sum(workers, kSpanCopies));
  b.ends.emplace_back("ignored_no_flow", sum(workers, kIgnoredNoFlow));
  b.ends.emplace_back("ignored_plain_tcp", sum(workers, kIgnoredPlainTcp));
  b.ends.emplace_back("dropped_subflow_limit", sum(workers, kDroppedSubflowLimit));
  b.ends.emplace_back("dropped_connection_limit", sum(workers, kDroppedConnectionLimit));
  b.ends.emplace_back("dropped_handoff_full", sum(workers, kHandoffDropped));
  b.ends.emplace_back("dropped_spread_full", sum(workers, kSpreadDropped));
  for (size_t r = 0; r < static_cast<size_t>(Reason::kCount); ++r) {
    const auto reason = static_cast<Reason>(r);
    if (reason != Reason::kTcp) b.ends.emplace_back(reason_name(reason), sum(workers, kDecoded[reason]));
  }
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
