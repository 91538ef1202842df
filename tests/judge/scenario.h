// SPDX-License-Identifier: Apache-2.0
// A connection as a small program: a set-up and a list of steps, each of a few numbers. Any numbers make a connection, so that
// a list can be shrunk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mptap::judge {

enum class Opening : uint8_t {
  kNormal,
  kDataInCapable,    // the third ACK, then the first data with both keys
  kThirdAckLost,     // only that
  kFastOpen,         // data in the SYN
  kPlainThirdAck,    // no option on the third ACK
  kDssOnlyThirdAck,  // a DSS instead of the keys
  kCount
};

struct Setup {
  uint64_t seed = 0;  // keys, ISNs, ports, bytes
  bool peer_serves = false;
  bool v6 = false, checksum = false, timestamps = true, sack = true;
  bool wrap_dsn = false;  // the low half of the IDSN ends shortly
  bool wrap_seq = false;  // so does the ISN
  Opening opening = Opening::kNormal;
};

enum class Kind : uint8_t {
  kData,
  // data level
  kReserve,         // leaves out bytes of the stream
  kFill,            // sends what was left out; kHalf: the first half, kQuarter: and some bytes around it
  kOverlap,         // a new mapping over any bytes near the edge or a hole
  kContinue,        // data with a mapping, and data without one that it should cover
  kMapLate,         // data, then the mapping
  kMapAhead,        // a mapping for SSNs that come later
  kInfinite,        // a mapping of length 0
  kTwoDss,          // two mappings in one segment
  kBadLength,       // a DSS of illegal length
  kCapableAgain,    // MP_CAPABLE with data in mid-stream
  kDsnOutOfWindow,
  kDataFin,         // alone, on data, early, late
  kBadChecksum,     // wrong; kHalf: absent where it was negotiated, present where it was not
  // subflow level
  kDelay,           // data that is sent later: a hole in the subflow
  kUndelay,         // sends it; kHalf: the first half, kQuarter: with some bytes more
  kTcpOverlap,      // any SSNs again, with the mapping of then or none
  kRetransmit,      // SSNs that were sent, with other bytes or another mapping
  kStrip,           // from now on (or no longer) without options
  kUrgent,
  kLowTtl,
  // what the kernel drops
  kPaws,
  kNoAckFlag,
  kBadAck,
  kOutOfWindow,
  kBadTcpChecksum,
  kMd5,
  kRstMiss,
  // subflows and signals
  kJoin,            // right, with a wrong HMAC, of no connection, without the third ACK
  kAddAddr,         // the kernel joins
  kRemoveAddr,
  kPrio,
  kFail,
  kRst,
  kFin,
  kFastClose,       // right, wrong key, ahead, outside
  kAck,
  kWrite,           // the application writes
  kCount
};
const char* kind_name(Kind);

struct Step {
  Kind kind = Kind::kData;
  uint8_t path = 0, flags = 0;
  uint16_t size = 1, place = 0, piece = 0;  // meanings differ by kind
};

enum : uint8_t {
  kNarrow = 1,      // 4-byte DSN
  kNarrowAck = 2,   // 4-byte DATA_ACK
  kOneOption = 4,   // the mapping stands on the first of its segments only
  kReversed = 8,    // the segments go in reversed order
  kOther = 16,      // other bytes than the first copy's
  kNoAck = 32,      // no DATA_ACK
  kHalf = 64,       // a variant
  kQuarter = 128,   // another
};

struct Scenario {
  Setup setup;
  std::vector<Step> steps;
};

// The same for the same seed.
Scenario generate(uint64_t seed);
// Takes out the steps and the opening with one of these names; "server" stands for the peer as the server.
void leave_out(Scenario& scenario, const std::vector<std::string>& names);
std::string describe(const Scenario&);
// The inverse; throws std::runtime_error with the line that it does not understand.
Scenario parse(const std::string& text);

}  // namespace mptap::judge
