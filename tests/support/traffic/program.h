// SPDX-License-Identifier: Apache-2.0
// Random connections as small programs: a set-up and a list of steps, each of a few numbers. Any numbers make a legal
// connection, so that a list can be shrunk, or come from a fuzzer's bytes.
#pragma once

#include <cstdint>
#include <ostream>
#include <vector>

#include "traffic/conversation.h"

namespace mptap::test {

struct Plan {
  uint8_t version = 1;    // modulo 2
  uint8_t subflows = 1;   // 1 to 8
  uint8_t by_server = 0;  // a bit per further subflow
  bool v6 = false, checksum = false, timestamps = true, capable_data = false;
  uint8_t wrap = 0;  // 1: the client's IDSN ends just below 2^32, 2: the server's, 3: both
};

enum class StepKind : uint8_t {
  kWrite,       // the next bytes of the stream under one mapping, in one or more segments
  kReserve,     // leaves out bytes of the stream, to be sent later
  kFill,        // sends what was left out
  kRetransmit,  // a part of an earlier mapping again, same SSNs
  kReinject,    // any part of the stream under a new mapping
  kAck,
  kDelay,       // the next segment is sent later: a hole in its subflow
  kUndelay,
  kCopy,        // the tap delivers the last frame twice
  kLose,        // the tap misses the next segment
  kDrop,        // the host misses the next segment; it is sent again later
  kCount
};

struct Step {
  StepKind kind = StepKind::kWrite;
  uint8_t subflow = 0, direction = 0;
  uint16_t size = 1, place = 0, piece = 0;  // meanings differ by kind, all taken modulo
  uint8_t flags = 0;                        // kNarrow…
};

enum : uint8_t {
  kNarrowDsn = 1,
  kNarrowAck = 2,
  kFirstOnly = 4,   // the mapping stands on the first of its segments only
  kReversed = 8,    // the mapping's segments come in reversed order
  kWithoutAck = 16,
  kOtherBytes = 32,  // retransmit, reinject: the bytes differ, where that is allowed
  kEager = 64,       // an ACK of the other side follows
};

struct Rules {
  bool conflicts = false;  // copies may differ
  bool losses = false;     // kLose and kDrop
  bool copies = true;      // kCopy
  // Each segment bears its mapping. Else what stands above a hole may have its mapping in the hole: where such bytes belong is
  // not decidable, not even from later copies, whose mappings the host's TCP drops along with them.
  bool mapped = false;
};

Conversation play(const Plan& plan, const std::vector<Step>& steps, const Rules& rules);

// The byte that the application writes at an offset.
uint8_t stream_byte(Direction d, uint64_t offset);

// Another order of the frames between the subflows, the order within each kept, from the first frame behind the handshakes on.
// keys choose: any numbers.
void shuffle_between_subflows(std::vector<Sent>& wire, const std::vector<uint16_t>& keys, size_t first_frame);

// 8 bytes a step.
std::vector<Step> steps_from(const uint8_t* bytes, size_t size);
Plan plan_from(const uint8_t* three_bytes);

std::ostream& operator<<(std::ostream& out, const Step& step);
std::ostream& operator<<(std::ostream& out, const Plan& plan);

}  // namespace mptap::test
