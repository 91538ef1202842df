// SPDX-License-Identifier: Apache-2.0
// The poll loop of one core: packets from its queue of each port and from the other workers, to its engine or onwards. Nothing
// in it waits for anybody; what is not per packet is in housekeeping(), every 100 µs.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "packet/decode.h"
#include "port/port.h"
#include "port/wall_clock.h"
#include "worker/counters.h"
#include "worker/engine.h"
#include "worker/fabric.h"
#include "worker/message.h"
#include "worker/passage.h"
#include "worker/router.h"

namespace mptap::worker {

inline const Counter kFrames{"frames_total", "frames received"};
inline const Counter kFrameBytes{"frame_bytes_total", "bytes of them on the wire"};
inline const CounterFamily<packet::Reason, static_cast<size_t>(packet::Reason::kCount)> kDecoded{
    "decoded_total", "frames by what the decoder made of them; tcp is what went on", "reason", packet::reason_name};
inline const Counter kSpread{"spread_total",
                             "packets passed on to the worker of their shard: ports without RSS, tunnels, fragments"};
inline const Counter kSpreadDropped{"spread_dropped_total", "packets dropped because the lane to their shard's worker was full"};
inline const Counter kInspected{"inspected_total", "packets that went to a subflow"};
inline const Counter kSpanCopies{"span_copies_total", "second copies of packets that the tap delivered twice"};
inline const Counter kIgnoredNoFlow{"ignored_no_flow_total", "packets that belong to nothing and begin nothing"};
inline const Counter kIgnoredPlainTcp{"ignored_plain_tcp_total", "packets of plain TCP, which is not inspected"};
inline const Counter kDroppedSubflowLimit{"dropped_subflow_limit_total", "packets that would begin a subflow beyond the limit"};
inline const Counter kDroppedConnectionLimit{"dropped_connection_limit_total",
                                             "packets that would begin a connection beyond the limit"};
inline const Counter kConnectionsOpen{"connections_open", "connections followed now", Metric::kGauge};
inline const Counter kConnectionsTotal{"connections_total", "connections followed so far"};
inline const Counter kSubflowsTotal{"subflows_total", "subflows followed so far"};
inline const Counter kJoinsParked{"joins_parked_total", "joins that waited for their connection"};
inline const Counter kEmergency{"emergency", "1 while the emergency timeouts hold, of each worker", Metric::kGauge};
inline const Counter kEmergencies{"emergencies_total", "times that a limit came near and the emergency timeouts began"};
inline const Counter kEmergencyClosed{"emergency_closed_total", "connections that the emergency timeouts ended"};
inline const Counter kEvictedHalfOpen{"evicted_half_open_total", "half-open connections that made room for new ones"};
inline const Counter kFragmentsTimedOut{"fragments_timed_out_total", "datagrams whose missing fragments never came"};
inline const Counter kFragmentsEvicted{"fragments_evicted_total",
                                       "datagrams dropped, the oldest first, to make room for new ones"};
inline const Counter kFragmentsDiscarded{"fragments_discarded_total",
                                         "datagrams dropped for fragments that overlap or do not fit"};
inline const Counter kAlertsSuppressed{"alerts_suppressed_total", "alerts beyond the limit of one rule in one stream"};
inline const Counter kDetectEvicted{"detect_evicted_total", "addresses whose joins were counted, and that gave way to others"};
inline constexpr const char* subtype_name(mptcp::Subtype subtype) {
  return event::kSubtypeNames[static_cast<size_t>(subtype)];
}
inline const CounterFamily<mptcp::Subtype, event::kSubtypes> kMptcpOptions{
    "mptcp_options_total", "packets of subflows that bear an MPTCP option, by its subtype", "subtype", subtype_name};
inline const Counter kHeldBytes{"held_bytes", "memory of bytes that wait for others", Metric::kGauge};
inline const Counter kHistoryBytes{"history_bytes", "memory of delivered bytes that rules may look back at", Metric::kGauge};
inline const Counter kSubflowsOpen{"subflows_open", "subflows followed now", Metric::kGauge};
inline const Counter kJoinsWaiting{"joins_waiting", "joins that wait for their connection now", Metric::kGauge};
inline const Counter kEgressConnections{"egress_connections_total", "connections given out as plain TCP"};
inline const Counter kEgressMade{"egress_handshakes_made_total", "of them: those whose handshake the tap did not see"};
inline const Counter kEgressRefused{"egress_refused_total",
                                    "connections not given out because the egress queue was three quarters full"};
inline const Counter kEgressCut{"egress_cut_total", "connections given up on the egress because its queue was full"};
inline const Counter kEgressFrames{"egress_frames_total", "frames to the egress, passed ones included"};
inline const Counter kEgressBytes{"egress_bytes_total", "bytes of them"};
inline const Counter kEgressPassed{"egress_passed_total", "frames passed to the egress unchanged"};
inline const Counter kEgressDropped{"egress_dropped_total", "frames of no connection that the egress had no room for"};
inline const Counter kEgressHoles{"egress_hole_bytes_total",
                                  "stream bytes that are missing on the egress because they were not seen"};
inline const Counter kEgressFilled{"egress_filled_bytes_total", "stream bytes that were not seen, filled on the egress"};
inline const Counter kBusyCycles{"busy_cycles_total", "TSC cycles of loops that found a packet"};
inline const Counter kIdleCycles{"idle_cycles_total", "TSC cycles of loops that found none"};

// A queue of a port, and whether its packets must be sorted to their shards in software.
struct LiveQueue {
  const port::Port* port = nullptr;
  uint16_t queue = 0;
  bool spread = false;
};

// What the main thread tells all workers. One object for all.
struct LiveControl {
  enum class Phase : uint8_t { kRun, kDrain, kFinish };
  std::atomic<Phase> phase{Phase::kRun};
  // Ports that bear times of their own (captures played back) drive the clock.
  bool packet_time = false;
  // Packet time goes on by the wall clock when no packet has come for so long: a capture's end must not stop what waits for time.
  // 0: it stands still.
  uint64_t packet_quiet_ns = 0;
  uint64_t stall_ns = 2'000'000'000;  // a worker that is later than this is waited for no longer
};

class LiveWorker {
 public:
  LiveWorker(Fabric& fabric, unsigned self, std::unique_ptr<Engine> engine, const packet::DecodeConfig& decode,
             const RouterOptions& router, std::vector<LiveQueue> queues);

