// SPDX-License-Identifier: Apache-2.0
// One scan from start to end: targets, links, pace, state, output.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "apps/mptap/scan/engine.h"
#include "packet/prefix.h"

namespace mptap::scan {

struct ScanSpec {
  TargetSet targets;
  std::vector<uint16_t> ports;
  Policy policy;
  uint32_t rate = 1000;
  unsigned retries = 1;
  uint32_t timeout_ms = 2000;
  PortRange source_ports;
  std::string interface;                // empty: by the kernel's routes
  std::string device;                   // a DPDK port instead
  std::vector<packet::IpAddress> sources;  // addresses that nobody has; empty: this host's own
  std::vector<packet::Prefix> on_link;        // device: prefixes without a gateway between
  std::vector<packet::IpAddress> gateways;  // device
  std::string state_file;
  bool json = false, all = false, progress = false;
};

enum class End { kComplete, kStopped };

// Results go to standard output, progress to standard error. `stop` becomes 1 to finish what is in flight, 2 to leave at once.
tl::expected<End, std::string> run_scan(const ScanSpec& spec, const std::atomic<int>& stop);

}  // namespace mptap::scan
