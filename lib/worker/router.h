// SPDX-License-Identifier: Apache-2.0
// Whose is a packet? RSS brings a subflow to a worker; its connection belongs to the worker that saw MP_CAPABLE. A join's SYN
// asks the token map, and from then on the subflow's packets go to that owner, by a table of foreign subflows. One per worker.
//
//   one owner                  the subflow is the owner's
//   several, on other workers  its packets are held until the SYN/ACK's HMAC shows whose it is
//   none                       the first to claim the token owns its joins. When the connection turns up elsewhere, it takes the
//                              claim's place and tells the claimer, who surrenders what still waits
//
// The router is also what its engine tells about tokens and ended subflows (Peers).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <absl/container/flat_hash_map.h>

#include "mptcp/option.h"
#include "worker/bounds.h"
#include "worker/counters.h"
#include "worker/engine.h"
#include "worker/fabric.h"

namespace mptap::worker {

inline const Counter kHandedOff{"handed_off_total", "packets passed on to the worker that owns their connection"};
inline const Counter kHandoffDropped{"handoff_dropped_total", "packets dropped because the lane to their owner was full"};
inline const Counter kHandoffLooped{"handoff_looped_total", "packets that were passed on too often, and stayed"};
inline const Counter kForeignSubflows{"foreign_subflows", "subflows whose connection another worker owns", Metric::kGauge};
inline const Counter kForeignDropped{"foreign_dropped_total",
                                     "packets of joins dropped because the table of foreign subflows is full"};
inline const Counter kJoinsHeld{"joins_held_total", "joins whose token several workers' connections bear"};

struct RouterOptions {
  size_t foreign = 1 << 17;             // entries
  uint64_t idle_ns = 3'600'000'000'000;  // of a foreign subflow
  uint64_t hold_ns = 3'000'000'000;      // for the SYN/ACK that decides
  uint32_t max_held = 4096;              // joins that wait for it
  uint64_t held_bytes = 64u << 20;       // of them all
};

class Router final : public Peers {
 public:
  Router(Fabric& fabric, unsigned self, Counters& counters, const RouterOptions& options = {});
  ~Router() override;

  enum class Verdict : uint8_t {
    kOurs,   // for this worker's engine
    kGone,   // sent, held or dropped; counted
    kStall,  // ordered only: not now; ask again later
  };
  // hops: workers that passed it on before. order: of the packet, where that matters.
  Verdict route(const packet::TcpSegment& s, const subflow::FlowKey& key, unsigned hops, uint64_t order);

  // A subflow that waited here belongs to that worker's connection.
  void redirect(const packet::TcpSegment& s, const subflow::FlowKey& key, unsigned owner);
  // A packet of this subflow came from there, and is followed here: that worker is told when the subflow ends.
  void welcome(const subflow::FlowKey& key, unsigned origin);
  void forget(const subflow::FlowKey& key);  // its owner says so
  void advance(uint64_t now_ns);
  // The end is near: what is held goes to whom it seems to belong.
  void decide_all();
  // Tells other workers what did not fit before.
  void flush();

  // Peers
  bool publish(const connection::Connection& c, uint32_t token, uint32_t slot, uint64_t serial) override;
  void withdraw(uint32_t token, uint32_t slot, uint64_t serial) override;
  void unclaim(uint32_t token) override;
  void flow_ended(const subflow::FlowKey& key) override;

 private:
  struct Foreign;
  struct KeyHash {
    size_t operator()(const subflow::FlowKey& key) const { return key.hash * 0x9e3779b97f4a7c15ull; }
  };
  struct KeyEqual {
    bool operator()(const subflow::FlowKey& a, const subflow::FlowKey& b) const { return a.bytes == b.bytes && a.v6 == b.v6; }
  };
  struct Message {
    unsigned to;
    Parcel::Kind kind;
    uint32_t token;
    subflow::FlowKey key;
  };

  Verdict route_join(const packet::TcpSegment& s, const subflow::FlowKey& key, unsigned hops, uint64_t order);
  Verdict send(unsigned to, const packet::TcpSegment& s, unsigned hops, uint64_t order, bool decided = false);
  Foreign* add(const subflow::FlowKey& key, unsigned owner, uint64_t now);
  void hold(Foreign& f, const packet::TcpSegment& s, unsigned hops, uint64_t order);
  void decide(Foreign& f, unsigned owner);
  unsigned likely_owner(const Foreign& f) const;
  void hit(Limit limit) { counters_.add(kLimitHits[limit]); }
  void tell(const Message& message);
  connection::Handle handle(uint32_t slot, uint64_t serial) const {
    return {.slot = slot, .generation = static_cast<uint32_t>(serial), .worker = static_cast<uint16_t>(self_)};
  }

  Fabric& fabric_;
  const unsigned self_;
  Counters& counters_;
  const RouterOptions options_;
  TimerWheel wheel_;
  absl::flat_hash_map<subflow::FlowKey, std::unique_ptr<Foreign>, KeyHash, KeyEqual> foreign_;
  absl::flat_hash_map<subflow::FlowKey, uint16_t, KeyHash, KeyEqual> guests_;  // followed here -> who sends them
  std::vector<Message> untold_;
  uint32_t held_count_ = 0;  // undecided
  uint64_t held_bytes_ = 0;
};

}  // namespace mptap::worker
