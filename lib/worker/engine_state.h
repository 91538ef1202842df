// SPDX-License-Identifier: Apache-2.0
// What the engine keeps per subflow and per connection. Internal to engine*.cc.
#pragma once

#include <openssl/evp.h>

#include "egress/session.h"
#include "worker/engine.h"

namespace mptap::worker {

inline constexpr uint32_t kNoSlot = ~0u;

enum TimerKind : uint32_t { kSlotTimer, kParkTimer };

// A packet of a join whose connection is not known yet.
struct Engine::ParkedPacket {
  packet::TcpSegment segment;
  std::vector<uint8_t> options, payload;
  int direction = 0;
};

struct Engine::Flow {
  Flow(const subflow::TcpConfig& config, stream::BlockPool& pool) : subflow(config, pool) {}

  uint32_t index = 0;
  subflow::FlowKey key;
  bool initiator_swapped = false;  // FlowKey::swapped of packets that the initiator sends
  bool ignored = false;            // tracked only to be ignored
  packet::Endpoint initiator, responder;
  subflow::Subflow subflow;
  uint32_t slot = kNoSlot;
  connection::Member* member = nullptr;

  struct Parked {
    uint32_t token = 0;
    uint64_t serial = 0;
    mptcp::Join syn, synack;
    bool has_synack = false;
    uint64_t bytes = 0;
    std::vector<ParkedPacket> packets;
    Timer timer;
  };
  std::unique_ptr<Parked> parked;
};

struct Engine::Side {
  std::unique_ptr<rules::Scanner> scanner;
  std::shared_ptr<const rules::Ruleset> rules;  // the scanner's
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> sha{nullptr, EVP_MD_CTX_free};
  std::vector<std::pair<const rules::Rule*, uint32_t>> alerted;  // per rule: how often
  std::vector<rules::Hit> found;                                 // the last hits, so that a candidate does not repeat them
};

struct Engine::Slot {
  Slot(const connection::ConnectionConfig& config, stream::BlockPool& pool, stream::WorkerAccount& worker,
       connection::Observer& observer, uint64_t flow_id)
      : connection(config, pool, worker, observer, flow_id) {}

  uint32_t index = 0;
  uint64_t serial = 0;
  connection::Connection connection;
  std::vector<uint32_t> flows;
  std::array<Side, 2> sides;
  bool dirty = false;
  bool half_open = false;  // in the list of these, by age
  uint32_t older = kNoSlot, newer = kNoSlot;
  uint64_t check_at = 0;
  uint64_t history_memory = 0, history_stamp = 0;
  uint64_t alerts_suppressed = 0;
  std::unique_ptr<egress::Session> egress;  // none: its packets are passed, or egress is off
  bool passing = true;                      // until the egress has no room for one of its packets
  uint8_t ended_by = 0;                     // direction of the packet that reset it
  std::unique_ptr<detect::Watch> watch;
  uint32_t subtypes = 0;  // MPTCP options seen, a bit each
  bool started_told = false;
  Timer timer;
};

}  // namespace mptap::worker
