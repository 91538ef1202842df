// SPDX-License-Identifier: Apache-2.0
// An exact classic BPF program for MPTCP options: it walks the TCP options of each packet as a host does, whatever comes
// before the one it looks for, and beyond an MPTCP option of another subtype. Classic BPF has no backward jumps, so the walk
// is written out once for each option that 40 bytes can hold.
//
// Knows Ethernet with up to two VLAN tags, IPv4 with options (first fragments), IPv6 with up to four extension headers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <pcap/bpf.h>

#include "apps/mptap/monitor/subtypes.h"

namespace mptap::monitor {

enum class Link { kEthernet, kRawIp };

// Returns 0x40000 for a packet with one of the subtypes, else 0.
std::vector<bpf_insn> option_filter(Subtypes wanted, Link link);

std::string as_decimal(const std::vector<bpf_insn>& program);   // tcpdump -ddd
std::string as_c(const std::vector<bpf_insn>& program);         // tcpdump -dd
std::string as_assembly(const std::vector<bpf_insn>& program);  // tcpdump -d

}  // namespace mptap::monitor
