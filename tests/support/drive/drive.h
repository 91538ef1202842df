// SPDX-License-Identifier: Apache-2.0
// Runs the engine on composed traffic and keeps all that it says.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "event/record.h"
#include "reference/reference.h"
#include "traffic/conversation.h"
#include "worker/engine.h"

namespace mptap::test {

struct DriveOptions {
  worker::EngineConfig config;
  std::string rules;           // Suricata's syntax
  uint64_t silence_ns = 0;     // time that passes after the last frame, before the input ends
  size_t burst = 32;
  egress::Outlet* egress = nullptr;
  bool own_limits = false;     // config's max_subflows and max_connections hold, else 1024: tables are made for each run
};

struct Outcome {
  std::vector<event::ConnectionRecord> records;
  std::vector<event::Anomaly> anomalies;
  std::vector<event::Alert> alerts;
  std::vector<event::EngineEvent> engine;
  std::map<std::pair<std::string, int>, Bytes> streams;  // by connection id and direction
  worker::EngineCounters counters;

  // Of the only record, or the only one of MPTCP; throws std::runtime_error where there is none or several.
  const event::ConnectionRecord& record() const;
  std::string delivered(Direction d) const;  // of record(), as runs()
  const Bytes& stream(const event::ConnectionRecord& record, Direction d) const;
  bool has(const std::string& anomaly) const;
  std::string anomaly_names() const;  // each once, sorted
  bool told(const std::string& engine_event, const std::string& number = {}) const;  // number: a name that it bears
};

// DPDK starts once per process and lives as long.
void start_eal();
// nullptr for no rules. Throws std::runtime_error for wrong ones.
std::shared_ptr<const rules::Ruleset> compiled_rules(const std::string& text);

Outcome drive(const std::vector<Sent>& wire, const DriveOptions& options = {});
Outcome drive(const Conversation& c, const DriveOptions& options = {});

// Both levels follow one policy.
DriveOptions with_policy(Policy policy, DriveOptions options = {});

// Differences between what the engine said and what the reference says, in words; empty when they agree. what: for messages.
std::string differences(const Outcome& engine, const std::vector<Judged>& reference);

}  // namespace mptap::test
