// SPDX-License-Identifier: Apache-2.0
// One worker's way out: what leaves for the tools behind mptap goes through here into the worker's queue. Owned by the
// worker's thread; the counts may be read by that thread only.
#pragma once

#include <cstdint>
#include <optional>

#include "egress/frame_queue.h"
#include "packet/build.h"
#include "packet/frame.h"

namespace mptap::egress {

enum class Pass : uint8_t {
  kMptcpOnly,  // the synthetic connections alone
  kAll,        // and unchanged all that is not MPTCP's
};

enum class WhenFull : uint8_t {
  kDropConnection,  // live: the inspection never waits; a connection whose frame does not fit has ended for the egress
  kWait,            // reading files with one worker: every frame gets out
};

struct OutletConfig {
  Pass pass = Pass::kMptcpOnly;
  WhenFull when_full = WhenFull::kDropConnection;
  std::optional<uint8_t> fill;           // what holes are filled with; none: they stay holes in the sequence numbers
  uint64_t fill_bytes = 16u << 20;       // of one hole; a larger one stays a hole
};

struct OutletCounts {
  uint64_t connections = 0;       // synthetic ones begun
  uint64_t handshakes_made = 0;   // of them: the tap did not see the handshake
  uint64_t refused = 0;           // not begun: the queue was three quarters full
  uint64_t cut = 0;               // given up in their midst: the queue was full
  uint64_t frames = 0, bytes = 0;  // into the queue, passed ones included
  uint64_t passed = 0;            // frames passed unchanged
  uint64_t dropped = 0;           // frames of no connection that did not fit
  uint64_t hole_bytes = 0, filled_bytes = 0;
};

class Outlet {
 public:
  Outlet(const OutletConfig& config, FrameQueue& queue) : config_(config), queue_(queue) {}

  const OutletConfig& config() const { return config_; }
  bool passes_all() const { return config_.pass == Pass::kAll; }
  // Whether a new connection may begin. The last quarter of the queue belongs to those that run.
  bool admits() { return config_.when_full == WhenFull::kWait || queue_.used() <= queue_.capacity() / 4 * 3; }
  // False: no room, and the frame is lost. payload: of TCP, for the counts.
  bool send(const packet::FrameSpec& spec, uint64_t now_ns);
  // The frame as it is; other link types than Ethernet get an Ethernet header in place of their own.
  bool pass(const packet::Frame& frame);
  // Nothing older than this will be sent any more.
  void set_clock(uint64_t ns) { queue_.set_clock(stamp(ns)); }

  OutletCounts counts;

 private:
  uint8_t* room(uint32_t size);
  uint64_t stamp(uint64_t ns) { return last_ns_ = ns > last_ns_ ? ns : last_ns_; }

  const OutletConfig config_;
  FrameQueue& queue_;
  uint64_t last_ns_ = 0;  // a packet whose time lies before is given this one
};

}  // namespace mptap::egress
