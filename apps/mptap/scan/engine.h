// SPDX-License-Identifier: Apache-2.0
// The scan itself, without a network: which segment goes out next, what an incoming one means, when to try again, what is
// finished. The caller brings packets, time and pace.
//
// An answer is known to be one by its numbers alone (validator.h); what is kept per target in flight is how far its questions
// have come. Memory goes with rate times timeout, not with the number of targets.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "apps/mptap/scan/icmp.h"
#include "apps/mptap/scan/judge.h"
#include "apps/mptap/scan/permutation.h"
#include "apps/mptap/scan/targets.h"
#include "apps/mptap/scan/validator.h"
#include "packet/decode.h"

namespace mptap::scan {

struct EngineConfig {
  TargetSet targets;
  std::vector<uint16_t> ports;
  PortRange source_ports;
  Validator::Key key{};
  uint64_t seed = 0;  // of the order
  Policy policy;
  unsigned retries = 1;
  uint64_t timeout_ns = 2'000'000'000;
  size_t most_in_flight = 1'000'000;
};

// A TCP segment to send; addresses of our own and lower layers are the sender's business.
struct Outgoing {
  packet::Endpoint target;
  uint16_t source_port = 0;
  uint32_t seq = 0, ack = 0;
  uint8_t flags = 0, ttl = 64;
  uint8_t options_size = 0;
  std::array<uint8_t, 40> options{};
  std::optional<Kind> probe;  // an answer is awaited from when this has gone out
  std::span<const uint8_t> option_bytes() const { return {options.data(), options_size}; }
};

struct Result {
  packet::Endpoint target;
  Verdict verdict = Verdict::kFiltered;
  std::string reason;
  Evidence evidence;
};

// From where a scan goes on: all below `next` is finished, and so is each of `done`.
struct Checkpoint {
  uint64_t next = 0;
  std::vector<uint64_t> done;
};

struct Progress {
  uint64_t total = 0, started = 0, finished = 0;  // targets: address and port
  uint64_t late = 0;                              // valid answers to probes already given up, or repeated
  std::array<uint64_t, kVerdicts> verdicts{};
  bool complete() const { return finished == total; }
};

class Engine {
 public:
  using Report = std::function<void(const Result&)>;

  Engine(EngineConfig config, Report report);
  void resume(const Checkpoint& from);

  // The next segment to send; nullopt when there is none for now.
  std::optional<Outgoing> next();
  void sent(const Outgoing& segment, uint64_t now_ns);
  // It cannot be sent: no route, no neighbour.
  void unreachable(const Outgoing& segment, const std::string& why, uint64_t now_ns);

  void on_segment(const packet::TcpSegment& segment, uint64_t now_ns);
  void on_icmp(const IcmpError& error, uint64_t now_ns);
  void expire(uint64_t now_ns);

  void stop() { stopping_ = true; }  // finish what is in flight, start no more
  bool finished() const { return sessions_.empty() && queue_.empty() && (stopping_ || next_index_ == progress_.total); }
  const Progress& progress() const { return progress_; }
  Checkpoint checkpoint() const;
  // When the next wait ends; nullopt where nothing is awaited.
  std::optional<uint64_t> next_deadline() const;

 private:
  struct Verifying {
    uint64_t peer_key = 0;
    uint32_t peer_isn = 0;
    uint8_t peer_flags = 0;
    bool connected = false, heard = false;
  };
  struct Session {
    Session(uint64_t i, const Policy& policy) : index(i), judge(policy) {}
    uint64_t index;
    Judge judge;
    unsigned tries = 0;
    uint64_t sent_ns = 0;
    uint32_t wait = 0;  // number of the current wait; older deadlines are void
    Verifying verifying;
  };
  struct Hash {
    size_t operator()(const packet::Endpoint& e) const;
  };
  using Sessions = std::unordered_map<packet::Endpoint, Session, Hash>;
  struct Deadline {
    uint64_t at_ns;
    packet::Endpoint target;
    uint32_t wait;
  };

  packet::Endpoint target_of(uint64_t index) const;
  bool start_next();
  void ask(const packet::Endpoint& target, Session& session);
  void repeat(const packet::Endpoint& target, Session& session);
  void go_on(Sessions::iterator at);
  void finish(Sessions::iterator at);
  void on_verify(Sessions::iterator at, const packet::TcpSegment& segment);
  void send_verify_acks(const packet::Endpoint& target, const Session& session);
  void prove(Sessions::iterator at, Proof proof);
  void push(Outgoing segment) { queue_.push_back(std::move(segment)); }
  void push_reset(const packet::Endpoint& target, uint16_t our_port, uint32_t seq);

  EngineConfig config_;
  Report report_;
  Permutation order_;
  Validator validator_;
  Sessions sessions_;
  std::deque<Outgoing> queue_;
  std::deque<Deadline> deadlines_;  // ascending: one timeout for all
  uint64_t next_index_ = 0;
  std::set<uint64_t> open_;                  // indices in flight
  std::set<uint64_t> done_;                  // finished above the lowest open one
  std::unordered_set<uint64_t> done_before_;  // from the checkpoint
  Progress progress_;
  bool stopping_ = false;
  uint32_t waits_ = 0;
};

}  // namespace mptap::scan
