// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/connection_query.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>
#include <rte_cycles.h>

namespace mptap::daemon {
namespace {

using connection::Connection;
using control::Code;
using control::Cursor;
using control::Deadline;
using control::Error;
using control::ListQuery;
using control::Order;
using std::chrono::steady_clock;

constexpr size_t kSlice = 64, kFetch = 8;
constexpr uint64_t kShare = 50;  // of a busy worker's time, one part

uint64_t bytes_of(const Connection& c, uint64_t stream::Stream::Totals::*what) {
  uint64_t sum = 0;
  for (const auto& s : c.streams)
    if (s) sum += s->totals().*what;
  return sum;
}

uint64_t key_of(const Connection& c, const ListQuery& q) {
  const auto key = [&]() -> uint64_t {
    switch (q.order) {
      case Order::kNone: return 0;
      case Order::kStartTime: return c.start_ns;
      case Order::kUpdateTime: return c.last_ns;
      case Order::kPackets: return c.packets;
      case Order::kAlerts: return c.alerts;
      case Order::kAnomalies: return c.anomalies;
      case Order::kSubflows: return c.members.size();
      case Order::kBytes: return bytes_of(c, &stream::Stream::Totals::delivered);
      case Order::kMissingBytes: return bytes_of(c, &stream::Stream::Totals::missing);
    }
    return 0;
  }();
  return q.descending ? ~key : key;
}

control::ConnectionInfo info_of(const Connection& c, uint32_t worker) {
  control::ConnectionInfo info;
  info.record = c.record();
  for (const auto& m : c.members) info.closed.push_back(m->closed());
  info.worker = worker;
  return info;
}

struct Row {
  Cursor cursor;
  uint64_t id = 0;  // connection id as a number
  bool operator<(const Row& o) const { return cursor < o.cursor; }
};

// One worker's part of a question. Written by the worker while a slice is on its way, by the asking thread otherwise.
struct Part {
  uint32_t worker = 0;
  std::shared_ptr<const ListQuery> query;  // of a list
  size_t from = 0;
  std::vector<Row> rows;  // a heap: the largest in front; in an order, at most limit + 1
  uint64_t matched = 0;
  std::vector<std::string> ids;  // of a fetch
  std::vector<control::ConnectionInfo> found;
  size_t fetched = 0;
  bool over = false;

  bool asked = false;               // a slice is on its way
  std::atomic<bool> answered{false};
  bool gone = false;                // the worker has ended
  uint64_t packets = 0, cycles = 0;  // of the worker so far; of the last slice
  bool busy = false;
  uint64_t next_tsc = 0;

  void list(const worker::Engine& engine, uint64_t now);
  void fetch(const worker::Engine& engine);
};

void Part::list(const worker::Engine& engine, uint64_t now) {
  const ListQuery& q = *query;
  from = engine.visit(from, kSlice, [&](const Connection& c) {
    if (!q.filter.matches(ConnectionView(c, worker, now))) return;
    ++matched;
    const uint64_t place = q.order == Order::kNone ? c.slot : c.serial;
    const Cursor cursor{key_of(c, q), worker, place};
    if (q.after && cursor <= *q.after) return;
    if (rows.size() <= q.limit) {
      rows.push_back({cursor, c.id_number});
      std::push_heap(rows.begin(), rows.end());
    } else if (cursor < rows.front().cursor) {
      std::pop_heap(rows.begin(), rows.end());
      rows.back() = {cursor, c.id_number};
      std::push_heap(rows.begin(), rows.end());
    }
  });
  over = from == 0 || (q.order == Order::kNone && rows.size() > q.limit);
}

void Part::fetch(const worker::Engine& engine) {
  for (const size_t end = std::min(ids.size(), fetched + kFetch); fetched < end; ++fetched)
    if (const Connection* c = engine.find(ids[fetched])) found.push_back(info_of(*c, worker));
  over = fetched == ids.size();
}

class Slice final : public worker::Message {
 public:
  explicit Slice(std::shared_ptr<Part> part) : part_(std::move(part)) {}
  bool step(worker::Engine& engine, uint64_t now) override {
    Part& p = *part_;
    const uint64_t begin = rte_rdtsc();
    if (p.query) {
      p.list(engine, now);
    } else {
      p.fetch(engine);
    }
    p.cycles = rte_rdtsc() - begin;
    p.busy = engine.counters().inspected != std::exchange(p.packets, engine.counters().inspected);
    p.answered.store(true, std::memory_order_release);
    return true;
  }
  void dropped() override {
    part_->gone = true;
    part_->answered.store(true, std::memory_order_release);
  }

