// SPDX-License-Identifier: Apache-2.0
#include "worker/ends.h"

#include "worker/live_worker.h"

namespace mptap::worker {

using packet::Reason;

PacketEnds packet_ends(std::span<const Counters* const> workers) {
  PacketEnds ends;
  const auto add = [&](const char* name, CounterId id) { ends.emplace_back(name, sum(workers, id)); };
  add("inspected", kInspected);
  add("span_copy", kSpanCopies);
  add("ignored_no_flow", kIgnoredNoFlow);
  add("ignored_plain_tcp", kIgnoredPlainTcp);
  add("dropped_subflow_limit", kDroppedSubflowLimit);
  add("dropped_connection_limit", kDroppedConnectionLimit);
  add("dropped_foreign_limit", kForeignDropped);
  add("dropped_handoff_full", kHandoffDropped);
  add("dropped_spread_full", kSpreadDropped);
  for (size_t r = 0; r < static_cast<size_t>(Reason::kCount); ++r) {
    const auto reason = static_cast<Reason>(r);
    if (reason != Reason::kTcp) add(packet::reason_name(reason), kDecoded[reason]);
  }
  return ends;
}

uint64_t total(const PacketEnds& ends) {
  uint64_t sum = 0;
  for (const auto& [name, count] : ends) sum += count;
  return sum;
}

uint64_t left_in_lanes(Fabric& fabric) {
  uint64_t left = 0;
  const auto drain = [&left](Lane& lane) {
    Parcel* parcels[32];
    while (const size_t count = lane.receive(parcels)) {
      for (size_t i = 0; i < count; ++i) {
        left += parcels[i]->kind == Parcel::Kind::kSegment;
        lane.give_back(parcels[i]);
      }
    }
  };
  for (unsigned from = 0; from < fabric.workers(); ++from) {
    for (unsigned to = 0; to < fabric.workers(); ++to) {
      drain(fabric.segments(from, to));
      drain(fabric.packets(from, to));
    }
  }
  return left;
}

}  // namespace mptap::worker
