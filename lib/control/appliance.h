// SPDX-License-Identifier: Apache-2.0
// What the control plane asks of the appliance, whatever that is: the daemon, or a test's stand-in. All calls come from threads
// of the server, many at once, and may wait, but not beyond their deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "action/action.h"
#include "control/error.h"
#include "control/filter.h"
#include "event/record.h"
#include "rules/options.h"
#include "rules/rule.h"

namespace mptap::control {

template <typename T>
using Result = tl::expected<T, Error>;

struct Deadline {
  std::chrono::steady_clock::time_point at;
  std::function<bool()> cancelled = [] { return false; };
};

// kNone: as the workers have them; a page is then had without looking at all of them.
enum class Order : uint8_t { kNone, kStartTime, kUpdateTime, kPackets, kAlerts, kAnomalies, kSubflows, kBytes, kMissingBytes };

// A connection's place in an order: what it is ordered by, then where it is.
struct Cursor {
  uint64_t key = 0;
  uint32_t worker = 0;
  uint64_t serial = 0;
  auto operator<=>(const Cursor&) const = default;
};

struct ListQuery {
  Filter filter;  // over connection_fields()
  Order order = Order::kNone;
  bool descending = false;
  size_t limit = 50;
  std::optional<Cursor> after;
};

struct ConnectionInfo {
  event::ConnectionRecord record;
  std::vector<bool> closed;  // by subflow
  uint32_t worker = 0;
};

struct Page {
  std::vector<ConnectionInfo> connections;
  std::optional<Cursor> next;  // of the last one, where more follow
  std::optional<uint64_t> total;  // none: not counted
};

struct ReloadReport {
  uint64_t loaded = 0, left_out = 0;
};

struct PolicyInfo {
  std::string name, action, match;
  bool dry_run = false;
  uint64_t hits = 0;
};

struct BreakerInfo {
  bool open = false;
};

struct SystemInfo {
  std::string version, mode, config;
  uint64_t start_ns = 0;
  struct Port {
    std::string name, driver;
    bool up = false;
    uint32_t mbps = 0;
    uint64_t received = 0, missed = 0, errors = 0;
  };
  struct Worker {
    uint64_t frames = 0, connections = 0, held_bytes = 0, busy_cycles = 0, idle_cycles = 0;
  };
  struct Limit {
    std::string name;
    uint64_t limit = 0, used = 0;
  };
  std::vector<Port> ports;
  std::vector<Worker> workers;
  std::vector<Limit> limits;
  uint64_t rules = 0;
};

class Appliance {
 public:
  virtual ~Appliance() = default;

  virtual Result<Page> list(std::shared_ptr<const ListQuery> query, const Deadline& deadline) = 0;
  // NOT_FOUND where no worker has it.
  virtual Result<ConnectionInfo> get(const std::string& id, const Deadline& deadline) = 0;
  // Returns when the outcome is known, or request.options.timeout_ns has passed. dry_run: at once.
  virtual Result<action::Outcome> act(const action::Request& request, const Deadline& deadline) = 0;

  virtual std::vector<rules::Rule> rules() = 0;
  virtual std::string managed_rules() = 0;  // the file; empty: none
  virtual rules::RuleOptions rule_options() = 0;
  virtual Result<ReloadReport> reload(const Deadline& deadline) = 0;

  virtual std::vector<PolicyInfo> policies() = 0;
  virtual BreakerInfo breaker() = 0;
  virtual void resume_policies() = 0;

  virtual SystemInfo system() = 0;
};

// What a filter of connections may name, with these ids.
enum class ConnectionField : uint16_t {
  kId,
  kState,
  kMptcp,
  kVersion,
  kFallback,
  kAddress,
  kPort,
  kClientAddress,
  kClientPort,
  kServerAddress,
  kServerPort,
  kToken,
  kSubflows,
  kPackets,
  kAlerts,
  kAnomalies,
  kVisibility,
  kBytes,
  kMissingBytes,
  kAge,
  kIdle,
  kWorker,
};
std::span<const Field> connection_fields();

// "packets desc"; empty: kNone.
struct OrderBy {
  Order order = Order::kNone;
  bool descending = false;
};
Result<OrderBy> parse_order(const std::string& text);

}  // namespace mptap::control
