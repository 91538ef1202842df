// SPDX-License-Identifier: Apache-2.0
#include "port/live_source.h"

#include <algorithm>
#include <thread>

#include <rte_pause.h>

namespace mptap::port {
namespace {

// Rounds over all queues without a packet: spin, then sleep.
constexpr uint32_t kSpinRounds = 64, kDrainedRounds = kSpinRounds + 20;

}  // namespace

LiveSource::LiveSource(std::vector<Port> ports) : ports_(std::move(ports)) {
  for (size_t port = 0; port < ports_.size(); ++port)
    for (uint16_t queue = 0; queue < ports_[port].queues(); ++queue) queues_.push_back({port, queue});
  files_only_ = std::all_of(ports_.begin(), ports_.end(), [](const Port& port) { return port.info().timestamps; });
}

std::span<const packet::Frame> LiveSource::poll() {
  for (size_t visited = 0; visited < queues_.size(); ++visited) {
    const Queue& queue = queues_[next_];
    next_ = (next_ + 1) % queues_.size();
    const uint16_t count = burst_.receive(ports_[queue.port], queue.queue, clock_.now_ns(), number_);
    if (count != 0) {
      number_ += count;
      idle_rounds_ = 0;
      return burst_.frames();
    }
  }
  if (++idle_rounds_ < kSpinRounds) {
    rte_pause();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return {};
}

bool LiveSource::drained() const {
  return files_only_ && idle_rounds_ >= kDrainedRounds;
}

}  // namespace mptap::port
