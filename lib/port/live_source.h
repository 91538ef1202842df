// SPDX-License-Identifier: Apache-2.0
// All queues of some ports, polled in turn by one thread: what `mptap read --port` reads from.
//
//   port::LiveSource source(std::move(ports));
//   while (!stop) {
//     for (const packet::Frame& frame : source.poll()) engine.process(frame);
//     engine.advance(source.now_ns());
//   }
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "port/port.h"
#include "port/wall_clock.h"

namespace mptap::port {

class LiveSource {
 public:
  explicit LiveSource(std::vector<Port> ports);

  // The next burst, valid until the next call. Where no queue has a packet: nothing, after a nap of at most 100 µs, so that an
  // idle reader does not burn its core.
  std::span<const packet::Frame> poll();
  // Of the last burst: the device found the TCP checksum of frame i right.
  bool checksum_good(size_t i) const { return burst_.checksum_good(i); }

  // True when every port is a capture file (net_pcap,rx_pcap=…) that has had nothing more for a while.
  bool drained() const;

  uint64_t now_ns() { return clock_.now_ns(); }
  const std::vector<Port>& ports() const { return ports_; }

 private:
  struct Queue {
    size_t port;
    uint16_t queue;
  };

  std::vector<Port> ports_;
  std::vector<Queue> queues_;
  size_t next_ = 0;
  WallClock clock_;
  RxBurst burst_;
  uint64_t number_ = 1;
  uint32_t idle_rounds_ = 0;
  bool files_only_ = true;
};

}  // namespace mptap::port
