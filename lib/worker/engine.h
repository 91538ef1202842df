// SPDX-License-Identifier: Apache-2.0
// The main job on one core: frames in, records, alerts, anomalies and streams out. Owns the subflows and connections that it
// sees; time is the packets' time. Not thread-safe; needs the EAL.
//
//   decode -> flow table (bulk) -> Subflow::advance -> Connection::on_unit -> Stream -> Scanner -> Listener
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <absl/container/flat_hash_map.h>
#include <tl/expected.hpp>

#include "action/action.h"
#include "connection/connection.h"
#include "detect/detector.h"
#include "egress/outlet.h"
#include "event/record.h"
#include "packet/decode.h"
#include "rules/ruleset.h"
#include "rules/scanner.h"
#include "rules/threshold.h"
#include "stream/block_pool.h"
#include "subflow/flow_table.h"
#include "subflow/subflow.h"
#include "worker/bounds.h"
#include "worker/timer_wheel.h"

namespace mptap::worker {

struct EngineConfig {
  packet::DecodeConfig decode;
  subflow::TcpConfig tcp;
  connection::ConnectionConfig connection;
  detect::Options detect;
  bool inspect_tcp = true;        // follow plain TCP connections too
  bool candidates = true;         // scan the other readings of ambiguous places
  bool sha256 = false;
  bool streams = false;           // give delivered bytes to Listener::on_stream
  uint32_t max_subflows = 1u << 18;
  uint32_t max_connections = 1u << 18;
  uint64_t hold_bytes = 1ull << 30;      // reassembly memory of all connections
  uint64_t history_bytes = 256ull << 20;  // delivered bytes kept at hand, all streams together
  uint64_t half_open_ns = 30'000'000'000;
  uint64_t idle_ns = 3'600'000'000'000;
  uint64_t closed_ns = 5'000'000'000;    // how long a closed connection waits for stragglers
  uint64_t park_ns = 1'000'000'000;      // a join waits so long for its connection
  uint32_t max_parked = 4096;
  uint32_t parked_bytes = 1u << 20;      // of one parked join
  uint64_t parked_total_bytes = 64u << 20;  // of all
  // From this share of connections, subflows or hold_bytes on, until a tenth below, these take the place of the above.
  uint32_t emergency_percent = 90;
  uint64_t emergency_half_open_ns = 2'000'000'000;
  uint64_t emergency_idle_ns = 30'000'000'000;
  uint32_t alerts_per_rule = 16;         // per stream; further ones are counted
  uint32_t payload_context = 256;        // bytes before and after the match in an alert; 0: no payload
};

// What comes out. Called on the engine's thread.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_record(const event::ConnectionRecord& record) = 0;
  virtual void on_alert(const event::Alert& alert) = 0;
  virtual void on_anomaly(const event::Anomaly& anomaly) = 0;
  virtual void on_joined(const event::SubflowJoined&) {}
  // A limit was met, the emergency began or is over.
  virtual void on_engine(const event::EngineEvent&) {}
  // Only with EngineConfig::streams. offset counts bytes in holes; pieces cover bytes: who brought what.
  virtual void on_stream(const connection::Connection&, int /*direction*/, uint64_t /*offset*/,
                         std::span<const uint8_t> /*bytes*/) {}
  // Only with EngineConfig::streams: a hole was given up, the stream goes on behind it.
  virtual void on_stream_gap(const connection::Connection&, int /*direction*/, uint64_t /*offset*/, uint64_t /*size*/) {}
};

// What an engine tells where there are several; see router.h. Called on the engine's thread.
class Peers {
 public:
  virtual ~Peers() = default;
  // The connection in this slot bears the token from now on. True: connections of other workers do, too.
  virtual bool publish(const connection::Connection& c, uint32_t token, uint32_t slot, uint64_t serial) = 0;
  virtual void withdraw(uint32_t token, uint32_t slot, uint64_t serial) = 0;
  // No join of this token waits here any longer, and no group of them is left.
  virtual void unclaim(uint32_t token) = 0;
  virtual void flow_ended(const subflow::FlowKey& key) = 0;
};

