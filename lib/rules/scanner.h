// SPDX-License-Identifier: Apache-2.0
// One scanner per direction of a connection's stream: feeds Hyperscan contiguous bytes, confirms what Hyperscan cannot say
// alone (order, distance, absolute offsets, pcre), and reports hits with absolute stream offsets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "packet/address.h"

namespace mptap::rules {

struct Rule;    // rule.h
class Ruleset;  // ruleset.h: immutable, shared between workers, swapped whole

// The bytes of the stream that are still at hand. Asked only when a candidate is to be confirmed.
class History {
 public:
  virtual ~History() = default;
  // Copies up to out.size() bytes from absolute stream offset on; returns how many were there (0: no longer kept).
  virtual size_t copy(uint64_t offset, std::span<uint8_t> out) const = 0;
  virtual uint64_t oldest() const = 0;  // first offset still kept
};

struct FlowContext {
  packet::Endpoint src, dst;  // of this direction: src sends the bytes
  bool to_server = true;
};

struct Hit {
  const Rule* rule = nullptr;
  uint64_t from = 0, to = 0;  // absolute stream offsets, [from, to)
};

// Scratch space of one worker: pass the same one to every scanner of that worker.
class Scratch;  // scratch.h

// The hits of a stream depend on its bytes and holes, never on the chunks in which they come, as long as history goes back
// by Ruleset::lookback(). A rule that needs bytes after its match (endswith, negated contents, pcre) is reported when they
// have come, or when a hole or finish() says that they will not. hits is appended to, in the order of the match ends.
class Scanner {
 public:
  // Rules whose header cannot match this flow are never reported. The scanner keeps the ruleset alive; a Hit's rule lives
  // as long as the ruleset.
  Scanner(std::shared_ptr<const Ruleset> ruleset, const FlowContext& flow);
  ~Scanner();
  Scanner(Scanner&&) noexcept;
  Scanner& operator=(Scanner&&) noexcept;

  // bytes continue the stream at offset (which follows what was scanned before, or gap()). history must hold bytes, too.
  void scan(uint64_t offset, std::span<const uint8_t> bytes, const History& history, Scratch& scratch, std::vector<Hit>& hits);
  // The stream goes on at offset after a hole: nothing matches across, absolute offsets stay true. What waited for bytes is
  // decided by the next scan() or finish(), for which history should still hold the bytes before the hole.
  void gap(uint64_t offset);
  // The stream ends at offset, and no byte will come: whatever waits for more is decided, endswith and $ hold there (unless
  // the bytes before offset are missing). Call it once; the scanner is inactive afterwards.
  void finish(uint64_t offset, const History& history, Scratch& scratch, std::vector<Hit>& hits);
  // Another reading of a place: bytes alone, as if they stood at offset; leaves the stream's own state untouched.
  void scan_candidate(uint64_t offset, std::span<const uint8_t> bytes, Scratch& scratch, std::vector<Hit>& hits);

  bool active() const;  // false: no loaded rule can match this flow (any more); scan() returns at once
  // A pass rule has matched: from the end of its match on nothing is reported. It is for the engine to tell the other
  // direction's scanner, by dropping it.
  bool passed() const;
  // Heap bytes that this scanner holds.
  size_t memory() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mptap::rules