  // Until phase kFinish; then every connection is closed.
  void run(const LiveControl& control);

  // Any thread.
  const Counters& counters() const { return counters_; }
  // The worker's own thread: what its engine tells is counted beside the rest.
  Counters& own_counters() { return counters_; }
  // Grows while the loop runs.
  uint64_t heartbeat() const { return heartbeat_.load(std::memory_order_relaxed); }
  // Draining, and nothing came for a while.
  bool quiet() const { return quiet_.load(std::memory_order_acquire); }
  bool finished() const { return finished_.load(std::memory_order_acquire); }
  // Taken over within a millisecond. old_ns: how long streams that run keep their rules.
  void give_rules(std::shared_ptr<const rules::Ruleset> rules, uint64_t old_ns);
  // For any thread; see message.h.
  Mailbox& mailbox() { return messages_; }

 private:
  static constexpr size_t kBatch = 32;

  bool receive(const LiveQueue& queue, uint64_t now);
  void take_frame(const packet::Frame& frame, bool spread);
  bool receive_spread();
  bool receive_owned();
  void add(const packet::TcpSegment& s);
  void process();
  void spread(const packet::TcpSegment& s, unsigned to);
  uint64_t now(const LiveControl& control);
  void housekeeping(const LiveControl& control, uint64_t now);
  void snapshot(uint64_t now, bool last = false);

  Fabric& fabric_;
  const unsigned self_;
  std::unique_ptr<Engine> engine_;
  Counters counters_;
  Router router_;
  packet::Decoder decoder_;
  const std::vector<LiveQueue> queues_;
  std::vector<std::unique_ptr<port::RxBurst>> bursts_;
  port::WallClock clock_;
  uint64_t packet_time_ = 0;
  uint64_t latest_ = 0, latest_since_ = 0;  // of the newest packet of all workers; when it came, by the wall clock
  bool passes_all_ = false;  // to the egress
  std::array<packet::TcpSegment, kBatch> batch_;
  size_t batched_ = 0;
  uint64_t next_housekeeping_ = 0, next_snapshot_ = 0;
  std::atomic<uint64_t> heartbeat_{0};
  std::atomic<bool> quiet_{false}, finished_{false};
  Passage spread_, owned_;  // of the lanes that bring packets, and segments
  uint64_t horizon_ = 0;  // what was received before it, by anyone, has been processed
  LimitWatch watch_;

  Mailbox messages_;
  std::mutex mailbox_;  // taken by the worker only when rules_given_ says so
  std::shared_ptr<const rules::Ruleset> new_rules_;
  uint64_t old_ns_ = 0;
  std::atomic<bool> rules_given_{false};
};

}  // namespace mptap::worker