// Every frame ends in exactly one of these.
struct EngineCounters {
  uint64_t frames = 0, bytes = 0;
  std::array<uint64_t, static_cast<size_t>(packet::Reason::kCount)> decode{};  // [kTcp]: the sum of the following
  uint64_t inspected = 0;          // went to a subflow
  uint64_t span_copies = 0;        // the tap's second copy of a packet
  uint64_t ignored_no_flow = 0;    // no connection that it could belong to, and nothing to begin one
  uint64_t ignored_plain_tcp = 0;  // plain TCP, not inspected by configuration
  uint64_t dropped_subflow_limit = 0, dropped_connection_limit = 0;
  // not per frame
  uint64_t connections = 0, subflows = 0, joins_verified = 0, joins_failed = 0, joins_parked = 0, alerts = 0,
           alerts_suppressed = 0, anomalies = 0, delivered_bytes = 0;
  uint64_t detect_evicted = 0;
  std::array<uint64_t, event::kSubtypes> options{};  // packets that bear each MPTCP option
  LimitHits limits{};
  uint64_t emergencies = 0;         // begun
  uint64_t emergency_closed = 0;    // connections that the shorter timeouts ended
  uint64_t evicted_half_open = 0;   // half-open connections that made room for new ones
};

class Engine final : private connection::Observer {
 public:
  static tl::expected<std::unique_ptr<Engine>, std::string> create(const EngineConfig& config,
                                                                   std::shared_ptr<const rules::Ruleset> rules,
                                                                   Listener& listener);
  ~Engine() override;

  void process(std::span<const packet::Frame> burst);
  // The same for what was decoded before; counts no frames.
  void process(std::span<const packet::TcpSegment> segments);
  // Time passes without packets.
  void advance(uint64_t now_ns);
  // The input is over: every connection is closed and its record given out, in the order of their first packets.
  void finish();

  // Holes and idle connections are judged by no later time than this: what other workers have passed on by then is here.
  void set_horizon(uint64_t horizon_ns) { horizon_ = horizon_ns; }
  // Streams that begin from now on are searched for these; those that run keep theirs until then, on packet time.
  void set_rules(std::shared_ptr<const rules::Ruleset> rules, uint64_t old_until_ns);

  // Gives every MPTCP connection out as one TCP connection; before the first packet.
  void set_egress(egress::Outlet* outlet);
  egress::Outlet* egress() const { return egress_; }
  // A frame that is no TCP segment, in its place among the segments. Without egress of everything nothing happens.
  void pass(const packet::Frame& frame);

  // Where other engines share the work; before the first packet.
  void set_peers(Peers* peers) { peers_ = peers; }
  // Joins of this token that wait here belong to another worker's connection: take gets their packets in order.
  using Taker = std::function<void(const packet::TcpSegment&, const subflow::FlowKey&)>;
  void surrender(uint32_t token, const Taker& take);
  // Joins that still wait for their connection become connections of their own.
  void unpark_all();

  // engine_action.cc. By connection id; nullptr: not here.
  const connection::Connection* find(std::string_view connection_id) const;
  // Open connections of slots [from, from + count), for lists a step at a time. Returns the slot to go on with, or 0: the end.
  size_t visit(size_t from, size_t count, const std::function<void(const connection::Connection&)>& see) const;

  const EngineCounters& counters() const { return counters_; }
  uint64_t memory_held() const { return pool_.in_use(); }
  uint64_t history_bytes() const { return history_total_; }
  const stream::WorkerAccount& holds() const { return holds_; }
  size_t open_connections() const { return connections_open_; }
  size_t open_subflows() const { return flows_.size() - free_flows_.size(); }
  size_t joins_waiting() const { return parked_count_; }
  bool emergency() const { return emergency_; }
  Listener& listener() { return listener_; }
  uint64_t now_ns() const { return now_; }

