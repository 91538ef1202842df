// SPDX-License-Identifier: Apache-2.0
// What `mptap read` and `mptap follow` share on the command line: where packets come from and how they are understood.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "worker/engine.h"

namespace CLI {
class App;
}

namespace mptap::read {

struct InputOptions {
  std::vector<std::string> files, ports;
  double duration_s = 0;  // 0: no end
  uint64_t count = 0;     // packets; 0: no end

  bool live() const { return !ports.empty(); }
};

struct DecodeOptions {
  bool no_checksum = false, no_tcp = false, no_decap = false;
  std::vector<std::string> no_tunnels;  // of kTunnels
  uint16_t vxlan_port = 4789, geneve_port = 6081;
  stream::OverlapPolicy policy = stream::OverlapPolicy::kLinux;
  uint32_t max_subflows = 1u << 17, max_connections = 1u << 17;
  uint32_t memory_mb = 1024;
  std::vector<std::string> critical;  // judged where they are given
  std::string config;                 // mptap.toml, for its [detect]
};

void add_decode_options(CLI::App& sub, DecodeOptions& options);
void add_detect_options(CLI::App& sub, DecodeOptions& options);
// The thresholds that the options give; the error is one line or more, each with its place.
tl::expected<detect::Options, std::string> detect_options(const DecodeOptions& options);
// The fields that the options decide; the rest are defaults.
worker::EngineConfig engine_config(const DecodeOptions& options);

// Megabytes that DPDK needs for the flow tables and the ports.
uint32_t eal_memory_mb(uint32_t max_subflows, size_t ports);

}  // namespace mptap::read
