// SPDX-License-Identifier: Apache-2.0
// IP fragments of both families -> whole datagrams, by rte_ip_frag. In front of it stands what that library leaves out and Linux
// does: a copy of bytes already there is ignored, an overlap discards the datagram, and the protocol is part of the key.
#pragma once

#include <cstdint>
#include <memory>

#include "packet/decode.h"

namespace mptap::packet {

struct Fragment {
  IpAddress src, dst;
  uint32_t id = 0;
  uint8_t protocol = 0;  // IPv4: of the datagram. IPv6: 0, since only the first fragment's counts
  uint8_t depth = 0;     // encapsulations around it
  bool v6 = false;

  uint32_t offset = 0;  // bytes, a multiple of 8
  bool more = false;
  uint8_t next = 0;  // protocol of the contents, as this fragment says
  uint8_t ttl = 0, dscp_ecn = 0;
  const uint8_t* data = nullptr;
  uint32_t size = 0;
};

struct Datagram {
  const uint8_t* data = nullptr;  // valid until the next whole datagram
  uint32_t size = 0;
  uint8_t next = 0, ttl = 0, dscp_ecn = 0;  // of its first fragment
};

// Bounded by config.max_fragment_flows datagrams and twice as many packet buffers of 2 KiB (at least 512); when full, the oldest
// datagram goes.
class Fragments {
 public:
  explicit Fragments(const DecodeConfig& config);
  ~Fragments();
  Fragments(const Fragments&) = delete;
  Fragments& operator=(const Fragments&) = delete;

  // kTcp: `whole` is complete, go on with it. Else what became of the fragment.
  Reason add(const Fragment& fragment, uint64_t now_ns, Datagram& whole);

  const FragmentLosses& losses() const { return losses_; }

 private:
  struct Table;

  const uint32_t max_flows_;
  const uint64_t timeout_ns_;
  FragmentLosses losses_;
  bool tried_ = false;
  std::unique_ptr<Table> table_;  // made by the first fragment, if there is an EAL
};

}  // namespace mptap::packet
