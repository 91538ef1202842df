// SPDX-License-Identifier: Apache-2.0
// A TCP reassembler as simple as can be, for what mptap gives out: one that finds fault with everything that a perfect network
// and two perfect hosts would not show. Holes are noted, not waited for.
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "packet/decode.h"
#include "traffic/bytes.h"

namespace mptap::test {

class NaiveTcp {
 public:
  struct Side {
    uint32_t isn = 0;
    uint64_t next = 0;   // relative to the ISN
    uint64_t acked = 0;  // by the other side
    bool syn = false, fin = false, rst = false;
    uint64_t largest = 0;
    Bytes bytes;                                       // holes left out
    std::vector<std::pair<uint64_t, uint64_t>> holes;  // offset in bytes, size
  };
  struct Connection {
    packet::Endpoint client, server;
    std::array<Side, 2> sides;
    std::vector<uint64_t> times;
  };
  std::vector<Connection> connections;
  std::vector<std::string> faults;
  uint64_t frames = 0, last_ns = 0;

  void add(const packet::Frame& frame) {
    ++frames;
    packet::TcpSegment s;
    if (const auto reason = decoder_.decode(frame, s); reason != packet::Reason::kTcp)
      return fault(fmt::format("is {}", packet::reason_name(reason)));
    if (frame.timestamp_ns < last_ns) fault("goes back in time");
    last_ns = frame.timestamp_ns;
    for (uint8_t i = 0; i < s.options_size && s.options[i] != 0;
         i = static_cast<uint8_t>(i + (s.options[i] == 1 ? 1 : s.options[i + 1]))) {
      if (s.options[i] == 30) fault("bears an MPTCP option");
    }
    if ((s.flags & (packet::kSyn | packet::kAck)) == packet::kSyn) connections.push_back({s.src, s.dst, {}, {}});
    for (size_t i = connections.size(); i-- > 0;) {
      Connection& c = connections[i];
      if (c.client == s.src && c.server == s.dst) return take(c, 0, s);
      if (c.client == s.dst && c.server == s.src) return take(c, 1, s);
    }
    fault("belongs to no connection");
  }

 private:
  void take(Connection& c, int side, const packet::TcpSegment& s) {
    Side& me = c.sides[side];
    Side& other = c.sides[1 - side];
    c.times.push_back(s.timestamp_ns);
    if (s.flags & packet::kSyn) {
      if (me.syn) fault("is a second SYN");
      me.syn = true;
      me.isn = s.seq;
    } else if (!me.syn && !(s.flags & packet::kRst)) {
      fault("comes before its SYN");
    }
    const uint64_t at = static_cast<uint32_t>(s.seq - me.isn) | (me.next & ~0xffffffffull);
    if (!(s.flags & packet::kRst) || me.syn) {
      if (at < me.next) fault(fmt::format("repeats number {}, {} is next", at, me.next));
      if (at > me.next) me.holes.emplace_back(me.bytes.size(), at - me.next);
      me.next = std::max(me.next, at);
    }
    if (s.flags & packet::kAck) {
      const uint64_t ack = static_cast<uint32_t>(s.ack - other.isn) | (other.next & ~0xffffffffull);
      // A hole at the end: nothing behind it, but it was acknowledged.
      if (ack > other.next) {
        other.holes.emplace_back(other.bytes.size(), ack - other.next);
        other.next = ack;
      }
      if (ack < other.acked) fault(fmt::format("takes its acknowledgement of {} back to {}", other.acked, ack));
      if (ack == other.acked && s.payload_size == 0 && !(s.flags & (packet::kFin | packet::kRst))) fault("is a duplicate ACK");
      other.acked = ack;
    }
    if (me.fin && s.payload_size > 0) fault("brings data behind the FIN");
    me.bytes.insert(me.bytes.end(), s.payload, s.payload + s.payload_size);
    me.largest = std::max<uint64_t>(me.largest, s.payload_size);
    me.next += s.payload_size + ((s.flags & (packet::kSyn | packet::kFin)) ? 1 : 0);
    if (s.flags & packet::kFin) me.fin = true;
    if (s.flags & packet::kRst) me.rst = true;
  }
  void fault(const std::string& what) { faults.push_back(fmt::format("frame {} {}", frames, what)); }

  packet::Decoder decoder_;
};

}  // namespace mptap::test
