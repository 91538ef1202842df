// SPDX-License-Identifier: Apache-2.0
#include "worker/fabric.h"

#include <algorithm>

namespace mptap::worker {

Fabric::Fabric(const FabricOptions& options)
    : options_(options),
      shards_(options.shards),
      tokens_(options.tokens, options.workers),
      marks_(std::make_unique<Mark[]>(options.workers)),
      times_(std::make_unique<std::atomic<uint64_t>[]>(kWindow)) {
  // Like the redirection table of a NIC with as many queues.
  if (shards_.empty()) shards_ = port::uniform_table(128, static_cast<uint16_t>(options.workers));
  for (unsigned i = 0; i < options.workers * options.workers; ++i) {
    segments_.push_back(std::make_unique<Lane>(options.segments));
    packets_.push_back(std::make_unique<Lane>(options.packets));
  }
}

bool Fabric::empty() const {
  const auto none = [](const auto& lanes) {
    return std::all_of(lanes.begin(), lanes.end(), [](const auto& lane) { return lane->depth() == 0; });
  };
  return none(segments_) && none(packets_);
}

}  // namespace mptap::worker
