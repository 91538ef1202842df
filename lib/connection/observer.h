// SPDX-License-Identifier: Apache-2.0
// What a connection tells the worker that owns it. All calls come on that worker's thread, and all are rare: bytes are not
// among them, they wait in the stream's history (stream/history.h) until the worker takes them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "event/anomaly.h"
#include "mptcp/option.h"

namespace mptap::connection {

class Connection;
struct Member;

using Number = std::pair<const char*, uint64_t>;

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_anomaly(Connection& connection, event::AnomalyType type, const Member* member, std::optional<int> direction,
                          std::initializer_list<Number> numbers, std::string_view detail) = 0;
  // A stream has new bytes or a hole that waits: look at it at the end of the burst.
  virtual void on_stir(Connection& connection) = 0;
  // The stream goes on behind a hole: what came before it is to be scanned now, and nothing matches across.
  virtual void on_gap(Connection& connection, int direction, uint64_t offset, uint64_t size) = 0;
  // Another reading of [offset, offset + size): inspected by itself.
  virtual void on_alternative(Connection& connection, int direction, uint64_t offset, std::span<const uint8_t> bytes) = 0;
  // Only with StreamConfig::report_progress: bytes are delivered; those before offset are acknowledged.
  virtual void on_delivered(Connection& connection, int direction, uint64_t offset, std::span<const uint8_t> bytes) = 0;
  virtual void on_acknowledged(Connection& connection, int direction, uint64_t offset) = 0;
  // A key, and with it a token, became known.
  virtual void on_token(Connection& connection, uint32_t token) = 0;
  virtual void on_member(Connection& connection, const Member& member) = 0;
  // ADD_ADDR (no echo) or REMOVE_ADDR: options bears it.
  virtual void on_address(Connection& connection, const Member& member, int direction, const mptcp::Options& options,
                          uint64_t now_ns) = 0;
  // A subflow is about to join, to end or to change its priority.
  virtual void on_change(Connection& connection) = 0;
};

}  // namespace mptap::connection
