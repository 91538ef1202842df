// SPDX-License-Identifier: Apache-2.0
#include "packet/decode.h"

namespace mptap::packet {

const char* reason_name(Reason reason) {
  switch (reason) {
    case Reason::kTcp: return "tcp";
    case Reason::kNotIp: return "not_ip";
    case Reason::kNotTcp: return "not_tcp";
    case Reason::kFragmentHeld: return "fragment_held";
    case Reason::kLinkTruncated: return "link_truncated";
    case Reason::kLinkUnsupported: return "link_unsupported";
    case Reason::kVlanTruncated: return "vlan_truncated";
    case Reason::kMplsTruncated: return "mpls_truncated";
    case Reason::kIpTruncated: return "ip_truncated";
    case Reason::kIpBadVersion: return "ip_bad_version";
    case Reason::kIpBadHeaderLength: return "ip_bad_header_length";
    case Reason::kIpBadTotalLength: return "ip_bad_total_length";
    case Reason::kIpBadChecksum: return "ip_bad_checksum";
    case Reason::kIpv6BadExtension: return "ipv6_bad_extension";
    case Reason::kFragmentBad: return "fragment_bad";
    case Reason::kFragmentDropped: return "fragment_dropped";
    case Reason::kTunnelTruncated: return "tunnel_truncated";
    case Reason::kTunnelTooDeep: return "tunnel_too_deep";
    case Reason::kTcpTruncated: return "tcp_truncated";
    case Reason::kTcpBadHeaderLength: return "tcp_bad_header_length";
    case Reason::kTcpBadChecksum: return "tcp_bad_checksum";
    case Reason::kSnapped: return "snapped";
    case Reason::kCount: break;
  }
  return "unknown";
}

}  // namespace mptap::packet
