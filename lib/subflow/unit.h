// SPDX-License-Identifier: Apache-2.0
// What the TCP level of a subflow hands to the owner of its connection, in the order in which the receiving host's TCP would
// hand it up: payload in sequence with the mapping that its segment bore, and between it the signals. One unit is all that
// the owner needs, so that it can as well cross to another core through a ring.
#pragma once

#include <cstdint>
#include <vector>

#include "mptcp/option.h"
#include "stream/block_pool.h"

namespace mptap::subflow {

enum class UnitKind : uint8_t {
  kSignal,   // no payload: options and a DATA_ACK, effective on arrival
  kData,     // payload in sequence, each byte once
  kRepeat,   // a further copy of bytes that a kData unit has brought; bytes may be null: equal to the first copy
  kFastOpen, // payload of the SYN that the SYN/ACK has acknowledged: outside the DSN space (RFC 8684, appendix B)
  kTapLoss,  // [ssn, ssn + size) was acknowledged but never seen
  kFin,      // the sender's FIN, in sequence
  kRst,      // a RST that the receiver accepts
};

// Why the receiving host probably does not take a segment (FACTS: insertion tricks).
enum class Doubt : uint8_t { kNone, kPaws, kOutOfWindow, kBadAck, kTtl, kAfterRst };

struct Unit {
  UnitKind kind = UnitKind::kSignal;
  uint8_t direction = 0;  // 0: from the subflow's initiator
  Doubt doubt = Doubt::kNone;
  bool span_copy = false;
  bool after_loss = false;     // the bytes before it were lost by the tap: a mapping may be among them
  bool above_hole = false;     // at the end: above bytes that never came and were never acknowledged, not yet handed up
  bool has_dss = false;
  bool tcp_ack = false;        // ack is valid
  bool shifted = false;        // ssn and ack count from the true ISNs although these were not seen, see MapState::shift
  uint64_t ssn = 0;            // of the first byte; 1 is the first byte after the SYN (after its Fast Open data)
  uint32_t size = 0;
  const uint8_t* bytes = nullptr;
  uint64_t ack = 0;            // kSignal, kData: SSN in the other direction that is acknowledged
  uint32_t window = 0;         // scaled; with a DATA_ACK: how far beyond it the sender may send
  mptcp::Dss dss;
  const mptcp::Options* options = nullptr;  // with kSignal, for options other than DSS
  uint64_t timestamp_ns = 0;
  uint64_t number = 0;
};

// Facts about TCP itself that are worth an event.
enum class TcpFinding : uint8_t {
  kNoAckFlag,
  kPaws,
  kOutOfWindow,
  kBadAck,
  kTtlJump,
  kUnexpectedMd5,
  kRstOutOfPlace,
  kSynInEstablished,
  kUrgentData,
  kDataAfterFin,
  kHoldLimit,
  kMalformedOption,
};

struct TcpReport {
  TcpFinding finding;
  uint8_t direction;
  uint64_t a, b;  // relative sequence number and size, or old and new value
};

// The units of one packet. Bytes stay valid until clear().
struct Outbox {
  std::vector<Unit> units;
  std::vector<TcpReport> reports;
  struct Block {
    uint8_t* block;
    uint32_t size;
  };
  std::vector<Block> blocks;
  bool span_copy = false;  // the packet is the tap's second copy of one

  void clear(stream::BlockPool& pool) {
    for (const Block& b : blocks) pool.release(b.block, b.size);
    blocks.clear();
    units.clear();
    reports.clear();
    span_copy = false;
  }
};

}  // namespace mptap::subflow
