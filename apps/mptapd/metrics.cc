// SPDX-License-Identifier: Apache-2.0
#include "apps/mptapd/metrics.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <hs/hs.h>
#include <rte_cycles.h>
#include <rte_mempool.h>
#include <rte_version.h>

#include "apps/mptapd/settings.h"
#include "worker/ends.h"

namespace mptap::daemon {
namespace {

using metrics::Labels;
using metrics::Page;

constexpr uint64_t kTryAgainMs = 10'000;

double number(uint64_t value) {
  return static_cast<double>(value);
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Metrics::Metrics(const MetricsSources& sources, const config::Config& config) : sources_(sources), config_(config) {}

Metrics::~Metrics() = default;

std::optional<std::string> Metrics::keep(uint64_t now_ms) {
  if (listener_ || config_.metrics.address.empty() || now_ms < next_try_ms_) return std::nullopt;
  next_try_ms_ = now_ms + kTryAgainMs;
  auto opened = metrics::Listener::open(config_.metrics.address, [this](Page& page) { fill(page); });
  if (opened) {
    listener_ = std::move(*opened);
    if (!complained_) return std::nullopt;
    return fmt::format("metrics.address: {} is served now", config_.metrics.address);
  }
  if (std::exchange(complained_, true)) return std::nullopt;
  return fmt::format("no metrics: metrics.address {}; tried again every {} s (\"\" switches them off)", opened.error(),
                     kTryAgainMs / 1000);
}

void Metrics::loaded(size_t rules, size_t left_out) {
  rules_ = rules;
  left_out_ = left_out;
  loaded_at_ = wall_seconds();
  reload_good_ = true;
}

void Metrics::fill(Page& page) const {
  page.gauge("build_info", "1; the labels say what this is", 1,
             {{"version", MPTAP_VERSION}, {"dpdk", rte_version()}, {"hyperscan", hs_version()}, {"compiler", __VERSION__}});
  page.gauge("tsc_hertz", "cycles of the time stamp counter in a second", number(rte_get_tsc_hz()));
  page.gauge("workers", "workers that run", number(sources_.workers.size()));
  page.gauge("config_loaded_timestamp_seconds", "when the configuration and rules in force were loaded, since the epoch",
             loaded_at_);
  page.gauge("reload_successful", "0 when the last reload was refused and the old rules stay", reload_good_);
  page.gauge("rules_loaded", "rules in force", number(rules_));
  page.gauge("rules_left_out", "rules of the files that could not be used", number(left_out_));
  add_workers(page);
  add_lanes(page);
  add_limits(page);
  add_ports(page);
  add_events(page);
  metrics::add_process(page);
  for (const metrics::Fill& fill : more_) fill(page);
}

void Metrics::add_workers(Page& page) const {
  const auto infos = worker::CounterRegistry::all();
  for (size_t w = 0; w < sources_.workers.size(); ++w) {
    const worker::LiveWorker& live = *sources_.workers[w];
    const worker::Counters* counters = &live.counters();
    const std::string name = fmt::format("{}", w);
    page.counter("worker_heartbeats_total", "turns of a worker's housekeeping; one that stands still stands still",
                 number(live.heartbeat()), {{"worker", name}});
    for (const auto& [end, count] : worker::packet_ends({&counters, 1}))
      page.counter("packets_total", "frames by where they ended, each in exactly one place", number(count),
                   {{"worker", name}, {"end", end}});
    for (size_t i = 0; i < infos.size(); ++i) {
      const worker::CounterInfo& info = infos[i];
      Labels labels{{"worker", name}};
      if (info.label != nullptr) labels.emplace_back(info.label, info.label_value);
      const double value = number(counters->value({static_cast<uint16_t>(i)}));
      if (info.metric == worker::Metric::kCounter)
        page.counter(info.name, info.help, value, labels);
      else
        page.gauge(info.name, info.help, value, labels);
    }
  }
}

void Metrics::add_lanes(Page& page) const {
  worker::Fabric& fabric = *sources_.fabric;
  const auto add = [&](const char* lane, auto&& of) {
    for (unsigned to = 0; to < fabric.workers(); ++to) {
      size_t fullest = 0;
      for (unsigned from = 0; from < fabric.workers(); ++from) fullest = std::max(fullest, of(from, to).depth());
      page.gauge("lane_depth", "packets in the fullest of the rings to this worker", number(fullest),
                 {{"worker", fmt::format("{}", to)}, {"lane", lane}});
    }
    page.gauge("lane_capacity", "packets that each of these rings holds", number(of(0, 0).capacity()), {{"lane", lane}});
  };
  add("segments", [&](unsigned from, unsigned to) -> auto& { return fabric.segments(from, to); });
  add("packets", [&](unsigned from, unsigned to) -> auto& { return fabric.packets(from, to); });
  page.gauge("tokens", "tokens in the map that the workers share", number(fabric.tokens().size()));
  page.counter("token_map_refusals_total", "tokens that the map had no room for", number(fabric.tokens().refused()));
}

void Metrics::add_limits(Page& page) const {
  const worker::EngineConfig engine = engine_config(config_);
  const std::pair<const char*, uint64_t> limits[] = {
      {"connections", engine.max_connections},
      {"subflows", engine.max_subflows},
      {"foreign_subflows", router_options(config_).foreign},
      {"parked_joins", engine.max_parked},
      {"worker_bytes", engine.hold_bytes},
      {"history_bytes", engine.history_bytes},
      {"tokens", sources_.fabric->tokens().capacity()},
  };
  for (const auto& [name, value] : limits)
    page.gauge("limit", "the most that a worker takes; of tokens, that all workers take", number(value), {{"limit", name}});
}

void Metrics::add_ports(Page& page) const {
  for (const port::Port& port : sources_.ports) {
    const port::PortInfo& info = port.info();
    const Labels labels{{"port", info.name}};
    const auto stats = port.stats();
    const auto link = port.link();
    page.gauge("port_info", "1; the labels say what the port is", 1,
               {{"port", info.name}, {"device", info.device}, {"driver", info.driver}});
    page.gauge("port_up", "1 while the link is up", link.up, labels);
    page.gauge("port_speed_bytes_per_second", "of the link; 0 where the driver does not know",
               static_cast<double>(link.mbps) * 125'000, labels);
    page.gauge("port_queues", "receive queues", port.queues(), labels);
    page.counter("port_packets_total", "frames that the device received", number(stats.packets), labels);
    page.counter("port_bytes_total", "bytes of them", number(stats.bytes), labels);
    page.counter("port_missed_total", "frames that the device dropped because its queues were full", number(stats.missed),
                 labels);
    page.counter("port_errors_total", "frames that were malformed on the wire", number(stats.errors), labels);
    page.counter("port_no_buffer_total", "frames dropped because no buffer was free", number(stats.no_buffer), labels);
    page.counter("port_sent_total", "frames sent", number(stats.sent), labels);
    page.counter("port_send_errors_total", "frames that could not be sent", number(stats.send_errors), labels);
    page.gauge("port_buffers", "receive buffers of the port's pool", info.mbufs, labels);
    page.gauge("port_buffers_free", "of them: those that are free now", rte_mempool_avail_count(port.pool()), labels);
  }
}

void Metrics::add_events(Page& page) const {
  const event::EventWriter& writer = *sources_.writer;
  const auto written = writer.written(), dropped = writer.dropped();
  for (size_t i = 0; i < event::kEventTypes; ++i) {
    const Labels labels{{"type", std::string(event::kEventTypeNames[i])}};
    page.counter("events_written_total", "events that became lines", number(written[i]), labels);
    page.counter("events_dropped_total", "events that a full queue refused", number(dropped[i]), labels);
  }
  page.gauge("event_queue_bytes", "events that wait for the writer", number(writer.queued_bytes()));
  page.gauge("event_queue_limit_bytes", "that may wait: all queues together",
             number((sources_.workers.size() + 1) * writer_options(config_).queue.bytes));
  for (const event::Output& output : writer.outputs()) {
    const event::SinkCounters c = output.sink->counters();
    const Labels labels{{"sink", output.sink->name()}};
    page.counter("sink_lines_total", "lines written", number(c.lines), labels);
    page.counter("sink_bytes_total", "bytes of them", number(c.bytes), labels);
    page.counter("sink_lost_lines_total", "lines that could not be written", number(c.lost_lines), labels);
    page.counter("sink_faults_total", "times that trouble began", number(c.faults), labels);
    page.gauge("sink_healthy", "0 while lines cannot be written", c.healthy, labels);
  }
  page.counter("egress_written_total", "frames that the egress gave out",
               sources_.egress ? number(sources_.egress->written()) : 0);
  page.counter("egress_lost_total", "frames that its port or file did not take",
               sources_.egress ? number(sources_.egress->lost()) : 0);
}

void add_calls(Page& page, const control::Server& server) {
  for (const control::Permission& method : control::permissions()) {
    for (size_t i = 0; i < control::kCallEndNames.size(); ++i) {
      page.counter("grpc_calls_total", "calls of the control plane that have ended",
                   number(server.calls().of(method, static_cast<control::CallEnd>(i))),
                   {{"method", std::string(method.method)}, {"end", control::kCallEndNames[i]}});
    }
  }
  page.gauge("grpc_watchers", "calls that watch events or connections now", server.watchers());
}

}  // namespace mptap::daemon
