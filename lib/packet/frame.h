// SPDX-License-Identifier: Apache-2.0
// A frame as a port or a capture file delivers it. A view: whoever made it keeps the bytes alive.
#pragma once

#include <cstdint>

namespace mptap::packet {

enum class LinkType : uint8_t { kEthernet, kLinuxCooked, kLinuxCookedV2, kRawIp, kPpp, kNull };

struct Frame {
  const uint8_t* data = nullptr;
  uint32_t captured = 0;  // bytes at data
  uint32_t wire = 0;      // bytes the frame had on the wire, >= captured
  LinkType link = LinkType::kEthernet;
  uint64_t timestamp_ns = 0;  // since the Unix epoch
  uint64_t number = 0;        // from 1, in the order of arrival (Suricata's pcap_cnt)
};

}  // namespace mptap::packet
