// SPDX-License-Identifier: Apache-2.0
// Traffic for the benchmarks of the data path, made in memory: a pool of frames such as a NIC's ring holds, filled again and
// again. Handshakes, keys, HMACs and checksums are right; the payload is random bytes.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "mptcp/option.h"
#include "packet/build.h"
#include "packet/frame.h"

namespace mptap::bench {

// Frames of one batch, as the ring of a receive queue: the same buffers each time.
class Ring {
 public:
  static constexpr size_t kFrames = 1024, kSize = 2048;

  Ring();
  void clear() { frames_.clear(); }
  bool full() const { return frames_.size() == kFrames; }
  // A frame with the payload that lies in its buffer; nanoseconds pass before it.
  void add(packet::FrameSpec& spec, uint32_t payload, uint64_t gap_ns);
  std::span<const packet::Frame> frames() const { return frames_; }
  uint64_t now_ns() const { return now_; }

 private:
  std::vector<uint8_t> buffers_, payloads_;
  std::vector<packet::Frame> frames_;
  uint64_t now_ = 1'700'000'000'000'000'000, number_ = 0;
};

// What the kernel's MPTCP sends when one host streams to another over several subflows: trains of full segments, each train one
// mapping repeated on its segments, acknowledgements of both levels between them. A round gives every subflow a run of the
// stream; unless the round is an ordered one the paths deliver side by side, and all but the first path's run lie ahead of the
// data-level edge until the round is complete.
struct Shape {
  uint32_t connections = 1000;
  uint32_t subflows = 3;
  uint32_t payload = 1428;   // of a data segment: 1,514 bytes of frame
  uint32_t train = 4;        // segments of one mapping
  uint32_t trains = 2;       // of each subflow in a round
  double ordered = 0.115;    // share of rounds; with three subflows 59 % of the data segments then come ahead of the edge
  double acks = 0.7;         // per train; then frames have 1,300 bytes in the mean
};

class MptcpTraffic {
 public:
  explicit MptcpTraffic(const Shape& shape);

  // Fill the ring as far as it goes. False: all handshakes are done.
  bool open(Ring& ring);   // MP_CAPABLE handshakes and each connection's first data
  bool join(Ring& ring);   // joins, in rounds over all connections
  void stream(Ring& ring);

  uint64_t data_segments = 0, ahead = 0, sent_bytes = 0;
  uint64_t joins = 0;

 private:
  struct Subflow {
    uint32_t next = 1;  // SSN
    uint16_t ip_id = 1;
  };
  struct Connection {
    std::array<Subflow, 3> subflows{};
    uint64_t idsn[2] = {0, 0};
    uint32_t base = 0, train = 0;  // the round's first stream offset; trains of it that are gone
    bool ordered = false;
  };
  packet::FrameSpec spec(uint32_t connection, uint32_t subflow, bool to_server);
  void ack(Ring& ring, uint32_t connection, uint32_t subflow, uint32_t edge);
  static std::array<uint64_t, 2> keys(uint32_t connection);
  uint32_t isn(uint32_t connection, uint32_t subflow, bool server) const { return 7 + connection * 97 + subflow * 11 + server; }

  Shape shape_;
  std::vector<Connection> connections_;
  std::mt19937_64 random_{1};
  uint32_t opened_ = 0, joining_ = 0, joining_subflow_ = 1;
};

// Plain TCP in the smallest frames: acknowledgements, or segments of six bytes.
class SmallTraffic {
 public:
  SmallTraffic(uint32_t flows, bool payload) : flows_(flows, 1), payload_(payload) {}
  bool open(Ring& ring);
  void stream(Ring& ring);

 private:
  packet::FrameSpec spec(uint32_t flow, bool to_server) const;
  std::vector<uint32_t> flows_;  // the client's next sequence number, relative
  bool payload_;
  std::mt19937_64 random_{1};
  uint32_t opened_ = 0;
};

}  // namespace mptap::bench
