// SPDX-License-Identifier: Apache-2.0
// What /metrics says: the counters of each worker as they are declared, and beside them what stands in ports, lanes, the event
// writer and the configuration. All of it is read at a scrape, on the listener's thread; nobody on the data path takes part.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/mptapd/egress.h"
#include "config/config.h"
#include "control/server.h"
#include "event/writer.h"
#include "metrics/listener.h"
#include "port/port.h"
#include "worker/fabric.h"
#include "worker/live_worker.h"

namespace mptap::daemon {

// A page's part about the control plane.
void add_calls(metrics::Page& page, const control::Server& server);

// All of it outlives the Metrics.
struct MetricsSources {
  std::vector<const worker::LiveWorker*> workers;
  worker::Fabric* fabric = nullptr;
  std::span<const port::Port> ports;
  const event::EventWriter* writer = nullptr;
  const Egress* egress = nullptr;  // none configured: null
};

class Metrics {
 public:
  Metrics(const MetricsSources& sources, const config::Config& config);
  ~Metrics();

  // Before keep(): adds to every page. For what has numbers of its own.
  void add(metrics::Fill fill) { more_.push_back(std::move(fill)); }

  // Listens when it does not yet and is to. An address that cannot be had costs the metrics and not the inspection: it is tried
  // again every ten seconds, and the first failure and the success after it are each one sentence.
  std::optional<std::string> keep(uint64_t now_ms);

  // The configuration and its rules came into force just now; or a new one was refused.
  void loaded(size_t rules, size_t left_out);
  void refused() { reload_good_ = false; }

  void fill(metrics::Page& page) const;

 private:
  void add_workers(metrics::Page& page) const;
  void add_lanes(metrics::Page& page) const;
  void add_limits(metrics::Page& page) const;
  void add_ports(metrics::Page& page) const;
  void add_events(metrics::Page& page) const;

  const MetricsSources sources_;
  const config::Config config_;  // as it was at the start: limits need a restart
  std::vector<metrics::Fill> more_;
  std::atomic<double> loaded_at_{0};
  std::atomic<size_t> rules_{0}, left_out_{0};
  std::atomic<bool> reload_good_{true};
  uint64_t next_try_ms_ = 0;
  bool complained_ = false;
  std::unique_ptr<metrics::Listener> listener_;  // ends first
};

}  // namespace mptap::daemon