 private:
  struct ParkedPacket;
  struct Flow;      // a subflow and where it belongs
  struct Slot;      // a connection and what the worker keeps beside it
  struct Side;      // one direction's scanner and hash
  class Finder;     // what becomes of the detector's findings

  Engine(const EngineConfig& config, std::shared_ptr<const rules::Ruleset> rules, Listener& listener, subflow::FlowTable table);

  void keep_history();
  void run(std::span<const packet::TcpSegment> segments);
  void process_tcp(const packet::TcpSegment& s, const subflow::FlowKey& key, uint32_t slot);
  uint32_t begin_flow(const packet::TcpSegment& s, const mptcp::Options& o, const subflow::FlowKey& key);
  void feed(Flow& f, const packet::TcpSegment& s, const mptcp::Options& o, int direction);
  void consume(Flow& f);
  bool open_plain_or_capable(Flow& f, const packet::TcpSegment& s, const mptcp::Options& o, bool offered);
  // engine_egress.cc
  bool passes_all() const { return egress_ && egress_->passes_all(); }
  void pass(const packet::TcpSegment& s, const mptcp::Options& o);
  void egress_begin(Slot& slot, bool seen);
  void egress_packet(Flow& f, const packet::TcpSegment& s, const mptcp::Options& o, int direction);
  void egress_settle(Slot& slot);
  void egress_finish(Slot& slot);
  // engine_join.cc
  bool begin_join(Flow& f, const packet::TcpSegment& s, const mptcp::Options& o);
  bool attach(Flow& f, Slot& slot, const mptcp::Join& syn, uint64_t now);
  Slot* orphan_group(uint32_t token, uint64_t now);
  Slot* bearer_of(uint32_t token, const Flow& f, bool last_chance);
  void park(Flow& f, const packet::TcpSegment& s, int direction);
  void unpark(Flow& f, Slot& slot);
  void unpark_alone(Flow& f);
  void forget_parked(Flow& f);
  void resolve_tokens();
  void give_up_oldest_parked();
  // engine_lifecycle.cc
  Slot* new_slot(uint64_t now);
  void name_connection(Slot& slot);
  static uint64_t name_of(const packet::Endpoint& client, const packet::Endpoint& server, uint64_t start_ns);
  static std::string id_text(uint64_t name);
  static uint64_t flow_id(uint64_t name) { return name >> 11 > 0 ? name >> 11 : 1; }
  Slot* slot_of(const connection::Connection& c);
  void flush_dirty();
  bool is_waiting(const Slot& s) const;
  uint64_t patience(const Slot& s) const;
  void arm(Slot& s);
  void fire(Timer& timer);
  // gone: the worker that passes its packets on need not do so any longer.
  void end_flow(Flow& f, bool gone = true);
  void emit_record(Slot& s, bool timed_out);
  void free_slot(Slot& s);
  // engine_limits.cc
  void hit(Limit limit) { ++counters_.limits[static_cast<size_t>(limit)]; }
  void refuse(Limit limit, event::AnomalyType type, const packet::Endpoint& src, const packet::Endpoint& dst, uint64_t number);
  void list_half_open(Slot& s);
  void unlist_half_open(Slot& s);
  bool evict_half_open();
  bool near_limit(uint32_t percent) const;
  void look_at_limits(bool last = false);
  void sweep(uint64_t elapsed_ns);
  // engine_inspect.cc
  void open_scanner(Slot& s, int direction, uint64_t offset);
  void flush(Slot& s, int direction);
  void finish_scan(Slot& slot, int direction);
  void trim_histories();
  void report_hits(Slot& s, int direction, bool candidate);
  void describe_carriers(const stream::Stream& st, const rules::Hit& hit, event::Alert& alert) const;
  static std::string finish_sha(Side& side);
  // engine_detect.cc
  void count_options(Slot& s, const connection::Member& m, uint32_t present);
  detect::Watch& watch(Slot& s);
  void watch_network(Slot& s, const connection::Member& m);
  void watch_join(Slot& s, const Flow& f, uint64_t now);
  void watch_paths(Slot& s);
  void watch_visibility(Slot& s, bool at_end);
  void tell_joined(const connection::Connection& c, uint64_t ns, bool started);  // engine_join.cc

