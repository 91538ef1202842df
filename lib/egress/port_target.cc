// SPDX-License-Identifier: Apache-2.0
#include "egress/port_target.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

namespace mptap::egress {

PortTarget::~PortTarget() {
  rte_pktmbuf_free_bulk(waiting_.data(), count_);
}

void PortTarget::send() {
  const uint16_t sent = rte_eth_tx_burst(port_.id(), 0, waiting_.data(), count_);
  count_ = static_cast<uint16_t>(count_ - sent);
  std::copy(waiting_.begin() + sent, waiting_.begin() + sent + count_, waiting_.begin());
}

bool PortTarget::put(const packet::Frame& frame) {
  if (count_ == kBurst) send();
  if (count_ == kBurst) return false;
  rte_mbuf* m = rte_pktmbuf_alloc(port_.pool());
  if (m == nullptr) {
    send();  // some drivers give buffers back only while they send
    return false;
  }
  if (frame.captured > rte_pktmbuf_tailroom(m)) {
    rte_pktmbuf_free(m);
    ++lost_;
    error_ = fmt::format("port {}: a frame of {} bytes is larger than the port's buffers", port_.info().name, frame.captured);
    return true;
  }
  std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(frame.captured)), frame.data, frame.captured);
  waiting_[count_++] = m;
  return true;
}

void PortTarget::flush() {
  if (count_ > 0) send();
}

}  // namespace mptap::egress
