// SPDX-License-Identifier: Apache-2.0
// What a host allows now: its switches, sockets, path manager, and the packet filter rules that know MPTCP.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/mptap/harden/host.h"

namespace mptap::harden {

struct FilterRule {
  std::string where;        // "nft inet mptap_harden inbound", "iptables mangle MPTAP_IN"
  std::string hook;         // "prerouting"; empty in a chain that others jump to, and for iptables
  std::string effect;       // strip, reject, drop, log, count
  bool restricted = false;  // by interface, prefix, subtype or what else the rule matches
  std::string text;
};

struct HostState {
  System system = System::kNone;
  std::string kernel;                          // uname -r
  std::optional<std::string> enabled;          // the switch's value
  bool socket = false;                         // a program can have an MPTCP socket
  std::vector<std::string> persistent;         // "FILE: net.mptcp.enabled = 0"
  std::map<std::string, std::string> sysctls;  // the other net.mptcp.* that matter
  std::optional<Limits> limits;
  nlohmann::json endpoints = nlohmann::json::array();
  uint32_t listeners = 0, connections = 0;   // MPTCP sockets that listen, that are open
  std::map<std::string, uint64_t> counters;  // since boot, those that tell of use
  std::vector<FilterRule> rules;
  std::vector<std::string> unknown;  // what could not be looked at, and why
};

HostState look_at_host();

// "off": no new MPTCP either way; "filtered": the host speaks it, rules without restriction stop it both ways; "allowed".
const char* verdict(const HostState& state);

nlohmann::json to_json(const HostState& state);
std::string to_text(const HostState& state);

// The two parsers, apart for tests: `nft -j list ruleset` and `iptables-save`.
std::vector<FilterRule> rules_of_nft(const nlohmann::json& ruleset);
std::vector<FilterRule> rules_of_iptables(const std::string& tool, const std::string& saved);

}  // namespace mptap::harden
