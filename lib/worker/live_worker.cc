// SPDX-License-Identifier: Apache-2.0
#include "worker/live_worker.h"

#include <algorithm>
#include <thread>

#include <rte_cycles.h>
#include <rte_pause.h>

namespace mptap::worker {
namespace {

using packet::Reason;
using packet::TcpSegment;
using subflow::FlowKey;

constexpr uint64_t kHousekeepingPerSecond = 10'000, kSnapshotsPerSecond = 10;
// Loops without a packet: pause, then nap. A nap fills an eighth of a queue at 5 Mpps.
constexpr uint32_t kNapAfter = 2000, kQuietAfter = 200;

std::vector<const Lane*> lanes_to(Fabric& fabric, unsigned self, Lane& (Fabric::*lane)(unsigned, unsigned)) {
  std::vector<const Lane*> lanes;
  for (unsigned from = 0; from < fabric.workers(); ++from) lanes.push_back(&(fabric.*lane)(from, self));
  return lanes;
}

}  // namespace

LiveWorker::LiveWorker(Fabric& fabric, unsigned self, std::unique_ptr<Engine> engine, const packet::DecodeConfig& decode,
                       const RouterOptions& router, std::vector<LiveQueue> queues)
    : fabric_(fabric),
      self_(self),
      engine_(std::move(engine)),
      router_(fabric, self, counters_, router),
      decoder_(decode),
      queues_(std::move(queues)),
      spread_(lanes_to(fabric, self, &Fabric::packets)),
      owned_(lanes_to(fabric, self, &Fabric::segments)) {
  for (size_t i = 0; i < queues_.size(); ++i) bursts_.push_back(std::make_unique<port::RxBurst>());
  engine_->set_peers(&router_);
  passes_all_ = engine_->egress() != nullptr && engine_->egress()->passes_all();
}

void LiveWorker::run(const LiveControl& control) {
  fabric_.tokens().readers().online(self_);
  uint32_t idle = 0;
  uint64_t then = rte_rdtsc();
  for (;;) {
    const auto phase = control.phase.load(std::memory_order_acquire);
    if (phase == LiveControl::Phase::kFinish) break;
    const uint64_t time = now(control);
    if (phase == LiveControl::Phase::kDrain) router_.decide_all();
    bool found = receive_owned();
    found = receive_spread() || found;
    found = messages_.run(*engine_, time) || found;
    if (phase == LiveControl::Phase::kRun)
      for (const LiveQueue& queue : queues_) found = receive(queue, time) || found;
    // All that came before has been passed on.
    fabric_.set_clock(self_, control.packet_time ? std::max(time, packet_time_) : time);

    if (engine_->egress()) engine_->egress()->set_clock(engine_->now_ns());

    const uint64_t tsc = rte_rdtsc();
    if (tsc >= next_housekeeping_) {
      next_housekeeping_ = tsc + rte_get_tsc_hz() / kHousekeepingPerSecond;
      housekeeping(control, time);
    }
    counters_.add(found ? kBusyCycles : kIdleCycles, tsc - then);
    then = tsc;
    if (found) {
      idle = 0;
      quiet_.store(false, std::memory_order_release);
      continue;
    }
    if (++idle >= kQuietAfter && phase == LiveControl::Phase::kDrain) quiet_.store(true, std::memory_order_release);
    if (idle < kNapAfter) {
      rte_pause();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  for (const auto& burst : bursts_) burst->release();
  messages_.close();
  engine_->set_horizon(UINT64_MAX);
  engine_->finish();
  snapshot(engine_->now_ns(), true);
  fabric_.tokens().readers().offline(self_);
  finished_.store(true, std::memory_order_release);
}

uint64_t LiveWorker::now(const LiveControl& control) {
  if (!control.packet_time) return clock_.now_ns();
  uint64_t latest = packet_time_;
  for (unsigned i = 0; i < fabric_.workers(); ++i) latest = std::max(latest, fabric_.clock(i));
  if (control.packet_quiet_ns == 0) return latest;
  // The clocks are ahead of the packets once time has gone on without them.
  const uint64_t packet = fabric_.latest_packet();
  const uint64_t wall = clock_.now_ns();
  if (packet > latest_) {
    latest_ = packet;
    latest_since_ = wall;
  }
  const uint64_t quiet = latest_ == 0 ? 0 : wall - latest_since_;
  return quiet < control.packet_quiet_ns ? latest : std::max(latest, latest_ + (quiet - control.packet_quiet_ns));
}

bool LiveWorker::receive(const LiveQueue& queue, uint64_t time) {
  port::RxBurst& burst = *bursts_[static_cast<size_t>(&queue - queues_.data())];
  const uint16_t count = burst.receive(*queue.port, queue.queue, time, counters_.value(kFrames) + 1);
  if (count == 0) return false;
  const bool checksums = queue.port->info().rx_checksum;
  uint64_t bytes = 0;
  for (uint16_t i = 0; i < count; ++i) {
    const packet::Frame& frame = burst.frames()[i];
    bytes += frame.wire;
    packet_time_ = std::max(packet_time_, frame.timestamp_ns);
    if (checksums) decoder_.trust_checksums(burst.checksum_good(i));
    take_frame(frame, queue.spread);
  }
  if (checksums) decoder_.trust_checksums(false);
  process();
  fabric_.set_packet_time(self_, packet_time_);
  counters_.add(kFrames, count);
  counters_.add(kFrameBytes, bytes);
  return true;
}

void LiveWorker::take_frame(const packet::Frame& frame, bool spread_all) {
  TcpSegment s;
  const Reason reason = decoder_.decode(frame, s);
  counters_.add(kDecoded[reason]);
  if (reason != Reason::kTcp) {
    if (passes_all_) {
      process();
      engine_->pass(frame);
    }
    return;
  }
  if (passes_all_) s.frame = &frame;
  // A reassembled datagram lies in the decoder's buffer until its next call.
  const bool borrowed = s.payload_size > 0 && (s.payload < frame.data || s.payload >= frame.data + frame.captured);
  // The NIC hashes what is outside of a tunnel, and fragments by their addresses.
  if (spread_all || borrowed || s.tunnel_depth > 0) {
    if (const unsigned shard = fabric_.shard(s); shard != self_) return spread(s, shard);
  }
  if (router_.route(s, FlowKey(s), 0, 0) != Router::Verdict::kOurs) return;
  add(s);
  if (borrowed) process();
}

void LiveWorker::add(const TcpSegment& s) {
  batch_[batched_++] = s;
  if (batched_ == kBatch) process();
}

void LiveWorker::process() {
  if (batched_ == 0) return;
  engine_->process(std::span<const TcpSegment>(batch_.data(), batched_));
  batched_ = 0;
}

void LiveWorker::spread(const TcpSegment& s, unsigned to) {
  Parcel* parcel = fabric_.packets(self_, to).acquire();
  if (parcel == nullptr) {
    counters_.add(kSpreadDropped);
    counters_.add(kLimitHits[Limit::kPacketLane]);
    return;
  }
  parcel->kind = Parcel::Kind::kSegment;
  parcel->hops = 0;
  parcel->load(s);
  fabric_.packets(self_, to).send(parcel);
  counters_.add(kSpread);
}

bool LiveWorker::receive_spread() {
  bool found = false;
  Parcel* parcels[kBatch];
  for (unsigned from = 0; from < fabric_.workers(); ++from) {
    Lane& lane = fabric_.packets(from, self_);
    const size_t count = lane.receive(parcels);
    for (size_t i = 0; i < count; ++i) {
      const TcpSegment& s = parcels[i]->segment;
      if (router_.route(s, FlowKey(s), 0, 0) == Router::Verdict::kOurs) add(s);
    }
    process();
    for (size_t i = 0; i < count; ++i) lane.give_back(parcels[i]);
    found = found || count != 0;
  }
  return found;
}

bool LiveWorker::receive_owned() {
  bool found = false;
  Parcel* parcels[kBatch];
  for (unsigned from = 0; from < fabric_.workers(); ++from) {
    Lane& lane = fabric_.segments(from, self_);
    const size_t count = lane.receive(parcels);
    for (size_t i = 0; i < count; ++i) {
      Parcel& parcel = *parcels[i];
      switch (parcel.kind) {
        case Parcel::Kind::kSegment: {
          const FlowKey key(parcel.segment);
          if (parcel.segment.flags & packet::kSyn) router_.welcome(key, from);
          if (!parcel.decided && router_.route(parcel.segment, key, parcel.hops, 0) != Router::Verdict::kOurs) break;
          add(parcel.segment);
          break;
        }
        case Parcel::Kind::kTokenKnown:
          process();
          engine_->surrender(parcel.token, [&](const TcpSegment& s, const FlowKey& key) { router_.redirect(s, key, from); });
          break;
        case Parcel::Kind::kFlowEnded:
          router_.forget(parcel.key);
          router_.flow_ended(parcel.key);  // it may have come here from another worker in turn
      }
    }
    process();
    for (size_t i = 0; i < count; ++i) lane.give_back(parcels[i]);
    found = found || count != 0;
  }
  return found;
}

void LiveWorker::give_rules(std::shared_ptr<const rules::Ruleset> rules, uint64_t old_ns) {
  const std::lock_guard lock(mailbox_);
  new_rules_ = std::move(rules);
  old_ns_ = old_ns;
  rules_given_.store(true, std::memory_order_release);
}

void LiveWorker::housekeeping(const LiveControl& control, uint64_t time) {
  heartbeat_.fetch_add(1, std::memory_order_relaxed);
  fabric_.tokens().readers().quiescent(self_);
  if (spread_.done()) {
    fabric_.set_passed(self_, spread_.clock_ns());
    spread_.begin(fabric_.all_clocks());
  }
  if (owned_.done()) {
    horizon_ = owned_.clock_ns();
    owned_.begin(fabric_.all_passed());
  }
  engine_->set_horizon(std::max(horizon_, time > control.stall_ns ? time - control.stall_ns : 0));
  engine_->advance(time);
  router_.advance(time);
  if (rules_given_.load(std::memory_order_acquire)) {
    const std::lock_guard lock(mailbox_);
    engine_->set_rules(std::move(new_rules_), time + old_ns_);
    rules_given_.store(false, std::memory_order_relaxed);
  }
  if (const uint64_t tsc = rte_rdtsc(); tsc >= next_snapshot_) {
    next_snapshot_ = tsc + rte_get_tsc_hz() / kSnapshotsPerSecond;
    snapshot(time);
  }
}

void LiveWorker::snapshot(uint64_t time, bool last) {
  const EngineCounters& e = engine_->counters();
  counters_.set(kInspected, e.inspected);
  counters_.set(kSpanCopies, e.span_copies);
  counters_.set(kIgnoredNoFlow, e.ignored_no_flow);
  counters_.set(kIgnoredPlainTcp, e.ignored_plain_tcp);
  counters_.set(kDroppedSubflowLimit, e.dropped_subflow_limit);
  counters_.set(kDroppedConnectionLimit, e.dropped_connection_limit);
  counters_.set(kConnectionsOpen, engine_->open_connections());
  counters_.set(kConnectionsTotal, e.connections);
  counters_.set(kSubflowsTotal, e.subflows);
  counters_.set(kJoinsParked, e.joins_parked);
  counters_.set(kAlertsSuppressed, e.alerts_suppressed);
  counters_.set(kDetectEvicted, e.detect_evicted);
  for (size_t i = 0; i < e.options.size(); ++i) counters_.set(kMptcpOptions[static_cast<mptcp::Subtype>(i)], e.options[i]);
  counters_.set(kHeldBytes, engine_->memory_held());
  counters_.set(kHistoryBytes, engine_->history_bytes());
  counters_.set(kSubflowsOpen, engine_->open_subflows());
  counters_.set(kJoinsWaiting, engine_->joins_waiting());
  counters_.set(kEmergency, engine_->emergency());
  counters_.set(kEmergencies, e.emergencies);
  counters_.set(kEmergencyClosed, e.emergency_closed);
  counters_.set(kEvictedHalfOpen, e.evicted_half_open);
  const packet::FragmentLosses fragments = decoder_.fragment_losses();
  counters_.set(kFragmentsTimedOut, fragments.timed_out);
  counters_.set(kFragmentsEvicted, fragments.evicted);
  counters_.set(kFragmentsDiscarded, fragments.discarded);
  // The engine tells of its own limits; the others are told here.
  for (auto i = static_cast<size_t>(Limit::kConnections); i < static_cast<size_t>(Limit::kTokens); ++i)
    counters_.set(kLimitHits[static_cast<Limit>(i)], e.limits[i]);
  counters_.set(kLimitHits[Limit::kFragments], fragments.evicted);
  event::EngineEvent event;
  for (auto i = static_cast<size_t>(Limit::kTokens); i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    if (watch_.look(limit, counters_.value(kLimitHits[limit]), time, event, last)) engine_->listener().on_engine(event);
  }
  if (engine_->egress() == nullptr) return;
  const egress::OutletCounts& out = engine_->egress()->counts;
  counters_.set(kEgressConnections, out.connections);
  counters_.set(kEgressMade, out.handshakes_made);
  counters_.set(kEgressRefused, out.refused);
  counters_.set(kEgressCut, out.cut);
  counters_.set(kEgressFrames, out.frames);
  counters_.set(kEgressBytes, out.bytes);
  counters_.set(kEgressPassed, out.passed);
  counters_.set(kEgressDropped, out.dropped);
  counters_.set(kEgressHoles, out.hole_bytes);
  counters_.set(kEgressFilled, out.filled_bytes);
}

}  // namespace mptap::worker
