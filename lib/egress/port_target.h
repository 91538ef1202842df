// SPDX-License-Identifier: Apache-2.0
// A DPDK port: a second NIC, net_tap, net_af_packet on a veth, net_ring. Uses the port's first transmit queue, which nobody else
// may. Frames are copied into the port's own buffers.
#pragma once

#include <array>

#include "egress/target.h"
#include "port/port.h"

namespace mptap::egress {

class PortTarget final : public Target {
 public:
  // The port must have been opened with a transmit queue, and must outlive this.
  explicit PortTarget(const port::Port& port) : port_(port) {}
  ~PortTarget() override;
  bool put(const packet::Frame& frame) override;
  void flush() override;

 private:
  static constexpr uint16_t kBurst = 32;
  void send();

  const port::Port& port_;
  std::array<rte_mbuf*, kBurst> waiting_{};
  uint16_t count_ = 0;
};

}  // namespace mptap::egress
