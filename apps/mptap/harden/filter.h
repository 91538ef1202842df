// SPDX-License-Identifier: Apache-2.0
// Packet filter rules against MPTCP, for nftables and for iptables, as text that a person can read and a machine can run.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "packet/prefix.h"

namespace mptap::harden {

enum class Effect { kStrip, kReject, kDrop, kLog };
const char* effect_name(Effect effect);

struct FilterSpec {
  Effect effect = Effect::kStrip;
  bool inbound = true, outbound = true;  // connections that come in through an interface, that go out through one
  std::vector<std::string> interfaces;   // empty: all
  std::vector<packet::Prefix> prefixes;     // one end of the connection lies in one of them; empty: all
  bool joins_only = false;               // MP_JOIN alone: connections stay on one path
  bool every_packet = false;             // not only SYNs: running connections too
  bool log = false;                      // beside the effect
};

inline constexpr const char* kNftTable = "mptap_harden";
inline constexpr const char* kLogPrefix = "mptap mptcp ";

// The error names the option that does not fit.
tl::expected<void, std::string> validate(const FilterSpec& spec);

// A file for `nft -f`: replaces our table as one transaction, touches no other.
std::string nft_rules(const FilterSpec& spec);
std::string nft_removal();

// A script for `sh`: own chains, entered first; safe to run again. iptables cannot see the subtype, so joins_only is an error.
tl::expected<std::string, std::string> iptables_script(const FilterSpec& spec);
std::string iptables_removal();

}  // namespace mptap::harden
