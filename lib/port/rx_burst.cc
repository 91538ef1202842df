// SPDX-License-Identifier: Apache-2.0
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include "port/port.h"

namespace mptap::port {
namespace {

// net_pcap writes the time of the capture, in microseconds, into a field that it registers.
uint64_t capture_time_ns(const rte_mbuf* m, uint64_t otherwise) {
  static const int offset = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, nullptr);
  if (offset < 0) return otherwise;
  return *RTE_MBUF_DYNFIELD(m, offset, const rte_mbuf_timestamp_t*) * 1000;
}

}  // namespace

RxBurst::RxBurst() = default;
RxBurst::~RxBurst() {
  release();
}

void RxBurst::release() {
  if (count_ != 0) rte_pktmbuf_free_bulk(mbufs_.data(), count_);
  count_ = 0;
}

uint16_t RxBurst::receive(const Port& port, uint16_t queue, uint64_t now_ns, uint64_t first_number) {
  release();
  count_ = rte_eth_rx_burst(port.id(), queue, mbufs_.data(), kSize);
  const bool timestamps = port.info().timestamps;
  for (uint16_t i = 0; i < count_; ++i) {
    rte_mbuf* m = mbufs_[i];
    packet::Frame& frame = frames_[i];
    frame.data = m->nb_segs == 1 ? rte_pktmbuf_mtod(m, const uint8_t*) : contiguous(m, i);
    frame.captured = frame.wire = m->pkt_len;
    frame.timestamp_ns = timestamps ? capture_time_ns(m, now_ns) : now_ns;
    frame.number = first_number + i;
    if (i + 1 < count_) rte_prefetch0(rte_pktmbuf_mtod(mbufs_[i + 1], void*));
  }
  return count_;
}

bool RxBurst::checksum_good(size_t i) const {
  return (mbufs_[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

rte_mbuf* RxBurst::take(size_t i) {
  return std::exchange(mbufs_[i], nullptr);
}

const uint8_t* RxBurst::contiguous(rte_mbuf* chain, size_t i) {
  std::vector<uint8_t>& copy = copies_[i];
  if (copy.size() < chain->pkt_len) copy.resize(chain->pkt_len);
  // Copies only where the range spans mbufs, which it does.
  return static_cast<const uint8_t*>(rte_pktmbuf_read(chain, 0, chain->pkt_len, copy.data()));
}

}  // namespace mptap::port
