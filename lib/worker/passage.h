// SPDX-License-Identifier: Apache-2.0
// Live workers: up to which time everything has come through a stage of lanes. Whoever sends into a lane publishes a clock after
// it; a receiver reads the clocks, remembers how much lies in its lanes then, and once that much has been taken out, whatever was
// sent before those clocks has been processed. A deep lane needs several loops for it, and nobody waits meanwhile.
// One thread's.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "worker/lane.h"

namespace mptap::worker {

class Passage {
 public:
  explicit Passage(std::vector<const Lane*> lanes) : lanes_(std::move(lanes)), marks_(lanes_.size()) {}

  // clock: of the senders, read before this call.
  void begin(uint64_t clock_ns) {
    clock_ns_ = clock_ns;
    std::transform(lanes_.begin(), lanes_.end(), marks_.begin(), [](const Lane* lane) { return lane->sent(); });
  }
  // All that lay there has been taken out.
  bool done() const {
    for (size_t i = 0; i < lanes_.size(); ++i)
      if (lanes_[i]->received() < marks_[i]) return false;
    return true;
  }
  uint64_t clock_ns() const { return clock_ns_; }

 private:
  std::vector<const Lane*> lanes_;
  std::vector<uint64_t> marks_;
  uint64_t clock_ns_ = 0;
};

}  // namespace mptap::worker