  // connection::Observer
  void on_anomaly(connection::Connection& c, event::AnomalyType type, const connection::Member* member,
                  std::optional<int> direction, std::initializer_list<connection::Number> numbers,
                  std::string_view detail) override;
  void on_stir(connection::Connection& c) override;
  void on_gap(connection::Connection& c, int direction, uint64_t offset, uint64_t size) override;
  void on_alternative(connection::Connection& c, int direction, uint64_t offset, std::span<const uint8_t> bytes) override;
  void on_delivered(connection::Connection& c, int direction, uint64_t offset, std::span<const uint8_t> bytes) override;
  void on_acknowledged(connection::Connection& c, int direction, uint64_t offset) override;
  void on_token(connection::Connection& c, uint32_t token) override;
  void on_member(connection::Connection& c, const connection::Member& member) override;
  void on_address(connection::Connection& c, const connection::Member& member, int direction, const mptcp::Options& options,
                  uint64_t now_ns) override;
  void on_change(connection::Connection& c) override;

  EngineConfig config_;
  std::shared_ptr<const rules::Ruleset> rules_;
  Listener& listener_;
  Peers* peers_ = nullptr;
  egress::Outlet* egress_ = nullptr;
  stream::BlockPool pool_;
  stream::WorkerAccount holds_;
  packet::Decoder decoder_;
  subflow::FlowTable table_;
  TimerWheel wheel_;
  EngineCounters counters_;
  uint64_t now_ = 0, flushed_ns_ = 0;
  uint64_t horizon_ = UINT64_MAX;
  uint64_t old_rules_until_ = 0;
  uint64_t serial_ = 0;
  size_t connections_open_ = 0;
  std::vector<std::unique_ptr<Flow>> flows_;
  std::vector<uint32_t> free_flows_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<uint32_t> dirty_;
  std::vector<uint32_t> tokens_due_;  // tokens that became known in this packet
  absl::flat_hash_map<uint64_t, uint32_t> named_;                 // connection id -> slot
  absl::flat_hash_map<uint32_t, std::vector<uint32_t>> tokens_;   // token -> connections, newest last
  absl::flat_hash_map<uint32_t, uint32_t> orphans_;               // token -> group of joins without a connection
  absl::flat_hash_map<uint32_t, std::vector<uint32_t>> parked_;   // token -> flows that wait
  std::deque<std::pair<uint32_t, uint64_t>> park_order_;          // flow, its Parked::serial; those that waited longest first
  uint32_t parked_count_ = 0;
  uint64_t parked_bytes_ = 0, park_serial_ = 0;
  uint32_t oldest_half_open_ = ~0u, newest_half_open_ = ~0u;      // slots
  LimitWatch watch_;
  uint64_t next_look_ns_ = 0, looked_ns_ = 0;
  uint64_t refusals_told_until_ns_ = 0;
  uint32_t refusals_told_ = 0;
  size_t sweep_at_ = 0;
  bool emergency_ = false;
  subflow::Outbox outbox_;
  mptcp::Options options_;
  std::unique_ptr<rules::Scratch> scratch_;
  rules::Thresholds thresholds_;
  detect::Detector detector_;
  std::vector<detect::Use> uses_;
  std::vector<rules::Hit> hits_;
  std::vector<uint8_t> candidate_bytes_;
  struct HistoryUse {
    uint32_t slot;
    uint64_t serial, stamp;
  };
  std::deque<HistoryUse> history_order_;  // by last delivery
  uint64_t history_total_ = 0;
};

}  // namespace mptap::worker
