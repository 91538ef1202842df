// SPDX-License-Identifier: Apache-2.0
// The switches of a host itself: sysctl of the two Linux implementations, macOS, and the path manager's limits.
#pragma once

#include <optional>
#include <string>

#include <tl/expected.hpp>

namespace mptap::harden {

enum class System {
  kUpstream,   // Linux 5.6 and later, net.mptcp.enabled
  kOutOfTree,  // the multipath-tcp.org kernels, net.mptcp.mptcp_enabled
  kMacos,
  kNone,  // a Linux without MPTCP
};
const char* system_name(System system);
System detect_system();

inline constexpr const char* kSysctlFile = "/etc/sysctl.d/90-mptap-mptcp.conf";

// A key like "net.mptcp.enabled" below /proc/sys; nullopt where the kernel has no such key.
std::optional<std::string> read_sysctl(const std::string& key);
tl::expected<void, std::string> write_sysctl(const std::string& key, const std::string& value);

// Whether this kernel gives a program an MPTCP socket now: tried, not read.
bool socket_possible();

// What an administrator would type to switch MPTCP on or off on such a host, with what it does not do.
std::string switch_text(System system, bool on, const std::string& sysctl_file);
// Does it, reads it back, tries a socket, and writes the file (where it is not empty) that keeps it over a reboot.
tl::expected<std::string, std::string> apply_switch(System system, bool on, const std::string& sysctl_file);

struct Limits {
  unsigned subflows = 0;
  unsigned add_addr_accepted = 0;
};
// The text of `ip mptcp limits`; iproute2 6.1 has no JSON for it.
std::optional<Limits> parse_limits(const std::string& text);
std::string limits_text(const Limits& limits);
tl::expected<std::string, std::string> apply_limits(const Limits& limits);

}  // namespace mptap::harden
