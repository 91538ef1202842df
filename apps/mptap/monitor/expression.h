// SPDX-License-Identifier: Apache-2.0
// MPTCP as text for others' tools: a libpcap expression, nftables rules, a Suricata rule.
#pragma once

#include <string>

#include "apps/mptap/monitor/subtypes.h"

namespace mptap::monitor {

// For tcpdump -F, tshark -f, Suricata's bpf-filter. The language has neither loops nor variables, so this one asks at every
// offset whether an MPTCP option could begin there: it misses none, and may take a packet where another option's bytes
// (a timestamp of one certain value) look like one. IPv6 without extension headers.
std::string pcap_expression(Subtypes wanted);

// Counters per subtype in a table of its own, for packets that this host receives, sends or forwards. nftables looks at the
// first MPTCP option of a packet only.
std::string nft_counters(Subtypes wanted, bool log);
// For an interface that gets a copy of traffic (SPAN, tap) and forwards nothing: takes each option out after counting it, and
// so sees the next one; drops the packet at the end.
std::string nft_tap_counters(Subtypes wanted, const std::string& interface, bool log);

// Exact, by a regular expression that walks the options; for Suricata 5 and later (tcp.hdr).
std::string suricata_rule(Subtypes wanted, unsigned sid);
// The expression in it, over the TCP header: tested by itself.
std::string header_regex(Subtypes wanted);

inline constexpr const char* kPopularExpression = "tcp[40] = 0x1e";

}  // namespace mptap::monitor
