// SPDX-License-Identifier: Apache-2.0
// Live workers without ports: a feeder hands each frame to the worker of its shard, as a port without RSS does. Time is the
// frames'. A worker that is not started stands still.
//
//   Crew crew({.workers = 4});
//   crew.start();
//   for (const Sent& s : conversation.wire) crew.feed(s);
//   crew.finish();
//   crew.outcome(), crew.count(worker::kHandedOff), crew.ends() …
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "drive/drive.h"
#include "traffic/conversation.h"
#include "worker/ends.h"
#include "worker/live_worker.h"

namespace mptap::test {

struct CrewOptions {
  unsigned workers = 2;
  worker::FabricOptions fabric;  // workers and, where shards is empty, those are filled in
  worker::EngineConfig engine;
  worker::RouterOptions router;
  std::string rules;
  bool streams = true;     // keep all delivered bytes
  bool wait = true;        // a full lane makes the feeder wait; else the frame is dropped and counted
  uint64_t stall_ns = ~0ull >> 1;
  // Gets the records, on the workers' threads; else they are kept for outcome().
  std::function<void(const event::ConnectionRecord&)> on_record;
};

class Crew {
 public:
  explicit Crew(const CrewOptions& options);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void start();  // all that stand still
  void start(unsigned worker);
  void feed(const Sent& s) { feed(s.frame, s.ns); }
  void feed(const std::vector<Sent>& wire);
  void feed(const Bytes& frame, uint64_t ns);
  // The worker stands still at the next stream bytes or record, until resume(). Needs streams.
  void pause(unsigned worker);
  void resume(unsigned worker);
  void wait_for_pause(unsigned worker);  // until it does
  // Where it sends and receives, a flow falls to this worker.
  unsigned shard(const packet::Endpoint& a, const packet::Endpoint& b) const;
  // The time without a frame.
  void pass(uint64_t ns) { fabric_->set_clock(options_.workers, ns); }
  // Until those that run have taken all that there is and gone through their housekeeping.
  void settle();
  void give_rules(const std::string& rules);
  void finish();

  worker::Fabric& fabric() { return *fabric_; }
  uint64_t fed() const { return fed_; }
  uint64_t count(worker::CounterId id) const { return worker::sum(counters_, id); }
  // After finish(): what is wrong with the balance, in words; empty: each frame fed has one end.
  std::string imbalance();
  Outcome outcome();  // of all workers together
  std::string hits() const;  // limits that were met, "tokens:3 segments:1"

 private:
  class Keeper;

  CrewOptions options_;
  std::unique_ptr<worker::Fabric> fabric_;
  worker::LiveControl control_;
  std::vector<std::unique_ptr<Keeper>> keepers_;
  std::vector<std::unique_ptr<worker::LiveWorker>> workers_;
  std::vector<const worker::Counters*> counters_;
  std::vector<std::thread> threads_;
  packet::Decoder decoder_;
  uint64_t fed_ = 0, not_tcp_ = 0, dropped_ = 0, latest_ = 0;
  bool finished_ = false;
};

// One after the other in time, whoever sent them.
std::vector<Sent> merge(const std::vector<const Conversation*>& conversations);

}  // namespace mptap::test
