// SPDX-License-Identifier: Apache-2.0
// Abuse of MPTCP that the thresholds of [detect] describe: fast flux, join storms, many subflows, traffic on backup paths, low
// visibility, MPTCP on critical networks. It acts on joins, signals, holes and ends, never on a packet of data; each call is
// O(1), or O(subflows of the connection). One per worker, on its thread; memory is bounded (join_table.h, watch.h).
// Time is the packets', in ns, and may come a little out of order.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "detect/join_table.h"
#include "detect/options.h"
#include "detect/watch.h"
#include "event/anomaly.h"

namespace mptap::detect {

// Where findings go.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void found(event::AnomalyType type, std::optional<uint32_t> subflow,
                     std::initializer_list<std::pair<const char*, uint64_t>> numbers, std::string_view detail) = 0;
};

struct JoinSeen {
  packet::IpAddress from, to;       // sender and receiver of the SYN
  std::optional<uint32_t> subflow;  // none: refused, the connection has too many
  uint64_t now_ns = 0;
};

struct AddressSignal {
  int direction = 0;
  uint8_t address_id = 0;
  bool removed = false;
  packet::IpAddress address;  // where added
  uint16_t port = 0;
  uint64_t now_ns = 0;
};

// A subflow as the shift to backup paths sees it.
struct Use {
  uint64_t bytes = 0;  // carried so far, both directions
  bool backup = false, open = true;
};

struct Seen {
  uint64_t seen = 0, missing = 0, missing_tap = 0;  // acknowledged bytes of both directions
};

class Detector {
 public:
  explicit Detector(const Options& options);

  // MPTCP between these two; subflow: whose packet shows it.
  bool has_critical() const { return !options_.critical.empty(); }
  void mptcp_seen(Watch& w, const packet::IpAddress& one, const packet::IpAddress& other, uint32_t subflow, Sink& sink);
  // The networks that the connection uses from the start, so that no join makes them new.
  void opened(Watch& w, const packet::IpAddress& client, const packet::IpAddress& server);
  void joined(Watch& w, const JoinSeen& join, Sink& sink);
  // open: subflows that are neither refused nor closed.
  void subflows(Watch& w, uint64_t open, uint32_t newest, Sink& sink);
  void address(Watch& w, const AddressSignal& signal, uint32_t subflow, Sink& sink);
  // Before a subflow joins, ends or changes its priority, from time to time, and at the end. In the order of the subflows' ids.
  void carried(Watch& w, std::span<const Use> uses, Sink& sink);
  // After each hole, and at the end.
  void visibility(Watch& w, const Seen& seen, bool at_end, Sink& sink);

  uint64_t evicted() const { return table_.evicted(); }
  const Options& options() const { return options_; }

 private:
  bool is_new(Watch& w, const packet::IpAddress& address);

  Options options_;
  uint64_t join_window_ns_, flux_window_ns_;
  JoinTable table_;
};

}  // namespace mptap::detect