 private:
  const std::shared_ptr<Part> part_;
};

Error late(const Deadline& deadline) {
  if (deadline.cancelled()) return {Code::kCancelled, "CANCELLED", "the caller has gone"};
  return {Code::kDeadlineExceeded, "WORKERS_LATE", "the workers did not answer in time; give the call more, or ask for less"};
}

// Sends slices until every part is over. Parts live on where a worker answers too late.
control::Result<void> work(Workers workers, const std::vector<std::shared_ptr<Part>>& parts, const Deadline& deadline) {
  auto nap = std::chrono::microseconds(20);
  for (;;) {
    bool open = false, moved = false;
    for (const auto& part : parts) {
      if (part->over && !part->asked) continue;
      open = true;
      if (part->asked) {
        if (!part->answered.load(std::memory_order_acquire)) continue;
        part->asked = false;
        if (part->gone) return tl::unexpected(Error{Code::kUnavailable, "STOPPING", "the daemon is stopping"});
        part->next_tsc = part->busy ? rte_rdtsc() + part->cycles * kShare : 0;
        moved = true;
      }
      if (part->over || rte_rdtsc() < part->next_tsc) continue;
      part->answered.store(false, std::memory_order_relaxed);
      part->asked = workers[part->worker]->mailbox().post(std::make_unique<Slice>(part));
      if (!part->asked && workers[part->worker]->finished())
        return tl::unexpected(Error{Code::kUnavailable, "STOPPING", "the daemon is stopping"});
      moved = true;
    }
    if (!open) return {};
    if (steady_clock::now() >= deadline.at || deadline.cancelled()) return tl::unexpected(late(deadline));
    nap = moved ? std::chrono::microseconds(20) : std::min(nap * 2, std::chrono::microseconds(500));
    std::this_thread::sleep_for(nap);
  }
}

control::Result<std::vector<control::ConnectionInfo>> fetch(Workers workers, const std::vector<Row>& rows,
                                                            const Deadline& deadline) {
  std::vector<std::shared_ptr<Part>> parts;
  for (uint32_t i = 0; i < workers.size(); ++i) {
    parts.push_back(std::make_shared<Part>());
    parts.back()->worker = i;
  }
  for (const Row& row : rows) parts[row.cursor.worker]->ids.push_back(fmt::format("{:016x}", row.id));
  for (const auto& part : parts) {
    part->found.reserve(part->ids.size());
    part->over = part->ids.empty();
  }
  if (auto done = work(workers, parts, deadline); !done) return tl::unexpected(done.error());
  std::vector<size_t> at(parts.size());
  std::vector<control::ConnectionInfo> result;
  for (const Row& row : rows) {
    Part& part = *parts[row.cursor.worker];
    size_t& i = at[row.cursor.worker];
    // One that has ended meanwhile is left out.
    if (i < part.found.size() && part.found[i].record.connection_id == fmt::format("{:016x}", row.id))
      result.push_back(std::move(part.found[i++]));
  }
  return result;
}

}  // namespace

control::Result<control::Page> list_connections(Workers workers, std::shared_ptr<const ListQuery> query,
                                                const Deadline& deadline) {
  const size_t limit = query->limit;
  const bool ordered = query->order != Order::kNone;
  std::vector<Row> rows;
  control::Page page;
  page.total = 0;
  const auto make_part = [&](uint32_t worker) {
    auto part = std::make_shared<Part>();
    part->worker = worker;
    part->query = query;
    part->rows.reserve(limit + 1);
    if (!ordered && query->after && query->after->worker == worker) part->from = query->after->serial + 1;
    return part;
  };
  const auto take = [&](const Part& part) {
    rows.insert(rows.end(), part.rows.begin(), part.rows.end());
    *page.total += part.matched;
  };
  if (ordered) {
    std::vector<std::shared_ptr<Part>> parts;
    for (uint32_t i = 0; i < workers.size(); ++i) parts.push_back(make_part(i));
    if (auto done = work(workers, parts, deadline); !done) return tl::unexpected(done.error());
    for (const auto& part : parts) take(*part);
  } else {
    for (uint32_t i = query->after ? query->after->worker : 0; i < workers.size() && rows.size() <= limit; ++i) {
      const auto part = make_part(i);
      if (auto done = work(workers, {part}, deadline); !done) return tl::unexpected(done.error());
      take(*part);
    }
    page.total.reset();
    if (query->filter.empty()) {
      page.total = 0;
      for (const auto& w : workers) *page.total += w->counters().value(worker::kConnectionsOpen);
    }
  }
  std::sort(rows.begin(), rows.end());
  if (rows.size() > limit) {
    rows.resize(limit);
    page.next = rows.back().cursor;
  }
  auto found = fetch(workers, rows, deadline);
  if (!found) return tl::unexpected(found.error());
  page.connections = std::move(*found);
  return page;
}

control::Result<control::ConnectionInfo> find_connection(Workers workers, const std::string& id, const Deadline& deadline) {
  std::vector<std::shared_ptr<Part>> parts;
  for (uint32_t i = 0; i < workers.size(); ++i) {
    parts.push_back(std::make_shared<Part>());
    parts.back()->worker = i;
    parts.back()->ids.push_back(id);
    parts.back()->found.reserve(1);
  }
  if (auto done = work(workers, parts, deadline); !done) return tl::unexpected(done.error());
  for (const auto& part : parts)
    if (!part->found.empty()) return std::move(part->found.front());
  return tl::unexpected(Error{Code::kNotFound,
                              "CONNECTION_NOT_FOUND",
                              fmt::format("no connection {} is followed (any longer)", id),
                              {{"connection", id}}});
}

bool ConnectionView::any(const control::Comparison& c) const {
  using F = control::ConnectionField;
  const auto number = [&](uint64_t value) { return c.test(static_cast<double>(value)); };
  const auto any_member = [&](auto&& test) {
    return std::any_of(c_.members.begin(), c_.members.end(), [&](const auto& m) { return test(*m); });
  };
  const auto first = [&](packet::Endpoint connection::Member::*end) { return (*c_.members.front()).*end; };
  static constexpr std::string_view kStates[] = {"handshake", "established", "closing", "closed"};
  switch (static_cast<F>(c.id)) {
    case F::kId: return c.test(std::string_view(c_.id));
    case F::kState: return c.test(kStates[static_cast<size_t>(c_.state())]);
    case F::kMptcp: return c.test(c_.mode == connection::Mode::kMptcp);
    case F::kVersion: return c_.mode == connection::Mode::kMptcp && number(c_.version);
    case F::kFallback: return c.test(c_.fallback);
    case F::kAddress: return any_member([&](const auto& m) { return c.test(m.client.address) || c.test(m.server.address); });
    case F::kPort: return any_member([&](const auto& m) { return number(m.client.port) || number(m.server.port); });
    case F::kClientAddress: return c.test(first(&connection::Member::client).address);
    case F::kClientPort: return number(first(&connection::Member::client).port);
    case F::kServerAddress: return c.test(first(&connection::Member::server).address);
    case F::kServerPort: return number(first(&connection::Member::server).port);
    case F::kToken:
      for (int side = 0; side < 2; ++side) {
        char text[9];
        if (!c_.token_known[side]) continue;
        *fmt::format_to(text, "{:08x}", c_.tokens[side]) = '\0';
        if (c.test(std::string_view(text, 8))) return true;
      }
      return false;
    case F::kSubflows: return number(c_.members.size());
    case F::kPackets: return number(c_.packets);
    case F::kAlerts: return number(c_.alerts);
    case F::kAnomalies: return number(c_.anomalies);
    case F::kVisibility: {
      const auto seen = static_cast<double>(bytes_of(c_, &stream::Stream::Totals::delivered));
      const auto missing = static_cast<double>(bytes_of(c_, &stream::Stream::Totals::missing));
      return seen + missing > 0 && c.test(seen / (seen + missing));
    }
    case F::kBytes: return number(bytes_of(c_, &stream::Stream::Totals::delivered));
    case F::kMissingBytes: return number(bytes_of(c_, &stream::Stream::Totals::missing));
    case F::kAge: return c.test(static_cast<double>(now_ - std::min(now_, c_.start_ns)) / 1e9);
    case F::kIdle: return c.test(static_cast<double>(now_ - std::min(now_, c_.last_ns)) / 1e9);
    case F::kWorker: return number(worker_);
  }
  return false;
}

}  // namespace mptap::daemon
